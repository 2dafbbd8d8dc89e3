"""What a page shows of a result, before it becomes HTML: words, pictures and tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from esnsim.report.grid import INDENT

BARS = 12  # that a picture of the usual height has room for


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that `draw` draws on the axes of matplotlib; `about` says what is in it.

    `bars` are those that stand one below the other, of which many take a taller picture.
    """

    title: str
    about: str
    draw: Callable[[Any], None]
    bars: int = 0

    @property
    def tall(self) -> float:
        """Its height in those of others."""
        return max(1, self.bars / BARS)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the value of a row, which it is sorted by, and its text.

    A column without `text` is one of words.
    """

    heading: str
    value: Callable[[Any], Any]
    text: Callable[[Any], str] | None = None

    def cell(self, row: Any) -> str:
        """What stands in a row; a dash where there is no value."""
        value = self.value(row)
        return "–" if value is None else self.text(value) if self.text else str(value)

    def sortable(self, row: Any) -> str:
        """The number of a row for the page's script, empty where there is none."""
        value = self.value(row)
        return "" if value is None else repr(float(value))


class Number(float):
    """A number, shown with the digits of the terminal's report."""

    text: str

    @classmethod
    def of(cls, digits: str, text: str) -> "Number | None":
        """The number of 1,234 or 12.3%, shown as `text`; None where there is none."""
        try:
            found = cls(digits.replace(",", "").split("%")[0].split(" ")[0])
        except ValueError:
            return None
        found.text = text
        return found

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns, as many as there are."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A result in words, pictures and tables. `facts` are labels with their lines of text."""

    title: str
    lead: str
    facts: Sequence[tuple[str, Sequence[str]]]
    pictures: Sequence[Picture]
    tables: Sequence[Table]
    notes: Sequence[str] = ()


def facts(lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    """The summary under a table of the terminal, where labels stand in the first ten columns."""
    found: list[tuple[str, list[str]]] = []
    for line in lines:
        label, text = line[:INDENT].strip(), line[INDENT:].strip()
        if label or not found:
            found.append((label, []))
        found[-1][1].append(text)
    return found
