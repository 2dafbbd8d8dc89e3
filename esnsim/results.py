"""Results as Python has them: a screen, a notebook's table, a document, rows, pictures, files."""

from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from esnsim.errors import EsnsimError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from esnsim.report.kinds import Report


class Outcome:
    """The result of a command. Its report is an entry of `esnsim.report.kinds`."""

    __slots__ = ()

    @property
    def _report(self) -> "Report":
        from esnsim.report.kinds import report_of

        return report_of(self)

    def __repr__(self) -> str:
        """The table that the command prints, on one screen."""
        return self._report.text(self)

    def _repr_html_(self) -> str:
        """A table, and where matplotlib is installed the pictures, for notebooks."""
        from esnsim.page.notebook import html

        return html(self)

    def to_dict(self) -> dict[str, Any]:
        """The document that `--json` prints: plain dicts, lists, ints and floats."""
        found: dict[str, Any] = self._report.document(self)
        return found

    def to_csv(self) -> str:
        """The rows that `--csv` prints, as text."""
        from esnsim.report.forms import csv_text

        report = self._report
        return csv_text(report.rows(self), report.first, report.missing)

    def to_dataframe(self) -> "DataFrame":
        """The rows of `to_csv` as a pandas DataFrame, lists as lists. Raises EsnsimError without
        pandas.
        """
        try:
            from pandas import DataFrame
        except ImportError:
            raise EsnsimError(
                "to_dataframe needs pandas: pip install pandas, or take to_csv() or to_dict()"
            ) from None
        from esnsim.report.forms import flat

        return DataFrame([dict(flat(row)) for row in self._report.rows(self)])

    def plot(self) -> "Figure":
        """The pictures of the page side by side, a figure of pyplot. Raises EsnsimError without
        matplotlib.
        """
        from esnsim.page.picture import plotted

        return plotted(self)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a file whole or not at all, its form by its suffix: .json, .csv, .html, .png, .svg
        or .pdf, and the model of `compress` as .onnx.

        Raises UsageError for another suffix and for a file that the result was made of, EsnsimError
        for what cannot be written.
        """
        from esnsim.page.files import save

        save(self, Path(path))
