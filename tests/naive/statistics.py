"""Statistics corrected one meter at a time: the whole network runs again for each.

Everything before the meter has its corrected constants by then, as the definition says.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper

from esnsim.compression.correct.meters import Meter, Norm, constant
from esnsim.graph.model import Model
from esnsim.graph.sites import Slot
from esnsim.graph.substitute import with_weights

Array = NDArray[Any]


def correct(
    graph: Model,
    changes: Mapping[Slot, Array],
    meters: tuple[Meter, ...],
    x: Array,
    wanted: Mapping[str, tuple[Array, Array]],
) -> dict[Slot, Array]:
    """The corrected changes; `wanted` are mean and variance in float by name.

    A BatchNormalization that is not among them takes the moments as they are.
    """
    found = dict(changes)
    for meter in meters:
        mean, variance = moments(value(with_weights(graph, found), meter.value, x), meter.axis)
        if isinstance(meter, Norm):
            if meter.name in wanted:
                mean, variance = beside(graph, meter, (mean, variance), wanted[meter.name])
            found[meter.mean], found[meter.variance] = mean, variance
            continue
        target, spread = wanted[meter.name]
        gain = np.clip(np.sqrt(spread / variance), 1 / 16, 16)
        weight, bias = constant(graph, meter.weight, found), constant(graph, meter.bias, found)
        node = graph.nodes[meter.weight.place]
        found[meter.weight] = np.array(weight, np.float64)
        for m, factor in enumerate(gain):
            filter_of(node, found[meter.weight], m)[...] *= factor
        b = np.zeros(len(gain)) if bias is None else np.broadcast_to(bias.ravel(), len(gain))
        found[meter.bias] = gain * (b - mean) + target
    return found


def beside(
    graph: Model, meter: Norm, now: tuple[Array, Array], then: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Statistics with which (x − μ) / σ has the mean and variance that it has in float."""
    epsilon = {a.name: a.f for a in graph.nodes[meter.place].attribute}.get("epsilon", 1e-5)
    running = [np.float64(constant(graph, slot, {})) for slot in (meter.mean, meter.variance)]
    sigma = np.sqrt(running[1] + epsilon)
    mean, spread = (then[0] - running[0]) / sigma, np.sqrt(then[1]) / sigma
    new = np.sqrt(now[1]) / spread
    return now[0] - mean * new, new**2 - epsilon


def filter_of(node: Any, weight: Array, m: int) -> Array:
    """A view of the weights of filter m as the node reads them."""
    attributes = {a.name: a.i for a in node.attribute}
    if node.op_type == "ConvTranspose":
        groups, per_group = attributes.get("group", 1), weight.shape[1]
        fan_in = len(weight) // groups
        group = m // per_group
        return weight[group * fan_in : (group + 1) * fan_in, m % per_group]
    right = node.op_type == "MatMul" or (node.op_type == "Gemm" and not attributes.get("transB"))
    return weight[:, m] if right else weight[m]


def value(model: ModelProto, name: str, x: Array) -> Array:
    """A value inside a model, for an input."""
    del model.graph.output[:]
    model.graph.output.add(name=name)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options)
    given = model.graph.input[0]
    dtype = helper.tensor_dtype_to_np_dtype(given.type.tensor_type.elem_type)
    return np.asarray(session.run([name], {given.name: x.astype(dtype)})[0], np.float64)


def moments(x: Array, axis: int) -> tuple[Array, Array]:
    """Mean and variance over all axes but one."""
    rows = np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
    return rows.mean(axis=1), rows.var(axis=1)
