"""Quantised constants: QuantizeLinear, DequantizeLinear, Clip between them, and QONNX's nodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto, helper

from esnsim.errors import ModelError
from esnsim.importer.constants import attribute
from esnsim.importer.values import WIDEST, Coded, Constant, thin, width_of
from esnsim.model.network import Array

WIDEST_QUANT = 64  # bits of a Quant node

ROUNDINGS: Mapping[str, Callable[[Array], Array]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda a: np.sign(a) * np.ceil(np.abs(a)),
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "HALF_UP": lambda a: np.sign(a) * np.floor(np.abs(a) + 0.5),
    "HALF_DOWN": lambda a: np.sign(a) * np.ceil(np.abs(a) - 0.5),
}


def fold_quantized(node: NodeProto, inputs: Sequence[Constant | None]) -> Constant | None:
    """The output of a quantisation node whose inputs are all constant; None for other nodes."""
    x, second, third, fourth = [*inputs, None, None, None, None][:4]
    if x is None:
        return None
    if node.op_type == "DequantizeLinear" and second is not None:
        axis, block = _number(node, "axis", 1), _number(node, "block_size", 0)
        return dequantize(x, second, third, axis, block, node.output[0])
    if node.op_type == "QuantizeLinear" and second is not None:
        return _quantize(node, x, second, third)
    if node.op_type == "Clip" and x.bits is not None:
        return _clip(node, x, second, third)
    if node.op_type in ("Quant", "IntQuant") and second and third and fourth:
        return _qonnx_quant(node, x, second, third, fourth)
    if node.op_type == "BipolarQuant" and second is not None:
        return _bipolar(x, second)
    return replace(x, uncoded="FloatQuant") if node.op_type == "FloatQuant" else None


def dequantize(
    x: Constant, scale: Constant | None, zero: Constant | None, axis: int, block: int, name: str
) -> Constant:
    """(x − zero)·scale, with its codes; scale and zero per tensor, per axis or blocked.

    What is stored as float8 or float4, or in more than 16 bits, has no codes.
    """
    dtype = np.dtype(np.float32) if scale is None else scale.dtype
    number = np.float32 if x.bits is None else np.int32 if x.bits <= WIDEST else np.int64

    def centred() -> Array:
        codes = x.read().astype(number)
        return codes if zero is None else codes - _full(zero, x, axis, block, name).astype(number)

    def steps() -> Array:
        if scale is None:
            return np.broadcast_to(np.float64(1), x.shape)
        return _full(scale, x, axis, block, name)

    coded = None
    if x.bits is not None and x.bits <= WIDEST:
        unsigned = x.dtype.name.startswith("u")
        off = zero is not None and off_centre(zero.read(), x.bits, unsigned)
        coded = Coded(integers=centred, scale=steps, bits=x.bits, asymmetric=off)
    return Constant(
        shape=x.shape, dtype=dtype, origin=x.origin,
        read=lambda: (centred() * steps()).astype(dtype), bits=None, coded=coded,
        uncoded=x.dtype.name,
    )  # fmt: skip


def positive(coded: Coded) -> Coded:
    """The same weights at steps above 0: a negative step turns the integers, at 0 they are 0."""

    def integers() -> Array:
        q, steps = coded.integers(), thin(coded.scale())
        return q if (steps > 0).all() else q * np.where(steps < 0, -1, steps != 0)

    def scale() -> Array:
        full = coded.scale()
        steps = thin(full)
        if (steps > 0).all():
            return full
        return np.broadcast_to(np.where(steps == 0, 1, np.abs(steps)), full.shape)

    return replace(coded, integers=integers, scale=scale)


def off_centre(zeros: Array, bits: int | Array, unsigned: bool) -> bool:
    """Whether a zero point is neither 0 nor the middle of an unsigned range."""
    middle = 2.0 ** (np.asarray(bits) - 1) if unsigned else 0
    return bool(((zeros != 0) & (zeros != middle)).any())


def _full(parameter: Constant, x: Constant, axis: int, block: int, name: str) -> Array:
    """A scale or zero point in the shape of x."""
    values = parameter.read()
    if values.size == 1:
        return np.broadcast_to(values.reshape(()), x.shape)
    axis = axis % max(1, len(x.shape))
    if block:
        values = np.repeat(values, min(block, x.shape[axis]), axis)[
            tuple(slice(n) if a == axis else slice(None) for a, n in enumerate(x.shape))
        ]
    elif values.ndim == 1:
        values = values.reshape([-1 if a == axis else 1 for a in range(len(x.shape))])
    try:
        return np.broadcast_to(values, x.shape)
    except ValueError:
        raise ModelError(
            f"'{name}' has a scale or zero point of shape {parameter.shape} for a tensor of shape "
            f"{x.shape} on axis {axis}: the model is damaged; quantise it again"
        ) from None


def _quantize(
    node: NodeProto, x: Constant, scale: Constant, zero: Constant | None
) -> Constant | None:
    dtype = zero.dtype if zero is not None else np.dtype(np.uint8)
    declared = _number(node, "output_dtype", 0)
    if declared and zero is None:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(declared))
    bits = width_of(dtype)
    if bits is None:
        return None
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1)
    if dtype.name.startswith("u"):
        low, high = 0, (1 << bits) - 1
    axis, block = _number(node, "axis", 1), _number(node, "block_size", 0)

    def read() -> Array:
        scales = _full(scale, x, axis, block, node.output[0])
        codes = np.rint(_divided(x.read(), scales, node))
        if zero is not None:
            codes = codes + _full(zero, x, axis, block, node.output[0]).astype(np.int32)
        return np.asarray(np.clip(codes, low, high).astype(np.int32).astype(dtype))

    return Constant(shape=x.shape, dtype=dtype, origin=x.origin, read=read, bits=bits)


def _divided(x: Array, scale: Array, node: NodeProto) -> Array:
    """x/scale in the type of the weights, as the model itself computes it."""
    with np.errstate(all="ignore"):
        ratio = x / scale
    if not np.isfinite(ratio).all():
        raise ModelError(
            f"'{node.output[0]}' quantises weights that are not finite, or by a scale of 0: "
            "mend the model and quantise it again"
        )
    return np.asarray(ratio)


def clipped_bits(
    node: NodeProto, stored: int, low: Constant | None, high: Constant | None
) -> int | None:
    """The width of integers of `stored` bits after a Clip; None where its ends are not known."""
    limits = _limits(node, low, high)
    if limits is None:
        return None
    a, b = limits
    signed = (-a - 1).bit_length() if a < 0 else 0
    bits = max(signed, b.bit_length()) + 1 if a < 0 else b.bit_length()
    return max(1, min(bits, stored))


def _limits(node: NodeProto, low: Constant | None, high: Constant | None) -> tuple[int, int] | None:
    found = [
        int(c.read().ravel()[0]) if c is not None and c.size else attribute(node, name)
        for c, name in ((low, "min"), (high, "max"))
    ]
    if any(not isinstance(limit, int | float) for limit in found):
        return None
    return int(found[0]), int(found[1])  # type: ignore[call-overload]


def _clip(
    node: NodeProto, x: Constant, low: Constant | None, high: Constant | None
) -> Constant | None:
    limits, bits = _limits(node, low, high), clipped_bits(node, x.bits or 32, low, high)
    if limits is None:
        return None
    (a, b), dtype = limits, x.dtype
    return Constant(
        shape=x.shape, dtype=dtype, origin=x.origin,
        read=lambda: np.clip(x.read().astype(np.int32), a, b).astype(dtype), bits=bits,
    )  # fmt: skip


def _qonnx_quant(
    node: NodeProto, x: Constant, scale: Constant, zero: Constant, width: Constant
) -> Constant:
    """Quant of QONNX: clips before it rounds; a zero point of −½ makes a midrise code.

    Widths are one, or broadcast to x. One signed bit is ±1, as in BipolarQuant.
    """
    widths = np.ceil(width.read().astype(np.float64))
    signed, narrow = _number(node, "signed", 1), _number(node, "narrow", 0)
    mode = attribute(node, "rounding_mode", b"ROUND")
    name = mode.decode().upper() if isinstance(mode, bytes) else "ROUND"
    zeros = zero.read()
    known = bool(((widths >= 1) & (widths <= WIDEST_QUANT)).all()) and widths.size > 0
    if not known or name not in ROUNDINGS:
        raise ModelError(
            f"'{node.output[0]}' quantises to {', '.join(f'{w:g}' for w in np.unique(widths)[:4])} "
            f"bits with rounding '{name}': esnsim reads 1 to {WIDEST_QUANT} bits and "
            f"{', '.join(ROUNDINGS)}"
        )
    binary = bool(signed) and not zeros.any() and bool((widths == 1).any())
    if binary and (widths == 1).all():
        return _bipolar(x, scale)
    half = 2.0 ** (widths - 1)
    low, high = (narrow - half, half - 1) if signed else (0 * half, 2 * half - 1 - narrow)
    midrise, whole = bool((zeros == -0.5).all()), bool((zeros == np.rint(zeros)).all())

    def values() -> Array:
        ratio = _divided(x.read(), scale.read(), node)
        rounded = ROUNDINGS[name](np.clip(ratio + zeros, low, high)) - zeros
        return np.where((widths == 1) & binary, np.where(ratio >= 0, 1, -1), rounded)

    def steps() -> Array:
        return np.broadcast_to(scale.read(), x.shape)

    coded, bits = None, int(widths.max())
    if (midrise or whole) and bits <= WIDEST and not binary:  # ±1 beside wider codes has none
        off = whole and off_centre(zeros, widths, not signed)
        double = 2 if midrise else 1
        coded = Coded(
            integers=lambda: (values() * double).astype(np.int32),
            scale=steps,
            bits=bits,
            midrise=midrise,
            asymmetric=off,
        )
    return Constant(
        shape=x.shape, dtype=x.dtype, origin=x.origin,
        read=lambda: (values() * steps()).astype(x.dtype), bits=None, coded=coded,
        uncoded=node.op_type,
    )  # fmt: skip


def _bipolar(x: Constant, scale: Constant) -> Constant:
    """BipolarQuant of QONNX: ±1 times the scale, a midrise code of one bit at twice the scale."""

    def signs() -> Array:
        return np.where(x.read() >= 0, 1, -1).astype(np.int32)

    def steps() -> Array:
        return np.broadcast_to(2 * scale.read().astype(np.float64), x.shape)

    return Constant(
        shape=x.shape, dtype=x.dtype, origin=x.origin,
        read=lambda: (signs() * steps() / 2).astype(x.dtype), bits=None,
        coded=Coded(integers=signs, scale=steps, bits=1, midrise=True),
    )  # fmt: skip


def _number(node: NodeProto, name: str, default: int) -> int:
    value = attribute(node, name, default)
    return value if isinstance(value, int) else default
