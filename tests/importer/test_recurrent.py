"""The LSTM that ONNX Runtime quantises, against the float model that it was made of."""

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic

from tests.importer.models import model, read_whole

FEATURES, HIDDEN, STEPS = 5, 3, 7


def lstm() -> ModelProto:
    """A bidirectional LSTM and a matrix product that reads it."""
    rng = np.random.default_rng(0)
    w, r, m = (
        rng.normal(size=shape).astype(np.float32)
        for shape in ((2, 4 * HIDDEN, FEATURES), (2, 4 * HIDDEN, HIDDEN), (2 * HIDDEN, 4))
    )
    nodes = (
        f'a = LSTM<hidden_size={HIDDEN}, direction="bidirectional">(x, w, r) '
        "t = Transpose<perm=[0,2,1,3]>(a) f = Reshape(t, shape) y = MatMul(f, m)"
    )
    shape = np.array([STEPS, 2 * HIDDEN])
    return model(nodes, f"float[{STEPS},1,{FEATURES}] x", w=w, r=r, m=m, shape=shape)


@pytest.mark.parametrize("per_channel", [False, True])
def test_an_lstm_quantised_by_onnxruntime_keeps_its_macs_and_nearly_its_weights(
    tmp_path: Path, per_channel: bool
) -> None:
    source, path = tmp_path / "float.onnx", tmp_path / "dynamic.onnx"
    onnx.save(lstm(), source)
    logging.disable(logging.WARNING)
    quantize_dynamic(source, path, per_channel=per_channel, weight_type=QuantType.QInt8)
    logging.disable(logging.NOTSET)
    floats, ours = read_whole(source), read_whole(path)
    assert [layer.op for layer in ours.layers] == ["DynamicQuantizeLSTM"] * 2 + ["MatMulInteger"]
    assert not ours.uncounted
    assert [layer.macs for layer in ours.layers] == [layer.macs for layer in floats.layers]
    for layer, original in zip(ours.layers[:2], floats.layers[:2], strict=True):
        assert layer.geometry == original.geometry
        assert layer.weight.shape == original.weight.shape
        assert layer.weight.codes is not None
        assert layer.weight.codes.bits == 8
        scale = layer.weight.codes.scale()
        assert (len(np.unique(scale)) > 2) == per_channel
        error = layer.weight.load() * scale - original.weight.load()
        assert (np.abs(error) <= scale * 0.501).all()


def test_an_lstm_with_a_dynamic_weight_is_listed() -> None:
    nodes = (
        "c = Cast<to=3>(x) z = com.microsoft.DynamicQuantizeLSTM<hidden_size=3>"
        '(x, c, c, "", "", "", "", "", s, s, s, s) y = MatMul(x, m)'
    )
    s, m = np.ones(1, np.float32), np.ones((5, 2), np.float32)
    (item,) = read_whole(model(nodes, "float[7,1,5] x", s=s, m=m)).uncounted
    assert (item.op, item.reason) == ("DynamicQuantizeLSTM", "its weights are not constant")
