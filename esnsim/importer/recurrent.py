"""Readers of LSTM, GRU and RNN, and of the LSTM that ONNX Runtime quantises."""

from dataclasses import replace
from math import prod

from esnsim.errors import MisfitError
from esnsim.importer.channels import channel_ids
from esnsim.importer.products import (
    CannotCountError,
    Finding,
    Unweighted,
    Weighted,
    mismatch,
    shape_of,
)
from esnsim.importer.quantized import dequantize
from esnsim.importer.values import Constant, Value
from esnsim.model.network import Geometry


def recurrent(x: Value, w: Value, r: Value, name: str, batch_first: bool = False) -> list[Finding]:
    """W (directions, gates·H, I) and R (directions, gates·H, H), both used at each step."""
    steps, images = prod(shape_of(x, name)[:2]), shape_of(x, name)[0 if batch_first else 1]
    features = shape_of(x, name)[-1]
    if w.constant is None or r.constant is None:
        macs = steps * (prod(shape_of(w, name)) + prod(shape_of(r, name)))
        return [Unweighted(macs, images)]
    directions, units, fan_in = (*w.constant.shape, 0, 0, 0)[:3]
    hidden = (*r.constant.shape, 0, 0, 0)[2]
    if (directions, units) != r.constant.shape[:2] or fan_in != features:
        raise MisfitError(mismatch(name, f"{fan_in} features", shape_of(x, name), w.constant.shape))
    live = channel_ids(replace(x, channels=None), [], [directions * hidden])
    return [
        Weighted(
            constant=w.constant, shape=(directions * units, fan_in),
            arrange=lambda a: a.reshape(-1, fan_in),
            geometry=Geometry(batch=steps), channels=channel_ids(x, [2], [fan_in]), part="W",
            images=images,
        ),
        Weighted(
            constant=r.constant, shape=(directions * units, hidden),
            arrange=lambda a: a.reshape(-1, hidden),
            geometry=Geometry(batch=steps, groups=directions), channels=live, part="R",
            images=images,
        ),
    ]  # fmt: skip


def turned(w: Value, scale: Value | None, zero: Value | None, name: str) -> Value:
    """A weight of DynamicQuantizeLSTM, integers (directions, fan-in, gates·H), as LSTM has it.

    Scale and zero point are (directions,) or (directions, gates·H).
    """
    if w.constant is None or len(w.constant.shape) != 3:
        raise CannotCountError("its weights are not constant")
    if any(v is not None and v.constant is None for v in (scale, zero)):
        raise CannotCountError("the scale or zero point of its weights is not constant")
    directions, fan_in, units = w.constant.shape
    upright = w.constant.moved(lambda a: a.swapaxes(1, 2), (directions, units, fan_in))
    scales, zeros = (_column(v.constant) if v and v.constant else None for v in (scale, zero))
    coded = dequantize(upright, scales, zeros, 0, 0, name)
    return replace(w, type=None, constant=coded)


def _column(parameter: Constant) -> Constant:
    """A scale or zero point with a last axis of 1, as weights have their fan-in there."""
    if len(parameter.shape) != 2:
        return parameter
    shape = (*parameter.shape, 1)
    return parameter.moved(lambda a: a.reshape(shape), shape)
