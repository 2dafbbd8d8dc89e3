"""What tests of the engines share: activations for a layer, their scale, and its outputs."""

import numpy as np

from esnsim.machines.activations import ActivationScale, Calibration
from esnsim.quantization.quantizer import QuantizedLayer, codes
from tests.naive.convolution import convolve


def activations(
    chosen: QuantizedLayer, bits: int, signed: bool, seed: int, images: int = 1
) -> tuple[np.ndarray, int]:
    """Random integers (images·batch, C, *input_size) over the range, and a zero point in it."""
    rng = np.random.default_rng(seed)
    low = -(1 << bits - 1) if signed else 0
    geometry = chosen.layer.geometry
    shape = (images * geometry.batch, len(chosen.layer.channels), *geometry.input_size)
    x = rng.integers(low, low + (1 << bits), shape)
    return x, int(rng.integers(low, low + (1 << bits)))


def exact(chosen: QuantizedLayer, x: np.ndarray, zero: int) -> np.ndarray:
    """The integer convolution of live codes by live channels."""
    alive = (chosen.sums.width_code > 0).reshape(-1, *[1] * (codes(chosen).ndim - 1))
    live = chosen.live.reshape(1, -1, *[1] * (x.ndim - 2))
    q = np.where(alive, codes(chosen), 0).astype(np.int64)
    return convolve(np.where(live, x - zero, 0), q, chosen.layer.geometry)


def calibrate(
    values: np.ndarray, bits: int = 8, percentile: float | None = None, signed: bool = False
) -> ActivationScale:
    """The scale of one array."""
    calibration = Calibration()
    calibration.add(values)
    return calibration.scale(bits, percentile, signed)
