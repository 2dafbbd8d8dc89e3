"""How a model's codes are written: one table of formats."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esnsim.compression.export.stored import Parts, Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format: what adds a weight's codes to a model as a value of that name, at an opset.

    `add` None leaves Δ·W_int in floats. `least_opset` is the one that it needs, `runs` says
    whether ONNX Runtime knows its operators, `activations` whether they may be integers too.
    """

    add: "Callable[[Stored, str, Parts, int], None] | None"
    help: str
    least_opset: int = 1
    runs: bool = True
    activations: bool = False


def _add_qdq(weight: "Stored", target: str, parts: "Parts", opset: int) -> None:
    from esnsim.compression.export.qdq import add_qdq

    add_qdq(weight, target, parts, opset)


def _add_qonnx(weight: "Stored", target: str, parts: "Parts", opset: int) -> None:
    from esnsim.compression.export.qonnx import add_qonnx

    add_qonnx(weight, target, parts)


FORMATS = {
    "qdq": Format(
        add=_add_qdq, least_opset=13, activations=True,
        help="integers, DequantizeLinear and Add (default)",
    ),
    "qonnx": Format(add=_add_qonnx, runs=False, help="Quant, which ONNX Runtime does not know"),
    "float": Format(add=None, help="floats, which promise no widths"),
}  # fmt: skip
