"""Sequences and optionals: the tensors in them, followed where their places are constant."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto, helper

from esnsim.importer.constants import attribute
from esnsim.importer.values import Constant, Value, constant_value, known

Inputs = Sequence[Value | None]
#: Operators that make a sequence or an optional, or take from one.
SEQUENCES = {
    "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt",
    "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
    "SplitToSequence",
}  # fmt: skip


def sequence_output(node: NodeProto, inputs: Inputs) -> Value | None:
    """The output of one of SEQUENCES; None where what it holds is not known."""
    name, op = node.output[0], node.op_type
    first = inputs[0] if inputs else None
    if op in ("SequenceConstruct", "SequenceEmpty", "Optional"):
        return Value(name=name, parts=tuple(_inside(v) for v in inputs if v is not None))
    if first is None:
        return None
    if op == "SplitToSequence":
        return _split(node, first, inputs[1] if len(inputs) > 1 else None)
    if op == "OptionalGetElement" and first.parts is None:
        return first
    if first.parts is None:
        return None
    if op in ("SequenceLength", "OptionalHasElement"):
        kind = np.int64 if op == "SequenceLength" else np.bool_
        return constant_value(known(np.array(len(first.parts), kind), name), name)
    if op == "ConcatFromSequence":
        return _stacked(node, first.parts)
    return _edited(op, name, first.parts, inputs)


def _edited(op: str, name: str, parts: tuple[Value, ...], inputs: Inputs) -> Value | None:
    """A sequence with one tensor more or less, or the tensor at a place."""
    inserted = inputs[1] if op == "SequenceInsert" and len(inputs) > 1 else None
    given = inputs[2:3] if op == "SequenceInsert" else inputs[1:2]
    at = len(parts) - (inserted is None)
    if given and given[0] is not None:
        if given[0].constant is None:
            return _common(parts) if op == "SequenceAt" else None
        at = int(given[0].constant.read())
        at += len(parts) if at < 0 else 0
    if not 0 <= at < len(parts) + (inserted is not None):
        return None
    if inserted is not None:
        return Value(name=name, parts=(*parts[:at], _inside(inserted), *parts[at:]))
    if op == "SequenceErase":
        return Value(name=name, parts=parts[:at] + parts[at + 1 :])
    return parts[at]


def _common(parts: tuple[Value, ...]) -> Value | None:
    """Any of these tensors: their type, where they share one."""
    shapes = {part.shape for part in parts}
    return Value(name="", type=parts[0].type) if len(shapes) == 1 else None


def concatenation(node: NodeProto, inputs: Inputs) -> tuple[NodeProto, list[Value | None]] | None:
    """A ConcatFromSequence as a Concat of the tensors; None where it is none of known ones."""
    parts = inputs[0].parts if inputs and inputs[0] is not None else None
    if node.op_type != "ConcatFromSequence" or not parts or attribute(node, "new_axis", 0):
        return None
    named = [replace(part, name=f"{place}:{part.name}") for place, part in enumerate(parts)]
    names, axis = [part.name for part in named], attribute(node, "axis")
    return helper.make_node("Concat", names, [*node.output], node.name, axis=axis), [*named]


def _stacked(node: NodeProto, parts: tuple[Value, ...]) -> Value | None:
    """The output of a ConcatFromSequence along a new axis: its shape."""
    one, axis = _common(parts), attribute(node, "axis")
    if one is None or one.shape is None or not isinstance(axis, int):
        return None
    place = axis % (len(one.shape) + 1)
    whole = (*one.shape[:place], len(parts), *one.shape[place:])
    return Value(name=node.output[0], type=helper.make_tensor_type_proto(one.elem_type, whole))


def _split(node: NodeProto, x: Value, sizes: Value | None) -> Value | None:
    """A tensor cut along an axis: into ones, into equal parts (the last smaller), or by sizes."""
    axis, shape = attribute(node, "axis", 0), x.shape
    if shape is None or not isinstance(axis, int) or (sizes is not None and not sizes.constant):
        return None
    axis %= len(shape)
    given = sizes.constant.read() if sizes is not None and sizes.constant else np.array(1)
    step = max(1, int(given)) if given.ndim == 0 else 1
    ends = np.cumsum(given) if given.ndim else range(step, shape[axis] + step, step)
    flat = sizes is None and not attribute(node, "keepdims", 1)
    parts, start = [], 0
    for end in ends:
        parts.append(_part(x, axis, slice(start, min(int(end), shape[axis])), flat))
        start = int(end)
    return Value(name=node.output[0], parts=tuple(parts))


def _part(x: Value, axis: int, span: slice, flat: bool) -> Value:
    """A part of a tensor along an axis, which goes where `flat`."""
    cut = (*(slice(None),) * axis, span.start if flat else span)
    size = () if flat else (span.stop - span.start,)
    shape = (*(x.shape or ())[:axis], *size, *(x.shape or ())[axis + 1 :])
    ids = x.channels
    if ids is not None:
        ids = ids[cut] if ids.shape[axis] > 1 else ids.squeeze(axis) if flat else ids
    name = f"{x.name}[{span.start}]"
    constant: Constant | None = None
    if x.constant is not None:
        constant = replace(x.constant.moved(lambda a: a[cut], shape), origin=name)
    proto = helper.make_tensor_type_proto(x.elem_type, shape)
    return Value(name=name, type=proto, constant=constant, channels=ids)


def _inside(value: Value) -> Value:
    """A tensor as it stands in a sequence: others may read it there too."""
    return replace(value, producer=None)
