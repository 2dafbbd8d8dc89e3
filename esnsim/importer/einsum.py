"""Einsum of two operands, where it is a matrix product."""

from collections.abc import Sequence
from math import prod

import numpy as np
from onnx import NodeProto

from esnsim.importer.channels import channel_ids
from esnsim.importer.constants import attribute
from esnsim.importer.products import Unweighted, Weighted, shape_of
from esnsim.importer.values import Value
from esnsim.model.network import Array, Geometry


def equation_of(node: NodeProto) -> str:
    """The equation of an Einsum, empty where it has none."""
    equation = attribute(node, "equation", b"")
    return equation.decode() if isinstance(equation, bytes) else ""


def weighted_einsum(
    equation: str, operands: Sequence[Value], constant: int, name: str
) -> Weighted | None:
    """The weights of an Einsum with one constant operand; None where it is no matrix product.

    Labels of the constant are contracted (in the other operand, not in the output: the input
    channels), free (in the output alone: filters), or batch (in both: groups).
    """
    sizes = _sizes(equation, operands, name)
    w = operands[constant].constant
    if sizes is None or w is None:
        return None
    terms, out, size = sizes
    x_labels, w_labels = terms[1 - constant], terms[constant]
    batch = [c for c in w_labels if c in x_labels and c in out]
    contracted = [c for c in w_labels if c in x_labels and c not in out]
    free = [c for c in w_labels if c not in x_labels]
    if any(c not in out for c in free) or any(c not in out + "".join(w_labels) for c in x_labels):
        return None
    groups = prod(size[c] for c in batch)
    filters = groups * prod(size[c] for c in free)
    fan_in = prod(size[c] for c in contracted)
    order = [w_labels.index(c) for c in (*batch, *free, *contracted)]

    def arrange(a: Array) -> Array:
        return a.transpose(order).reshape(filters, fan_in)

    uses = prod(size[c] for c in x_labels if c not in w_labels)
    axes = [x_labels.index(c) for c in (*batch, *contracted)]
    ids = channel_ids(operands[1 - constant], axes, [size[c] for c in (*batch, *contracted)])
    geometry = Geometry(batch=max(1, uses), groups=max(1, groups))
    return Weighted(
        constant=w,
        shape=(filters, fan_in),
        arrange=arrange,
        geometry=geometry,
        channels=np.ascontiguousarray(ids),
    )


def einsum_product(equation: str, operands: Sequence[Value], name: str) -> Unweighted | None:
    """An Einsum of two activations; None for other numbers of them."""
    sizes = _sizes(equation, operands, name)
    if sizes is None:
        return None
    (left, right), out, size = sizes
    outer = prod(size[c] for c in left if c in right and c in out)
    return Unweighted(prod(size.values()), outer)


def _sizes(
    equation: str, operands: Sequence[Value], name: str
) -> tuple[list[str], str, dict[str, int]] | None:
    """Labels of both operands, of the output, and the size of each label."""
    shapes = [v.constant.shape if v.constant else shape_of(v, name) for v in operands]
    terms, out = labels(equation, [len(shape) for shape in shapes])
    if len(terms) != 2 or len(operands) != 2:
        return None
    size: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if len(shape) != len(term) or len(set(term)) != len(term):
            return None
        for label, n in zip(term, shape, strict=True):
            if size.setdefault(label, n) != n:
                return None
    return terms, out, size


def labels(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Labels of the operands and of the output, each axis under "..." with one of its own."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    if not arrow:
        once = sorted(c for c in set(left) - set(",.") if left.count(c) == 1)
        out = "..." * ("..." in left) + "".join(once)
    terms = left.split(",")
    hidden = [max(0, r - len(t) + 3) for t, r in zip(terms, ranks, strict=False) if "..." in t]
    spare = "".join(map(chr, range(0x391, 0x391 + max(hidden, default=0))))  # Greek: no label is
    for index, rank in enumerate(ranks[: len(terms)]):
        count = max(0, rank - len(terms[index]) + 3)
        terms[index] = terms[index].replace("...", spare[len(spare) - count :])
    return terms, out.replace("...", spare)
