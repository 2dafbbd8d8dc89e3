"""Tables for the terminal: text to the left, numbers to the right, no wider than the screen."""

from collections.abc import Sequence
from os.path import commonprefix
from textwrap import wrap
from unicodedata import combining, east_asian_width

GAP = 2  # characters between columns, 1 on a screen that is too narrow
INDENT = 10  # characters of the labels before a summary
SCREEN = 80  # columns that a table of known headings fits
NAMES = (12, 100)  # characters of the column of names, least and most

Cells = Sequence[str]


def grid(
    headings: Cells,
    rows: Sequence[Cells],
    total: Cells | None = None,
    *,
    texts: int = 1,
    columns: int | None = None,
    bold: bool = False,
) -> str:
    """Rows under headings, perhaps with a total; the first `texts` columns are text.

    With `columns`, gaps and then the names in the first column become narrower, and lines that are
    still too long stay whole: the terminal folds them. `bold` is for terminals.
    """
    if texts and columns is not None:
        room = room_for_names([headings, *rows, *([total] if total else [])], columns)
        operators = [row[1] if texts > 1 else "" for row in rows]
        names = shortened([row[0] for row in rows], operators, room)
        rows = [(name, *row[1:]) for name, row in zip(names, rows, strict=True)]
    lines = [headings, *rows, *([total] if total else [])]
    widths = [max(map(width, cells)) for cells in zip(*lines, strict=True)]
    between = " " * gap(lines, columns)
    printed = []
    for line in lines:
        cells = [
            cell + fill if index < texts else fill + cell
            for index, (cell, most) in enumerate(zip(line, widths, strict=True))
            for fill in [" " * (most - width(cell))]
        ]
        text = between.join(cells).rstrip()
        styled = bold and (line is headings or line is total)
        printed.append(f"\x1b[1m{text}\x1b[0m" if styled else text)
    head, *body = printed
    whole = sum(widths) + len(between) * (len(widths) - 1)
    rule = "─" * (whole if columns is None else min(whole, columns))
    foot = [rule, body.pop()] if total else []
    return "\n".join([head, rule, *body, *foot]) + "\n"


def markdown(headings: Cells, rows: Sequence[Cells], *, texts: int = 1) -> str:
    """The same as a table of Markdown; nothing where there are no rows."""
    if not rows:
        return ""
    rule = [":--" if i < texts else "--:" for i in range(len(headings))]
    lines = [headings, rule, *rows]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in x)} |" for x in lines)


def folded(lines: Sequence[str], columns: int | None) -> list[str]:
    """Lines of a summary, none wider than the screen; what is folded stands behind the label."""
    if columns is None:
        return list(lines)
    return [
        part for line in lines
        for part in wrap(line, columns, subsequent_indent=" " * INDENT) or [""]
    ]  # fmt: skip


def fitting(
    lines: Sequence[Cells], expendable: Sequence[str], columns: int | None
) -> list[tuple[str, ...]]:
    """Lines, headings first, without the expendable columns, in this order, that do not fit.

    Names in the first column count as short.
    """
    shown = list(zip(*lines, strict=True))
    for heading in expendable:
        widths = [max(map(width, column)) for column in shown]
        if columns is None or NAMES[0] + sum(widths[1:]) + len(widths) - 1 <= columns:
            break
        shown = [column for column in shown if column[0] != heading]
    return list(zip(*shown, strict=True))


def gap(lines: Sequence[Cells], columns: int | None) -> int:
    """Characters between the columns of a table."""
    widths = [max(map(width, cells)) for cells in zip(*lines, strict=True)]
    fits = columns is None or sum(widths) + GAP * (len(widths) - 1) <= columns
    return GAP if fits else 1


def room_for_names(lines: Sequence[Cells], columns: int | None) -> int:
    """Characters for a name in the first column, so that the other columns fit beside it."""
    least, most = NAMES
    if columns is None:
        return most
    longest, *others = (max(map(width, column)) for column in zip(*lines, strict=True))
    if longest + sum(others) + GAP * len(others) <= columns:
        return most
    return max(least, min(most, columns - sum(others) - len(others)))


def shortened(names: Sequence[str], operators: Sequence[str], room: int) -> list[str]:
    """Names that keep what tells them apart: not the operator that exporters append, not what all
    that are too long begin with, and the middle last.
    """
    bare = [
        name if len(name) <= room else name.removesuffix(f"/{operator}")
        for name, operator in zip(names, operators, strict=True)
    ]
    long = [name for name in bare if len(name) > room]
    shared = len(commonprefix(long))  # noqa: RUF071 - characters, names are no paths

    def cut(name: str) -> str:
        if len(name) > room:
            name = "…" + name[min(shared, len(name) - room + 1) :]
        half = (room - 1) // 2
        return name if len(name) <= room else name[: room - 1 - half] + "…" + name[-half:]

    return [cut(name) for name in bare]


def width(text: str) -> int:
    """Columns of a terminal that a text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text
    )  # fmt: skip
