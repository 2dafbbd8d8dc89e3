"""What of a model is compared: the figures of a report of `esnsim cost`, fresh or from a file."""

import json
from dataclasses import dataclass
from pathlib import Path

from esnsim.costs.cost import Cost
from esnsim.costs.figures import Figures
from esnsim.errors import ModelError
from esnsim.files.read import read_small
from esnsim.files.records import from_record
from esnsim.model.network import Uncounted

LARGEST_BYTES = 1 << 28
SUFFIX = ".json"  # of a report that stands in for a model
SCHEMA = "esnsim.cost/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Figures):
    """The figures of a layer, and what it is known by; `weight_shape` has filters first."""

    name: str
    op: str
    weight_shape: tuple[int, ...]
    macs_per_weight: int


@dataclass(frozen=True, slots=True)
class Codes:
    """How float weights became codes."""

    rule: str
    bits: int | None
    width: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What is read of a report: fields as docs/json.md has them."""

    totals: Figures
    layers: tuple[Row, ...]
    quantizer: Codes
    uncounted: tuple[Uncounted, ...]
    notes: tuple[str, ...]


def reported(cost: Cost) -> Reported:
    """A cost as its report has it."""
    return from_record(Reported, cost.to_dict())  # type: ignore[no-any-return]


def read_report(path: Path) -> Reported:
    """A report that `esnsim cost --json` wrote. Raises ModelError for what is none."""
    try:
        content = json.loads(read_small(path, LARGEST_BYTES).decode("utf-8-sig"))
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise ValueError(f"its schema is not {SCHEMA}")
        found = from_record(Reported, content)
        _check(found)
    except FileNotFoundError:
        raise ModelError(f"there is no file '{path}': check the path") from None
    except Exception as error:  # json and records raise each their own
        raise ModelError(
            f"'{path}' is no report of a cost ({type(error).__name__}: {error}): give a model, or "
            "what esnsim cost --json wrote"
        ) from None
    return found  # type: ignore[no-any-return]


def _check(found: Reported) -> None:
    """Raise ValueError for counts that no network has."""
    for figures in (found.totals, *found.layers):
        counts = (figures.filters, figures.live_weights, figures.live_macs, figures.macs)
        costs = (figures.esn_a_x4, figures.esn_d, figures.esn_d_tilde)
        if min(*counts, *(n for cost in costs for n in (cost.weights, cost.macs))) < 0:
            raise ValueError("it has negative counts")
    if found.quantizer.width != "code":
        raise ValueError("it was written with --width paper, and models are compared by code")
