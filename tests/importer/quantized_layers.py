"""What tests of quantised models share: random integers and scales, and the check of a layer."""

from typing import Any

import ml_dtypes
import numpy as np

from esnsim import Layer
from tests.importer.models import Array

RNG = np.random.default_rng(7)
FLOATS = np.concatenate([np.arange(-9, 9) / 4, [-200, 200]]).astype(np.float32).reshape(4, 5)


def integers(*shape: int, dtype: Any = np.int8) -> Array:
    """Integers over the whole range of a type."""
    kind = ml_dtypes.iinfo(dtype)
    return RNG.integers(int(kind.min), int(kind.max) + 1, shape).astype(dtype)


def positive(*shape: int) -> Array:
    """Scales, all different."""
    return RNG.uniform(0.01, 0.1, shape).astype(np.float32)


def check(layer: Layer, codes: Array, scale: Array, bits: int, asymmetric: bool = False) -> None:
    """The layer has these integers (M, C/g, *kernel) at these steps."""
    found = layer.weight.codes
    assert found is not None
    loaded = layer.weight.load()
    assert loaded.dtype.kind == "i"
    np.testing.assert_array_equal(loaded, codes)
    np.testing.assert_array_equal(found.scale(), np.broadcast_to(scale, codes.shape))
    assert (found.bits, found.midrise, found.asymmetric) == (bits, False, asymmetric)


def wide(array: Array) -> Array:
    return array.astype(np.int32)
