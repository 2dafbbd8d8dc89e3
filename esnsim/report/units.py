"""Names as people read them (numbers: `esnsim.units`)."""

from esnsim.errors import brief

MESSAGE_CHARACTERS = (
    1000  # characters of a message; names come from files that anybody may have written
)


def printable(text: str) -> str:
    """Text on one line, without control characters; of a very long one the two ends."""
    text = brief(text)
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return (
        line
        if len(line) <= MESSAGE_CHARACTERS
        else f"{line[: MESSAGE_CHARACTERS // 2]}…{line[-MESSAGE_CHARACTERS // 2 :]}"
    )


def times(ratio: float, digits: str = ".3g") -> str:
    """What was spent before over what is now, in words: 3.5 times less, 16 times more."""
    if not ratio:
        return "where it was nothing"
    text = f"{max(ratio, 1 / ratio):{digits}}"
    if float(text) == 1:
        return "as much"
    return f"{text} times {'less' if ratio > 1 else 'more'}"
