"""A layer, its activations, and the two ways in which it is counted."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from esnsim.machines.base import Activations
from esnsim.machines.named.work import Work, work_of
from esnsim.machines.random_layers import stored_layer
from esnsim.model.network import Codes
from esnsim.quantization.quantizer import QuantizedLayer, codes, quantize
from esnsim.quantization.scheme import Scheme
from tests.engines import activations
from tests.naive.machines import Layer
from tests.strategies import geometries, networks


@dataclass(frozen=True, slots=True)
class Task:
    """A quantised layer on integers of some images."""

    layer: QuantizedLayer
    x: NDArray[np.int64]
    zero: int
    bits: int
    signed: bool

    @property
    def work(self) -> Work:
        given = Activations(self.x, self.zero, self.signed)
        return work_of(self.layer, given, self.bits)

    @property
    def plain(self) -> Layer:
        """The same in plain numbers."""
        geometry, stored = self.layer.layer.geometry, self.layer.layer.weight.codes
        return Layer(
            geometry, dict(np.ndenumerate(codes(self.layer).astype(object))), stored is None,
            self.layer.sums.width_code.tolist(),
            self.layer.live.reshape(geometry.groups, -1).tolist(), self.x, self.zero, self.bits,
            self.signed,
        )  # fmt: skip


@st.composite
def midrise_layers(draw: st.DrawFn) -> QuantizedLayer:
    """Filters of widths 0 to 16, with dead channels, groups, strides, kept zeros or not."""
    scheme = Scheme(
        draw(st.sampled_from(["layer-max", "filter-max"])),
        draw(st.integers(1, 16) | st.sampled_from([1, 16])),
        keep_zeros=draw(st.booleans()),
    )  # fmt: skip
    return draw(st.sampled_from(quantize(draw(networks()), scheme).layers))


@st.composite
def stored_layers(draw: st.DrawFn) -> QuantizedLayer:
    """Integers of 8 bits, filters of different widths, some 0; depthwise at times."""
    geometry = replace(draw(geometries()), groups=draw(st.sampled_from([1, 2, 3])))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    filters, channels = geometry.groups * draw(st.integers(1, 3)), draw(st.integers(1, 5))
    size = 1 << rng.integers(0, 8, (filters, channels, *[1] * len(geometry.kernel)))
    values = rng.integers(-size, size, (filters, channels, *geometry.kernel))
    values[rng.random(len(values)) < 0.2] = 0
    stored = Codes(8, False, False, lambda: np.ones(filters, np.float32))
    return stored_layer(values, geometry, stored)


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """Layers of either kind, not transposed, and few or many zeros among their activations."""
    made = st.one_of(midrise_layers(), stored_layers())
    chosen = draw(made.filter(lambda each: not each.layer.geometry.transposed))
    bits, signed = draw(st.sampled_from([1, 3, 8, 9, 16])), draw(st.booleans())
    images, seed = draw(st.sampled_from([1, 1, 2])), draw(st.integers(0, 2**32 - 1))
    x, zero = activations(chosen, bits, signed, seed, images)
    shift = draw(st.integers(0, bits))
    return Task(chosen, x >> shift, draw(st.sampled_from([0, zero])), bits, signed)
