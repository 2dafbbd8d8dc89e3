"""How each kind of result is reported: as text, as a document and as rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`text` is one screen, `document` what `--json` prints, `rows` what `--csv` prints, where
    `first` is the header of none and `missing` what a row lacks; `inputs` names the models and
    other files that a result was made of.
    """

    text: Callable[[Any], str]
    document: Callable[[Any], Any]
    rows: Callable[[Any], Sequence[Mapping[str, Any]]]
    inputs: Callable[[Any], Iterable[Any]]
    first: str = "name"
    missing: str = ""


def report_of(result: object) -> Report:
    """The report of a result. Loads the modules of its kind, and nothing else."""
    return KINDS[type(result).__name__]()


def _network(result: Any) -> list[str | None]:
    return [result.network.network.source.path]


def _cost() -> Report:
    from esnsim.report.cost import document, table

    return Report(
        text=table.brief, document=document.document, rows=document.rows,
        inputs=lambda cost: [cost.network.source.path],
    )  # fmt: skip


def _simulation() -> Report:
    from esnsim.report.simulation import document, table

    return Report(
        text=table.brief, document=document.document, rows=lambda found: document.rows([found]),
        inputs=_network,
    )  # fmt: skip


def _beside() -> Report:
    from esnsim.report.simulation import comparison, document

    return Report(
        text=comparison.brief, document=lambda found: document.documents(found.simulations),
        rows=lambda found: document.rows(found.simulations),
        inputs=lambda found: _network(found.simulations[0]),
    )  # fmt: skip


def _machines() -> Report:
    from esnsim.report.machines import document, table

    return Report(text=table.brief, document=document.document, rows=document.rows, inputs=_network)


def _compressed() -> Report:
    from esnsim.report.compression import document

    return Report(
        text=document.words, document=document.document, rows=document.rows,
        inputs=lambda found: [found.before.network.source.path, found.recipe.targets],
    )  # fmt: skip


def _sweep() -> Report:
    from esnsim.report.sweep import document, table

    return Report(
        text=table.brief, document=document.document, rows=document.rows, first="model",
        missing="0", inputs=lambda found: [baseline.model for baseline in found.baselines],
    )  # fmt: skip


def _compared() -> Report:
    from esnsim.report.compare import document, table

    return Report(
        text=table.brief, document=document.document, rows=document.rows, first="model",
        inputs=lambda found: [side.path for side in found.sides],
    )  # fmt: skip


#: By the name of the result's class.
KINDS: dict[str, Callable[[], Report]] = {
    "Cost": _cost,
    "Simulation": _simulation,
    "Beside": _beside,
    "Comparison": _machines,
    "Compared": _compared,
    "Compressed": _compressed,
    "Sweep": _sweep,
}
