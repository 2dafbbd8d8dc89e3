"""MAC operators on an engine's integers: quantise, run, rescale, add what the array leaves out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import UsageError
from esnsim.machines.activations import ActivationScale, quantize
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.program import Program
from esnsim.machines.array.spec import ArraySpec
from esnsim.model.network import Array
from esnsim.quantization.complement import is_midrise
from esnsim.quantization.filter_sums import midrise_sums, stored_sums
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork
from esnsim.run.cut import Compute
from esnsim.run.macs import MacNode


class HasOutputs(Protocol):
    """What an engine's run gives: outputs (batch, M, *output_size), in ½ steps where midrise."""

    @property
    def outputs(self) -> NDArray[Any]:
        """Exact integers, or what an analog array makes of them."""


#: Runs a layer on integers x (batch, C, *input_size) with a zero point, signed or not.
EngineRun = Callable[[QuantizedLayer, Array, int, bool], HasOutputs]


def quantized_compute(
    quantized: QuantizedNetwork, run: EngineRun, scales: Mapping[int, ActivationScale]
) -> Compute:
    """Each MAC operator by an engine, on activations quantised by the model's own scale.

    Where the model has none, by that of `scales`, by index of the layer. Weights that read dead
    channels take no part in the run: what they give is computed beside it and added.
    """
    parts: dict[int, ConstantPart] = {}
    units = [output_steps(layer) for layer in quantized.layers]

    def compute(mac: MacNode, activation: Array, others: Mapping[int, Array]) -> Array:
        layer, scale = quantized.layers[mac.index], mac.scale(others) or scales.get(mac.index)
        if scale is None:
            raise UsageError(
                f"layer '{mac.layer.name}' has no activation scale: calibrate it first"
            )
        ints = activation if activation.dtype.kind in "iu" else quantize(activation, scale)
        x = mac.layout.to_columns(ints)
        outputs = run(layer, x, scale.zero_point, scale.signed).outputs
        if not layer.live.all():
            if mac.index not in parts:
                parts[mac.index] = ConstantPart(layer, scale)
            outputs = outputs + parts[mac.index](x, scale.zero_point).astype(np.int64)
        return _rescaled(mac, units[mac.index], scale, outputs, activation)

    return compute


class ConstantPart:
    """What the weights that read dead channels give, exactly."""

    def __init__(self, layer: QuantizedLayer, scale: ActivationScale) -> None:
        every, base = np.ones_like(layer.live), layer.layer
        stored = base.weight.codes
        steps = np.where(layer.steps > 0, layer.steps, 1.0)
        sums = (
            midrise_sums(base, every, steps, layer.limit, layer.keep_zeros)
            if stored is None
            else stored_sums(base, every, stored)
        )
        self._dead = ~layer.live
        self._layer = replace(layer, live=every, sums=sums)
        self._signed = scale.signed
        self._engine = DigitalEngine(ArraySpec(activation_bits=scale.bits))
        self._program: Program = self._engine.prepare(self._layer)

    def __call__(self, x: Array, zero_point: int) -> Array:
        """(batch, M, *output_size), or for a batch of 1 where all give the same."""
        dead = x[:, self._dead]
        alike = bool((dead == dead[:1]).all())
        count = self._layer.layer.geometry.rows if alike else len(x)
        alone = np.full_like(x[:count], zero_point)
        alone[:, self._dead] = dead[:count]
        run = self._engine.run(self._layer, alone, zero_point, self._signed, self._program)
        return run.outputs[:1] if alike else run.outputs


def _rescaled(
    mac: MacNode, unit: Array, scale: ActivationScale, outputs: Array, activation: Array
) -> Array:
    """The operator's output, in its own type, from an engine's outputs in units of `unit` (M,)."""
    sums = mac.layout.from_outputs(outputs, activation.shape)
    if mac.accumulates:
        return np.rint(sums).astype(np.int32)
    whole = False
    if mac.bias is not None and mac.bias.dtype.kind == "i":  # in units of the sums
        whole, sums = True, sums + mac.bias.astype(np.int64)  # of int32, which need not hold them
    steps = mac.layout.place(unit, activation.shape)
    if mac.output is not None:
        return _requantized(mac, mac.output, scale, steps, sums)
    kind = activation.dtype if activation.dtype.kind == "f" else np.float32
    y, factors = np.empty(sums.shape, kind), steps * (scale.scale * mac.alpha)
    if mac.bias is None or whole:  # in float64, rounded once, without an array in between
        return np.multiply(sums, factors, out=y, dtype=np.float64, casting="unsafe")
    exact = np.multiply(sums, factors, dtype=np.float64)
    return np.add(exact, mac.bias, out=y, dtype=np.float64, casting="unsafe")


def output_steps(layer: QuantizedLayer) -> Array:
    """What one unit of an engine's output stands for, in each filter (M,), activations apart.

    A folded BatchNormalization's gain is taken out again, as its node still stands in the graph.
    """
    weight = layer.layer.weight
    steps = np.where(layer.steps > 0, layer.steps, 0.0)
    if is_midrise(layer.layer):
        steps *= 0.5
    if weight.gain is None:
        return steps
    return np.divide(steps, weight.gain, out=np.zeros_like(steps), where=weight.gain != 0)


def _requantized(
    mac: MacNode, output: ActivationScale, scale: ActivationScale, steps: Array, sums: Array
) -> Array:
    """saturate(round half even(sum · ratio) + zero point), in float32 as ONNX Runtime does."""
    single = np.float32
    ratio = single(mac.alpha) * single(scale.scale) * steps.astype(single) / single(output.scale)
    y = np.rint(sums.astype(single) * ratio) + output.zero_point
    kind = f"{'' if output.signed else 'u'}int{output.bits}"
    return np.asarray(np.clip(y, output.low, output.high).astype(kind))
