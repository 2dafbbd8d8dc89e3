"""A weight's codes as a file holds them: filters along one axis, and the way to the operator."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from esnsim.errors import ModelError
from esnsim.graph.sites import Site
from esnsim.graph.substitute import dequantized, free_name
from esnsim.model.network import Array
from esnsim.quantization.filter_sums import Floats
from esnsim.quantization.quantizer import QuantizedLayer, codes
from esnsim.quantization.scheme import LEAST_STEP


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Codes q = 2·W_int with filters along `axis`, and the step Δ of each filter (M,), float32.

    `name` is the value that the operator reads, of type `dtype`. `direct` says that the operator
    reads the weights as they are stored; else they lie filters first, (M, C/g, *kernel).
    """

    name: str
    site: Site
    q: Array
    steps: Array
    axis: int
    direct: bool
    dtype: np.dtype[np.generic]

    def each(self, values: Array) -> Array:
        """Values (M,) broadcast to the weights."""
        return values.reshape([-1 if a == self.axis else 1 for a in range(self.q.ndim)])

    def by_filter(self) -> Array:
        """The codes (M, weights of a filter)."""
        return np.moveaxis(self.q, self.axis, 0).reshape(len(self.steps), -1)


@dataclass(slots=True, kw_only=True)
class Parts:
    """Nodes and tensors under construction, beside values and nodes whose names are taken.

    `half_steps` are the filters of a value that hold q at Δ/2.
    """

    taken: set[str]
    titles: set[str]  # of nodes
    nodes: list[NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)
    half_steps: dict[str, list[int]] = field(default_factory=dict)

    def fresh(self, name: str) -> str:
        """A name that no value has, this one if it may be."""
        return free_name(name, self.taken)

    def constant(self, name: str, array: npt.ArrayLike) -> str:
        """Add a tensor under a fresh name; that name."""
        name = self.fresh(name)
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(
        self, op: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: Any
    ) -> str:
        """Add a node that gives `output`, and is called so if it may be; the name of the output."""
        title = free_name(output, self.titles)
        node = helper.make_node(op, inputs, [output], title, domain=domain, **attributes)
        self.nodes.append(node)
        return output

    def in_order(self, names: Sequence[str], order: Array, weight: "Stored", target: str) -> None:
        """Join parts of a weight as `target`; `order` (M,) is the filter at each place of them."""
        whole = (order == np.arange(len(order))).all()
        value = target if whole else self.fresh(f"{target}_sorted")
        self.node("Concat", names, value, axis=weight.axis)
        if not whole:
            places = self.constant(f"{weight.name}_order", np.argsort(order))
            self.node("Gather", [value, places], target, axis=weight.axis)


def stored(
    site: Site,
    layer: QuantizedLayer,
    changed: Array | None,
    name: str,
    dtype: np.dtype[np.generic],
) -> Stored:
    """The codes of a layer for the value `name`.

    `changed` are weights as the node reads them that differ from Δ·W_int by a factor a filter,
    as the correction of statistics makes them: it goes into the steps. Filters whose steps are too
    small for float32 become 0. Raises ModelError for steps that are too large.
    """
    q = codes(layer)
    same = changed is None or np.array_equal(changed, site.to_operand(dequantized(layer)))
    steps = _steps(layer, q) if changed is None or same else _fitted(site, q, changed)
    column = (-1, *[1] * (q.ndim - 1))
    q, steps = q * np.where(steps < 0, -1, 1).reshape(column), np.abs(steps)
    axis = _axis(site)
    q = q * (steps >= LEAST_STEP).reshape(column)
    used = np.asarray(q.reshape(len(q), -1).any(axis=1))
    single = _single(steps, used, site.layer.name)
    if axis is None:
        return Stored(name=name, site=site, q=q, steps=single, axis=0, direct=False, dtype=dtype)
    return Stored(
        name=name,
        site=site,
        q=site.to_operand(q),
        steps=single,
        axis=axis,
        direct=True,
        dtype=dtype,
    )


def arrange(weight: Stored, value: str, parts: Parts) -> None:
    """Give the stored weights (`value`, float32) the operator's shape and type, as `name`."""
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if not weight.direct:
        filters, fan_in, *kernel = weight.q.shape
        if weight.site.columns or weight.site.layer.op == "ConvTranspose":
            groups = weight.site.layer.geometry.groups
            split = np.array([groups, filters // groups, fan_in, *kernel], np.int64)
            order = [0, 2, 1, *range(3, 3 + len(kernel))]
            steps.append(("Reshape", [parts.constant(f"{weight.name}_groups", split)], {}))
            steps.append(("Transpose", [], {"perm": order}))
        shape = np.array(weight.site.shape, np.int64)
        steps.append(("Reshape", [parts.constant(f"{weight.name}_shape", shape)], {}))
    if weight.dtype != np.float32:
        to = int(helper.np_dtype_to_tensor_dtype(weight.dtype))
        steps.append(("Cast", [], {"to": to}))
    for index, (op, more, attributes) in enumerate(steps):
        last = index == len(steps) - 1
        output = weight.name if last else parts.fresh(f"{weight.name}_{op}")
        value = parts.node(op, [value, *more], output, **attributes)


def before(weight: Stored, parts: Parts) -> str:
    """The name of the value that `arrange` starts from: `name` where it has nothing to do."""
    plain = weight.direct and weight.dtype == np.float32
    return weight.name if plain else parts.fresh(f"{weight.name}_filters")


def _axis(site: Site) -> int | None:
    """The axis of the operand that has a filter at each place, None where there is none."""
    rank = len(site.shape)
    if site.layer.op == "ConvTranspose":
        return 1 if site.layer.geometry.groups == 1 else None
    if site.columns:
        return 1 if rank == 2 else None
    return 0 if rank > 1 and site.shape[0] == site.layer.filters else None


def _steps(layer: QuantizedLayer, q: Array) -> Floats:
    gain = layer.layer.weight.gain
    steps = np.where(layer.steps > 0, layer.steps, 1.0)
    return steps if gain is None else steps / np.where(gain != 0, gain, 1.0)


def _fitted(site: Site, q: Array, changed: Array) -> Floats:
    """The steps at which the codes are these weights."""
    weights = site.from_operand(changed).reshape(len(q), -1).astype(np.float64)
    flat = q.reshape(len(q), -1)
    at = np.abs(flat).argmax(axis=1)[:, None]
    top, weight = (np.take_along_axis(a, at, axis=1)[:, 0] for a in (flat, weights))
    steps = np.where(top != 0, 2 * weight / np.where(top != 0, top, 1), 1.0)
    if not np.allclose(weights, 0.5 * flat * steps[:, None], rtol=1e-5, atol=0):
        raise ValueError(f"the weights of '{site.layer.name}' are no multiples of its codes")
    return np.asarray(steps)


def _single(steps: Floats, used: Array, name: str) -> Array:
    """Steps as float32; 1 where no code needs one."""
    with np.errstate(over="ignore"):
        single = np.where(used, steps, 1.0).astype(np.float32)
    if not np.isfinite(single).all():
        raise ModelError(
            f"layer '{name}' has a step above what float32 holds: scale the model's weights"
        )
    return single
