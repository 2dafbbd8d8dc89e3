"""Readers of attention: the products of queries with keys, and of their weights with values.

All queries meet all keys: a mask, a causal one too, leaves out nothing.
"""

from dataclasses import dataclass, replace
from math import prod

from onnx import NodeProto

from esnsim.importer.constants import attribute
from esnsim.importer.products import (
    CannotCountError,
    Finding,
    Inputs,
    Unweighted,
    Weighted,
    at,
    multiply,
    need,
    shape_of,
)  # fmt: skip
from esnsim.importer.values import Value
from esnsim.model.network import Matrices


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """What attends to what: `depth` and `values` are elements of a query and of a result, all heads
    together; `present` are the shapes of the keys and values that a node gives for the next step.
    """

    batch: int
    queries: int
    keys: int
    depth: int
    values: int
    heads: int = 1
    present: tuple[tuple[int, ...], ...] = ()

    @property
    def product(self) -> Unweighted:
        """Multiply-accumulates of both products."""
        macs = self.batch * self.queries * self.keys * (self.depth + self.values)
        return Unweighted(macs, self.batch, self.matrices)

    @property
    def matrices(self) -> tuple[Matrices, ...]:
        """Queries by keys and weights by values, head by head."""
        number, heads = self.batch * self.heads, self.heads
        return (
            Matrices(number, self.queries, self.depth // heads, self.keys),
            Matrices(number, self.queries, self.keys, self.values // heads),
        )

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the node's outputs, as far as they are known."""
        return [(self.batch, self.queries, self.values), *self.present]


def attention(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    """Attention of ONNX (opset 23): heads on an axis of their own, or side by side in the last."""
    q, k, v = (shape_of(need(inputs, i), name) for i in range(3))
    past = at(inputs, 4)
    before = shape_of(past, name)[2] if past is not None else 0
    if len(q) == 4:
        keys, number = k[2] + before, q[0] * q[1]
        both = Matrices(number, q[2], q[3], keys), Matrices(number, q[2], keys, v[3])
        return [Unweighted(sum(map(prod, both)), q[0], both)]
    heads, kv_heads = _heads(node, "q_num_heads"), _heads(node, "kv_num_heads")
    return [
        Attention(
            batch=q[0],
            queries=q[1],
            keys=k[1] + before,
            depth=q[2],
            values=heads * (v[2] // kv_heads),
            heads=heads,
        ).product
    ]


def group_query(node: NodeProto, inputs: Inputs, name: str) -> Attention:
    """GroupQueryAttention: query, key, value (B, S, H·d), or all three packed into the first.

    With a past, the keys are those of `total_sequence_length` where it is constant, else of the
    whole past and the new ones; how long its buffer is afterwards is not known.
    """
    (batch, queries, width), past = shape_of(need(inputs, 0), name)[:3], at(inputs, 3)
    heads, kv_heads = _heads(node, "num_heads"), _heads(node, "kv_num_heads")
    packed = at(inputs, 1) is None
    head = width // (heads + 2 * kv_heads if packed else heads)
    keys = queries + (shape_of(past, name)[2] if past is not None else 0)
    total = at(inputs, 6)
    if past is not None and total is not None and total.constant is not None:
        keys = int(total.constant.read().ravel()[0])
    present = () if past is not None else ((batch, kv_heads, queries, head),) * 2
    return Attention(
        batch=batch,
        queries=queries,
        keys=keys,
        depth=heads * head,
        values=heads * head,
        heads=heads,
        present=present,
    )


def multi_head(node: NodeProto, inputs: Inputs, name: str) -> Attention:
    """MultiHeadAttention: query (B, S, H·d), keys and values alike, or by head, or packed."""
    q, heads = shape_of(need(inputs, 0), name), _heads(node, "num_heads")
    batch, queries = q[:2]
    if len(q) == 5:  # (B, S, H, 3, d)
        return Attention(
            batch=batch, queries=queries, keys=queries, depth=q[2] * q[4], values=q[2] * q[4],
            heads=heads,
        )  # fmt: skip
    k = shape_of(need(inputs, 1), name)
    if len(k) == 5:  # (B, T, H, 2, d)
        return Attention(
            batch=batch, queries=queries, keys=k[1], depth=q[2], values=k[2] * k[4], heads=heads
        )
    v, past = shape_of(need(inputs, 2), name), at(inputs, 6)
    by_head = len(k) == 4  # (B, H, T, d)
    keys = k[2] if by_head else k[1] + (shape_of(past, name)[2] if past is not None else 0)
    values = v[1] * v[3] if by_head else v[2]
    present = tuple((batch, heads, keys, width // heads) for width in (q[2], values))
    return Attention(
        batch=batch, queries=queries, keys=keys, depth=q[2], values=values, heads=heads,
        present=present,
    )  # fmt: skip


def self_attention(node: NodeProto, inputs: Inputs, name: str) -> Attention:
    """Attention of com.microsoft, whose weights (I, Hq + Hk + Hv) make queries, keys and values."""
    batch, queries = shape_of(need(inputs, 0), name)[:2]
    weights, past = at(inputs, 1), at(inputs, 8 if node.op_type == "QAttention" else 4)
    if weights is None or weights.shape is None:
        raise CannotCountError("its weights have no shape")
    heads, sizes = _heads(node, "num_heads"), attribute(node, "qkv_hidden_sizes")
    width = weights.shape[-1] // 3
    depth, _, values = sizes if isinstance(sizes, list) and len(sizes) == 3 else (width,) * 3
    keys = queries + (shape_of(past, name)[3] if past is not None else 0)
    present = ((2, batch, heads, keys, values // heads),)
    return Attention(
        batch=batch, queries=queries, keys=keys, depth=depth, values=values, heads=heads,
        present=present,
    )  # fmt: skip


def projected(node: NodeProto, inputs: Inputs, weights: Value, name: str) -> list[Finding]:
    """The findings of com.microsoft's Attention: its weights, and the products that they feed."""
    x = need(inputs, 0)
    found = self_attention(node, inputs, name)
    [made] = multiply(x, weights, name)
    if isinstance(made, Weighted):  # what it gives stays inside the operator
        made = replace(made, output=None, output_shape=None)
    return [made, found.product]


def _heads(node: NodeProto, name: str) -> int:
    value = attribute(node, name, 1)
    if not isinstance(value, int) or value < 1:
        raise CannotCountError("its numbers of heads are not given")
    return value
