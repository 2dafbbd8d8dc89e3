"""Quantisers of other domains as arithmetic of standard operators, which ONNX Runtime has.

Quant, BipolarQuant and Trunc of QONNX, FakeQuantize of OpenVINO: what they give is float.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from esnsim.importer.constants import attribute
from esnsim.importer.shapes import OPENVINO, QONNX

#: Rounding mode -> operator, and whether on magnitudes, moved by a half of which sign.
ROUNDINGS: dict[str, tuple[str, bool, float]] = {
    "ROUND": ("Round", False, 0), "HALF_EVEN": ("Round", False, 0),
    "CEIL": ("Ceil", False, 0), "FLOOR": ("Floor", False, 0),
    "UP": ("Ceil", True, 0), "DOWN": ("Floor", True, 0), "ROUND_TO_ZERO": ("Floor", True, 0),
    "HALF_UP": ("Floor", True, 0.5), "HALF_DOWN": ("Ceil", True, -0.5),
}  # fmt: skip


@dataclass(slots=True)
class Arithmetic:
    """Nodes in place of one, whose names begin with that of its output."""

    node: NodeProto
    nodes: list[NodeProto] = field(default_factory=list)

    def __call__(self, op: str, *inputs: str | float, output: str = "") -> str:
        """Add an operator on values or numbers; the name of what it gives."""
        names = [self._number(each) if not isinstance(each, str) else each for each in inputs]
        output = output or self._name()
        self.nodes.append(helper.make_node(op, names, [output]))
        return output

    def rounded(self, x: str, default: str) -> str:
        """A value rounded as the node says. Left as it is for a mode that is not known."""
        given = attribute(self.node, "rounding_mode", default.encode())
        mode = given.decode().upper() if isinstance(given, bytes) else default
        op, magnitude, moved = ROUNDINGS.get(mode, ROUNDINGS[default])
        if not magnitude:
            return self(op, x)
        return self("Mul", self("Sign", x), self(op, self("Add", self("Abs", x), moved)))

    def _number(self, value: float) -> str:
        name, tensor = self._name(), numpy_helper.from_array(np.array(value, np.float32))
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        return name

    def _name(self) -> str:
        return f"{self.node.output[0]}.{len(self.nodes)}"


def _quant(do: Arithmetic, x: str, scale: str, zero: str, bits: str) -> None:
    signed, narrow = attribute(do.node, "signed", 1), int(bool(attribute(do.node, "narrow", 0)))
    half = do("Pow", 2.0, do("Sub", do("Ceil", bits), 1.0))
    low = do("Sub", float(narrow), half) if signed else do("Mul", half, 0.0)
    high = do("Sub", half, 1.0) if signed else do("Sub", do("Add", half, half), 1.0 + narrow)
    ratio = do("Add", do("Div", x, scale), zero)
    code = do.rounded(do("Min", do("Max", ratio, low), high), "ROUND")
    do("Mul", do("Sub", code, zero), scale, output=do.node.output[0])


def _bipolar(do: Arithmetic, x: str, scale: str) -> None:
    do("Where", do("Less", x, 0.0), do("Neg", scale), scale, output=do.node.output[0])


def _trunc(do: Arithmetic, x: str, scale: str, zero: str, bits: str, left: str) -> None:
    code = do("Round", do("Add", do("Div", x, scale), zero))
    cut = do.rounded(do("Div", code, do("Pow", 2.0, do("Sub", bits, left))), "FLOOR")
    do("Mul", do("Sub", cut, zero), scale, output=do.node.output[0])


def _fake_quantize(do: Arithmetic, x: str, low: str, high: str, first: str, last: str) -> None:
    levels = attribute(do.node, "levels", 2)
    steps = float(levels - 1) if isinstance(levels, int) else 1.0
    share = do("Div", do("Sub", do("Min", do("Max", x, low), high), low), do("Sub", high, low))
    place = do("Div", do("Round", do("Mul", share, steps)), steps)
    spread = do("Mul", place, do("Sub", last, first))
    do("Add", spread, first, output=do.node.output[0])


WRITERS: dict[tuple[str, str], tuple[int, Callable[..., None]]] = {
    **{(domain, op): (4, _quant) for domain in QONNX for op in ("Quant", "IntQuant")},
    **{(domain, "BipolarQuant"): (2, _bipolar) for domain in QONNX},
    **{(domain, "Trunc"): (5, _trunc) for domain in QONNX},
    (OPENVINO, "FakeQuantize"): (5, _fake_quantize),
}


def standardised(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, with arithmetic in place of each quantiser."""
    for node in nodes:
        count, write = WRITERS.get((node.domain, node.op_type), (0, None))
        if write is None or len(node.input) != count:
            yield node
            continue
        do = Arithmetic(node)
        write(do, *node.input)
        yield from do.nodes


def standardise(model: ModelProto) -> ModelProto:
    """A model with arithmetic in place of its quantisers; the model itself where it has none."""
    if not any((node.domain, node.op_type) in WRITERS for node in model.graph.node):
        return model
    copy = ModelProto()
    copy.CopyFrom(model)
    nodes = [*standardised(model.graph.node)]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy
