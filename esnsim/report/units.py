"""Names as people read them; numbers are in `esnsim.units`."""

from esnsim.errors import brief
from esnsim.units import JOULES as JOULES
from esnsim.units import PREFIXES as PREFIXES
from esnsim.units import exact as exact
from esnsim.units import human as human
from esnsim.units import joules as joules
from esnsim.units import percent as percent

LONGEST = 1000  # characters of a message; names come from files that anybody may have written


def printable(text: str) -> str:
    """Text on one line, without control characters; of a very long one the two ends."""
    text = brief(text)
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}…{line[-LONGEST // 2 :]}"
