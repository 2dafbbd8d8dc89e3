"""Names as people read them (numbers: `esnsim.units`)."""

from esnsim.errors import brief

LONGEST = 1000  # characters of a message; names come from files that anybody may have written


def printable(text: str) -> str:
    """Text on one line, without control characters; of a very long one the two ends."""
    text = brief(text)
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}…{line[-LONGEST // 2 :]}"
