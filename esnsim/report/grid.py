"""Tables for the terminal: text to the left, numbers to the right, no wider than the screen."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

ENDLESS = 10_000  # columns of a file or a pipe
GAP = 2  # characters between columns, 1 on a screen that is too narrow


def grid(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    total: Sequence[str] | None = None,
    *,
    texts: int = 1,
    columns: int | None = None,
    bold: bool = False,
) -> str:
    """Rows under headings, perhaps with a total; the first `texts` columns are text.

    With `columns`, gaps and then the first column become narrower. `bold` is for terminals.
    """
    lines = [headings, *rows, *([total] if total else [])]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    table = Table.grid(padding=(0, gap(lines, columns), 0, 0))
    for index, width in enumerate(widths):
        table.add_column(
            justify="left" if index < texts else "right",
            overflow="ellipsis",
            no_wrap=True,
            min_width=width if index else None,
        )
    for line in lines:
        style = "bold" if bold and (line is headings or line is total) else ""
        table.add_row(*(Text(cell, style) for cell in line))
    out = io.StringIO()
    Console(
        file=out, width=columns or ENDLESS, force_terminal=bold, color_system="standard",
        highlight=False, legacy_windows=False,
    ).print(table)  # fmt: skip
    head, *body = (line.rstrip() for line in out.getvalue().splitlines())
    whole = sum(widths) + gap(lines, columns) * (len(widths) - 1)
    rule = "─" * min(whole, columns or ENDLESS)
    foot = [rule, body.pop()] if total else []
    return "\n".join([head, rule, *body, *foot]) + "\n"


def gap(lines: Sequence[Sequence[str]], columns: int | None) -> int:
    """Characters between the columns of a table."""
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    fits = columns is None or sum(widths) + GAP * (len(widths) - 1) <= columns
    return GAP if fits else 1
