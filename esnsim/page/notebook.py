"""A result in a notebook: its first table, cut to one screen, and its pictures."""

from html import escape
from importlib.util import find_spec

from esnsim.page.page import Table
from esnsim.page.pages import page_of

ROWS_SHOWN = 10


def html(result: object) -> str:
    """A heading, a sentence, ten rows of the table, and where matplotlib is installed pictures."""
    page = page_of(result)
    parts = [f"<h3>{escape(page.title)}</h3><p>{escape(page.lead)}</p>", _table(page.tables[0])]
    if find_spec("matplotlib") is not None:
        from esnsim.page.picture import svg

        drawn = (svg(picture, place) for place, picture in enumerate(page.pictures))
        parts += [f'<div style="max-width:36em">{_own_colours(each)}</div>' for each in drawn]
    return "\n".join(parts)


def _table(table: Table) -> str:
    heads = "".join(f"<th>{escape(column.heading)}</th>" for column in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(c.cell(row))}</td>" for c in table.columns) + "</tr>"
        for row in table.rows[:ROWS_SHOWN]
    )
    more = len(table.rows) - ROWS_SHOWN
    told = f"<p>… and {more:,} more</p>" if more > 0 else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{told}"


def _own_colours(text: str) -> str:
    """The colours of series themselves: a notebook has no style sheet of ours."""
    from esnsim.page.draw import COLOURS

    for number, colour in enumerate(COLOURS):
        text = text.replace(f"var(--series-{number})", colour)
    return text
