"""Weights that com.microsoft packs several to a byte: MatMulNBits and MatMulBnb4."""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from esnsim.errors import ModelError
from esnsim.importer.constants import attribute
from esnsim.importer.products import CannotCountError, shape_of
from esnsim.importer.quantized import off_centre
from esnsim.importer.values import Coded, Constant, Value
from esnsim.model.network import Array

# The 16 levels of MatMulBnb4 by its attribute quant_type: FP4 has a sign bit, then 0 to 1; NF4
# are quantiles of the normal distribution (Dettmers et al. 2023, arXiv:2305.14314, appendix E).
HALF_FP4 = (0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4)
LEVELS = {
    0: ("float4", (*HALF_FP4, *(-level for level in HALF_FP4))),
    1: (
        "normal float4",
        (-1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0,
         0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1),
    ),
}  # fmt: skip


def unpack_nbits(node: NodeProto, inputs: Sequence[Constant | None], name: str) -> Constant:
    """The (N, K) weights of MatMulNBits, from B (N, ⌈K/block⌉, block·bits/8), low bits first.

    `inputs` are B, scales, zero points and g_idx. Without zero points the codes are offset by
    2^(bits−1). Zero points that all lie halfway between two integers make midrise codes, others
    that are not whole floats.
    """
    packed, scales, zeros, order = inputs
    n, k, bits, block = (_integer(node, a) for a in ("N", "K", "bits", "block_size"))
    bits = bits or 4
    if not 1 <= bits <= 8 or min(n, k, block) < 1 or block * bits % 8:
        raise CannotCountError(
            f"it packs {n}×{k} weights of {bits} bits in blocks of {block}, and esnsim reads 1 to "
            "8 bits in whole bytes"
        )
    blocks = -(-k // block)
    packed, scales = _checked(packed, n * blocks * block * bits // 8, scales, n * blocks, name)

    def per_weight(values: Array) -> Array:
        table = values.reshape(n, blocks)
        if order is not None:  # g_idx: the block of each input channel
            return np.take(table, order.read().ravel().astype(np.int64)[:k], axis=1)
        return np.repeat(table, block, axis=1)[:, :k]

    zero = _zero_points(zeros, n, blocks, bits)
    whole = bool((zero == np.rint(zero)).all())
    midrise = bool((zero + 0.5 == np.rint(zero + 0.5)).all())
    unit = 2 if midrise else 1  # midrise integers are q = 2·W_int
    number = np.int32 if whole or midrise else np.float32

    def centred() -> Array:
        codes = _unpacked(packed.read().reshape(n, -1), bits)[:, :k]
        return unit * codes.astype(number) - per_weight((unit * zero).astype(number))

    def steps() -> Array:
        return per_weight(scales.read())

    middle = ((1 << bits) - 1) / 2
    off = bool((zero != middle).any()) if midrise else off_centre(zero, bits, unsigned=True)
    coded = Coded(integers=centred, scale=steps, bits=bits, midrise=midrise, asymmetric=off)
    return Constant(
        shape=(n, k), dtype=scales.dtype, origin=packed.origin,
        read=lambda: centred() * steps() / unit, bits=None,
        coded=coded if whole or midrise else None,
        uncoded=f"uint{bits} with fractional zero points",
    )  # fmt: skip


def unpack_bnb4(node: NodeProto, inputs: Sequence[Constant | None], name: str) -> Constant:
    """The (N, K) weights of MatMulBnb4: floats of four bits, the first in the high ones.

    `inputs` are B and the scale of each block of weights, which run on from row to row.
    """
    n, k, block = (_integer(node, a) for a in ("N", "K", "block_size"))
    kind = _integer(node, "quant_type")
    if min(n, k, block) < 1 or kind not in LEVELS:
        raise CannotCountError(
            f"it packs {n}×{k} weights of type {kind} in blocks of {block}, and esnsim reads "
            "type 0 (FP4) and 1 (NF4)"
        )
    size = n * k
    packed, scales = _checked(inputs[0], -(-size // 2), inputs[1], -(-size // block), name)
    title, levels = LEVELS[kind]

    def read() -> Array:
        codes = _unpacked(packed.read().reshape(1, -1), 4).reshape(-1, 2)[:, ::-1].ravel()[:size]
        steps = np.repeat(scales.read().ravel(), block)[:size]
        return np.asarray(np.array(levels, scales.dtype)[codes] * steps).reshape(n, k)

    return Constant(
        shape=(n, k), dtype=scales.dtype, origin=packed.origin, read=read, uncoded=title
    )


def gathered(node: NodeProto, inputs: Sequence[Value]) -> tuple[int, ...]:
    """The shape that GatherBlockQuantized looks up in data of bytes or of narrower integers."""
    (data, indices), bits = (shape_of(v, v.name) for v in inputs), _integer(node, "bits") or 4
    axis = _integer(node, "gather_axis") % len(data)
    if inputs[0].dtype == np.uint8 and bits < 8:
        data = (*data[:-1], data[-1] * 8 // bits)
    return (*data[:axis], *indices, *data[axis + 1 :])


def _checked(
    packed: Constant | None, size: int, scales: Constant | None, blocks: int, name: str
) -> tuple[Constant, Constant]:
    if packed is None or scales is None or packed.size != size or scales.size != blocks:
        held = [0 if c is None else c.size for c in (packed, scales)]
        raise ModelError(
            f"'{name}' needs {size:,} bytes of weights and {blocks:,} scales but holds "
            f"{held[0]:,} and {held[1]:,}: the model is damaged"
        )
    return packed, scales


def _zero_points(zeros: Constant | None, n: int, blocks: int, bits: int) -> Array:
    """The zero points (N, blocks), packed as the weights are where they are bytes."""
    if zeros is None:
        return np.full((n, blocks), 1 << bits - 1, np.int32)
    stored = zeros.read()
    if stored.dtype != np.uint8:
        return np.asarray(stored.reshape(n, blocks).astype(np.float32))
    return _unpacked(stored.reshape(n, -1), bits)[:, :blocks].astype(np.int32)


def _unpacked(rows: Array, bits: int) -> Array:
    """Codes (R, ⌊8·B/bits⌋) out of rows of bytes (R, B): a stream of bits, low ones first."""
    if 8 % bits == 0:
        shifts = np.arange(0, 8, bits, dtype=np.uint8)
        split = (rows[:, :, None] >> shifts) & ((1 << bits) - 1)
        return np.asarray(split.reshape(len(rows), -1))
    count = 8 * rows.shape[1] // bits
    stream = np.unpackbits(rows, axis=1, bitorder="little")[:, : count * bits]
    places = 1 << np.arange(bits, dtype=np.uint8)
    return np.asarray((stream.reshape(len(rows), count, bits) * places).sum(2, dtype=np.uint8))


def _integer(node: NodeProto, name: str) -> int:
    value = attribute(node, name, 0)
    return value if isinstance(value, int) else 0
