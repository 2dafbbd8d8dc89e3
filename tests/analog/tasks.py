"""Layers, crossbars and activations that tests of the analog engine share."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from esnsim.machines.crossbar.engine import AnalogEngine, AnalogRun
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.model.network import Codes, Geometry
from esnsim.quantization.quantizer import QuantizedLayer, quantize
from esnsim.quantization.scheme import Scheme
from tests.engines import activations
from tests.networks import layer, network
from tests.strategies import quantized_layers

#: A layer, a crossbar, activations, their zero point, and whether they are signed.
Task = tuple[QuantizedLayer, CrossbarSpec, np.ndarray, int, bool]


@st.composite
def crossbars(draw: st.DrawFn) -> CrossbarSpec:
    """Small arrays without converters, errors and noise, with inverted columns or not."""
    sign = draw(st.sampled_from(["differential", "offset"]))
    return CrossbarSpec(
        rows=draw(st.integers(1, 9)),
        columns=draw(st.integers(2, 9)),
        bits_per_cell=draw(st.sampled_from([None, 1, 2, 3])),
        sign=sign,
        flip=sign == "offset" and draw(st.booleans()),
        activation_bits=draw(st.sampled_from([1, 3, 8])),
        dac_bits=draw(st.sampled_from([None, 1, 2])),
    )


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """A quantised layer, a crossbar, activations, their zero point and sign."""
    chosen, spec, signed = draw(quantized_layers()), draw(crossbars()), draw(st.booleans())
    x, zero = activations(chosen, spec.activation_bits, signed, draw(st.integers(0, 2**32 - 1)))
    return chosen, spec, x, zero, signed


def run(task: Task, seed: int = 0, threads: int = 1, **changes: object) -> AnalogRun:
    chosen, spec, x, zero, signed = task
    engine = AnalogEngine(replace(spec, **changes), threads)
    return engine.run(chosen, x, np.random.default_rng(seed), zero, signed)


def dense_task(spec: CrossbarSpec, filters: int = 64, batch: int = 200) -> Task:
    """A matrix product of 64 channels in 8-bit codes, on uniform activations."""
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(filters, 64)).astype(np.float32)
    made = layer(weights, Geometry(batch))
    x = rng.integers(0, 256, (batch, 64))
    return quantize(network([made]), Scheme("filter-max")).layers[0], spec, x, 0, False


def stored_layer(
    values: np.ndarray, bits: int, geometry: Geometry | None = None, asymmetric: bool = False
) -> QuantizedLayer:
    """A layer of integer codes that are stored in `bits` bits."""
    format_ = Codes(bits, False, asymmetric, lambda: np.ones(values.shape))
    return quantize(network([layer(values.astype(np.int32), geometry, codes=format_)])).layers[0]
