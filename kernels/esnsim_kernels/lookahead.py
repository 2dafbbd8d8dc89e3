"""Weights moved forward in time (BitTactical): which lines of lanes are left."""

from numba import njit

__all__ = ["schedule"]


@njit(cache=True, nogil=True, error_model="numpy")
def schedule(there, search, ahead, kept):
    """Fill lanes without a weight from later lines, line by line; `kept` says which are taken.

    there (lines, filters, lanes): where a weight is not 0, changed in place. search (places, 2):
    lines ahead and lanes aside, lanes going round inside a filter. Of the empty lanes of a filter
    the first with the most candidates takes its first one, until none has any. A line that is empty
    in all filters is skipped, `ahead` of them in a row at most.
    """
    lines, filters, _ = there.shape
    skipped = 0
    for line in range(lines):
        if skipped < ahead and not there[line].any():
            kept[line] = False
            skipped += 1
            continue
        skipped = 0
        for m in range(filters):
            while _promote(there, search, line, m):
                pass


@njit(cache=True, nogil=True, error_model="numpy")
def _promote(there, search, line, m):
    """Move one weight into the empty lane that has the most candidates; whether there was one."""
    lines, _, lanes = there.shape
    most, into, source, where = 0, -1, -1, -1
    for lane in range(lanes):
        if there[line, m, lane]:
            continue
        found, first, place = 0, -1, -1
        for s in range(len(search)):
            at, side = line + search[s, 0], (lane + search[s, 1]) % lanes
            if at < lines and there[at, m, side]:
                if not found:
                    first, place = at, side
                found += 1
        if found > most:
            most, into, source, where = found, lane, first, place
    if most:
        there[line, m, into] = True
        there[source, m, where] = False
    return most > 0
