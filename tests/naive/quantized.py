"""Quantised weights as ONNX, com.microsoft and QONNX define them, an element at a time."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ROUNDINGS: dict[str, Callable[[float], float]] = {
    "ROUND": round,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "UP": lambda v: math.copysign(math.ceil(abs(v)), v),
    "DOWN": lambda v: math.copysign(math.floor(abs(v)), v),
    "HALF_UP": lambda v: math.copysign(math.floor(abs(v) + 0.5), v),
    "HALF_DOWN": lambda v: math.copysign(math.ceil(abs(v) - 0.5), v),
}


def quantize_linear(x: Array, scale: Array, zero: Array, low: int, high: int) -> Array:
    """QuantizeLinear: saturate(round(x/scale) + zero) − zero, half to even."""
    x, scale, zero = np.broadcast_arrays(x, scale, zero)
    out = np.zeros(x.shape, np.int64)
    for at in np.ndindex(*x.shape):
        code = round(float(x[at] / scale[at])) + int(zero[at])
        out[at] = min(max(code, low), high) - int(zero[at])
    return out


def qonnx_quant(
    x: Array, scale: Array, zero: float, bits: int, signed: bool, narrow: bool, rounding: str
) -> Array:
    """Quant: round(clip(x/scale + zero)) − zero, for widths above one bit."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    low, high = (low + narrow, high) if signed else (low, high - narrow)
    x, scale = np.broadcast_arrays(x, scale)
    out = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        clipped = min(max(float(x[at] / scale[at]) + zero, low), high)
        out[at] = ROUNDINGS[rounding](clipped) - zero
    return out


def pack(codes: Array, bits: int) -> Array:
    """Codes (…, n) as bytes (…, ⌈n·bits/8⌉): bit i of code k is bit k·bits + i of the row."""
    out = np.zeros((*codes.shape[:-1], -(-codes.shape[-1] * bits // 8)), np.uint8)
    for *row, at in np.ndindex(*codes.shape):
        for i in range(bits):
            byte, place = divmod(at * bits + i, 8)
            out[(*row, byte)] |= (int(codes[(*row, at)]) >> i & 1) << place
    return out
