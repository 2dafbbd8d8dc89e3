"""Which output of a model is scored, and along which of its axes images and classes lie.

Shapes tell where images are: that axis grows with the batch. Nodes tell where classes are: a
Softmax normalises along them, a convolution or matrix product makes them, and what lies between
that and the output moves them. Where neither tells, an output is values without classes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from onnx import NodeProto, helper

from esnsim.errors import UsageError
from esnsim.evaluate.scores import Kind, Scored
from esnsim.graph.model import Model
from esnsim.model.network import Array

NORMALISED = {"Softmax", "LogSoftmax"}
Telling = Literal["softmax", "sigmoid", "argmax", ""]
TELLING: dict[str, Telling] = {
    "Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid", "HardSigmoid": "sigmoid",
    "ArgMax": "argmax",
}  # fmt: skip
ALONG_1 = {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "BatchNormalization"}
ALONG_LAST = {"Gemm", "MatMul", "MatMulInteger", "QLinearMatMul"}

Shape = tuple[int, ...]
#: The scored output for so many images, in a batch that the file fixes filled with the last.
Probe = Callable[[int], Array]


@dataclass(frozen=True, slots=True)
class Scoring:
    """What the user says of the output that is scored; None leaves it to be found out."""

    output: str | None = None
    class_axis: int | Literal["none"] | None = None
    batch_axis: int | None = None


GUESS = Scoring()


@dataclass(frozen=True, slots=True)
class Trace:
    """What nodes tell of a value: along which axis classes lie, and whether these are
    probabilities along it, one each, or indices.
    """

    class_axis: int | None = None
    told_by: Telling = ""


def scored_name(graph: Model, scoring: Scoring) -> str:
    """The output that is scored: the one that is asked for, or the first of probabilities or
    indices of classes, or the first. Raises UsageError where there is none of that name.
    """
    names = [output.name for output in graph.proto.graph.output]
    if scoring.output is None:
        telling = (name for name in names if trace(graph, name).told_by) if names[1:] else iter(())
        return next(telling, names[0])
    if scoring.output not in names:
        raise UsageError(
            f"the model has no output '{scoring.output}': give one of {', '.join(map(repr, names))}"
        )
    return scoring.output


def find_scored(graph: Model, probe: Probe, fixed: int, scoring: Scoring, labelled: bool) -> Scored:
    """What of the model's outputs is scored.

    `probe` gives the output for some images; `fixed` is the batch that the file fixes, 0 where it
    is free. Raises UsageError for axes that there are not, or where no axis is that of the images.
    """
    name = scored_name(graph, scoring)
    output = probe(fixed or 2)
    if scoring.batch_axis is not None:
        batch: int | None = _axis(scoring.batch_axis, output, "--batch-axis", name)
    elif fixed:
        batch = _fixed_batch_axis(name, output, fixed, probe)
    else:
        batch = _batch_axis(name, output.shape, probe(3).shape)
    if batch is not None and output.shape[batch] != (fixed or 2):
        raise UsageError(
            f"axis {batch} of output '{name}' has the size {output.shape[batch]} for "
            f"{fixed or 2} images: give another --batch-axis"
        )
    found = trace(graph, name, output.shape)
    axis = _class_axis(graph, scoring, found, output, name, batch)
    kind, threshold = _kind(found, axis, output, labelled or scoring.class_axis is not None)
    if scoring.class_axis == "none":
        kind, axis, threshold = "values", None, None
    if kind == "values":
        axis = None
    return Scored(
        output=name, kind=kind, batch_axis=batch, class_axis=axis,
        classes={"classes": output.shape[axis or 0], "threshold": 2}.get(kind),
        threshold=threshold,
        places=tuple(n for i, n in enumerate(output.shape) if i not in (batch, axis)),
    )  # fmt: skip


def trace(graph: Model, name: str, shape: Shape | None = None) -> Trace:
    """What the nodes before a value tell of it; `shape` is known where the graph's is not."""
    told: Telling = ""
    told_at = 0  # how many nodes lie between that and the value
    between: list[tuple[NodeProto, Shape | None, Shape | None]] = []
    shape = graph.scope.get(name).shape or shape
    axis: int | None = None
    while axis is None and name in graph.producers:
        node = graph.nodes[graph.producers[name]]
        axis = _made_along(node, shape, graph.scope.opsets.get("", 1))
        if not told and node.op_type in TELLING:
            told, told_at = TELLING[node.op_type], len(between)
        sources = [n for n in node.input if n and n not in graph.constants]
        if told == "argmax" or axis is not None or not sources:
            break
        name, after, shape = sources[0], shape, graph.scope.get(sources[0]).shape
        between.append((node, shape, after))
    for place, (node, before, after) in reversed(list(enumerate(between))):
        axis = None if axis is None else _moved(axis, before, after, node)
        inputs = [n for n in node.input if n and n not in graph.constants]
        if told_at > place and inputs[1:] and (axis is None or node.op_type != "Concat"):
            told = ""  # of a part of the value alone
    return Trace(axis, told)


def _made_along(node: NodeProto, shape: Shape | None, opset: int) -> int | None:
    """Along which axis of its output a node makes the scores of classes, None if it does not."""
    if node.op_type in ALONG_1:
        return 1
    if shape is None:
        return None
    last = len(shape) - 1
    if node.op_type in ALONG_LAST:
        return last
    if node.op_type not in NORMALISED:
        return None
    axis = _attribute(node, "axis", -1 if opset >= 13 else 1) % max(1, len(shape))
    # Before opset 13 all axes from this one on are normalised together.
    return axis if opset >= 13 or prod(shape[axis + 1 :]) == 1 else None


def _moved(axis: int, before: Shape | None, after: Shape | None, node: NodeProto) -> int | None:
    """Where an axis of a node's input lies in its output."""
    if node.op_type == "Transpose" and before is not None:
        order = _attribute(node, "perm", None) or list(range(len(before)))[::-1]
        return int(order.index(axis))
    if node.op_type == "Concat" and after is not None:
        return None if _attribute(node, "axis", 0) % len(after) == axis else axis
    if before is None or after is None:
        return axis if before is after and node.op_type in ("Identity", "Cast", "Sigmoid") else None
    if axis < len(after) and before[:axis] == after[:axis] and before[axis] == after[axis]:
        return axis
    same = (
        i for i, size in enumerate(after)
        if size == before[axis] and prod(after[:i]) == prod(before[:axis])
    )  # fmt: skip
    return next(same, None)


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    found = (helper.get_attribute_value(item) for item in node.attribute if item.name == name)
    return next(found, default)


def _batch_axis(name: str, two: Shape, three: Shape) -> int:
    """The axis that has the size 2 for two images and 3 for three."""
    pairs = zip(two, three, strict=True) if len(two) == len(three) else ()
    for axis, sizes in enumerate(pairs):
        if sizes == (2, 3):
            return axis
    raise UsageError(
        f"output '{name}' has the shape {two} for 2 images and {three} for 3: no axis of it is "
        "that of the images; choose another with --score-output"
    )


def _fixed_batch_axis(name: str, output: Array, batch: int, probe: Probe) -> int | None:
    """The first axis of the size of a batch, of several the one along which another last image
    changes the last entry alone; None for a batch of 1 that has none.
    """
    axes = [axis for axis, size in enumerate(output.shape) if size == batch]
    if batch > 1 and axes[1:]:
        changed = output != probe(batch - 1)
        axes = [a for a in axes if not changed.take(range(batch - 1), a).any()] or axes
    if axes or batch == 1:
        return axes[0] if axes else None
    raise UsageError(
        f"output '{name}' has the shape {output.shape} for {batch} images: no axis of it is that "
        "of the images; choose another with --score-output"
    )


def _class_axis(
    graph: Model, scoring: Scoring, found: Trace, output: Array, name: str, batch: int | None
) -> int | None:
    if isinstance(scoring.class_axis, int):
        axis = _axis(scoring.class_axis, output, "--class-axis", name)
        if axis == batch:
            raise UsageError(f"axis {axis} of output '{name}' is that of the images: give another")
        return axis
    if found.told_by == "argmax" or output.dtype.kind in "iub" or found.class_axis == batch:
        return None
    if output.ndim == 2 and batch is not None:
        return 1 - batch  # (N, K)
    return None if _is_picture(graph, found, output) else found.class_axis


def _is_picture(graph: Model, found: Trace, output: Array) -> bool:
    """Whether an output has as many channels as the image that goes in, as a denoiser's has."""
    first = next(iter(graph.scope.get(i.name) for i in graph.proto.graph.input), None)
    shape = first.shape if first else None
    if found.told_by or found.class_axis is None or shape is None or len(shape) != output.ndim:
        return False
    return output.ndim >= 4 and shape[found.class_axis] == output.shape[found.class_axis]


def _kind(found: Trace, axis: int | None, output: Array, wanted: bool) -> tuple[Kind, float | None]:
    """How an output is scored, and the threshold of a single score."""
    if axis is None and (found.told_by == "argmax" or output.dtype.kind in "iub"):
        return "indices", None
    if axis is not None and output.shape[axis] > 1:
        return "classes", None
    if found.told_by == "sigmoid":
        return "threshold", 0.5
    if wanted and (axis is not None or output.ndim == 1):
        inside = bool(((output >= 0) & (output <= 1)).all())
        return "threshold", 0.5 if inside else 0.0
    return "values", None


def _axis(axis: int, output: Array, option: str, name: str) -> int:
    if not -output.ndim <= axis < output.ndim:
        raise UsageError(
            f"{option} {axis}: output '{name}' has the axes 0 to {output.ndim - 1}, of sizes "
            f"{', '.join(map(str, output.shape))}"
        )
    return axis % output.ndim
