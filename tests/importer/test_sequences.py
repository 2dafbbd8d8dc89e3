"""Sequences and optionals: every operator's shapes are those that ONNX Runtime gives."""

import numpy as np
import onnxruntime as ort
import pytest

from esnsim.graph.model import open_model
from tests.importer.models import model, only_layer, ramp, read_whole

X = "float[1,4,6,5] x"
PAIR = "u = Relu(x) s = SequenceConstruct(x, u)"
#: nodes that give `t` of four axes.
CASES = {
    "joined": f"{PAIR} t = ConcatFromSequence<axis=2>(s)",
    "joined along the last axis": f"{PAIR} t = ConcatFromSequence<axis=-1>(s)",
    "one of two": f"{PAIR} t = SequenceAt(s, one)",
    "the last": f"{PAIR} t = SequenceAt(s, minus)",
    "any of two alike": f"{PAIR} i = Cast<to=7>(n) t = SequenceAt(s, i)",
    "inserted": f"{PAIR} m = MaxPool<kernel_shape=[1,2]>(x) z = SequenceInsert(s, m, one) "
    "t = SequenceAt(z, one)",
    "inserted at the end": "e = SequenceEmpty() s = SequenceInsert(e, x) t = SequenceAt(s, zero)",
    "erased": "u = MaxPool<kernel_shape=[1,2]>(x) s = SequenceConstruct(x, u) "
    "z = SequenceErase(s, zero) t = ConcatFromSequence<axis=1>(z)",
    "the last erased": "u = MaxPool<kernel_shape=[1,2]>(x) s = SequenceConstruct(u, x) "
    "z = SequenceErase(s) t = ConcatFromSequence<axis=1>(z)",
    "split in ones": "s = SplitToSequence<axis=1>(x) t = SequenceAt(s, minus)",
    "split in parts": "s = SplitToSequence<axis=2>(x, four) t = SequenceAt(s, one)",
    "split by sizes": "s = SplitToSequence<axis=-1>(x, sizes) t = SequenceAt(s, one)",
    "split flat": "s = SplitToSequence<axis=1, keepdims=0>(x) t = ConcatFromSequence<axis=0, "
    "new_axis=1>(s)",
    "as long as it is": f"{PAIR} l = SequenceLength(s) r = Expand(l, shape) "
    "c = Cast<to=1>(r) t = Mul(x, c)",
    "an optional": "o = Optional(x) t = OptionalGetElement(o)",
}
CONSTANTS = {
    "one": np.array(1), "zero": np.array(0), "minus": np.array(-1), "four": np.array(4),
    "sizes": np.array([2, 3]), "shape": np.array([1, 4, 1, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_those_that_onnx_runtime_gives(name: str) -> None:
    proto = model(f"{CASES[name]} y = Mul(t, k) z = MatMul(t, w)", f"{X}, float n", opset=18,
                  k=np.float32(1), **CONSTANTS)  # fmt: skip
    del proto.graph.node[-1]
    del proto.opset_import[1:]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {"x": ramp(1, 4, 6, 5), "n": np.zeros((), "f")}
    [y] = session.run(None, {i.name: feeds[i.name] for i in session.get_inputs()})
    proto = model(f"{CASES[name]} y = MatMul(t, w)", f"{X}, float n", opset=18,
                  w=ramp(y.shape[-1], 2), **CONSTANTS)  # fmt: skip
    assert open_model(proto).scope.get("t").shape == y.shape


def test_a_list_that_is_joined_before_a_convolution() -> None:
    nodes = f"{PAIR} t = ConcatFromSequence<axis=1>(s) y = Conv(t, w)"
    layer = only_layer(model(nodes, X, w=ramp(5, 8, 1, 1)))
    assert layer.macs == 5 * 8 * 30


def test_channels_keep_their_filters_through_a_sequence() -> None:
    nodes = """a = Conv(x, w) s = SplitToSequence<axis=1>(a, sizes) f = SequenceAt(s, minus)
      z = SequenceConstruct(f, x) t = ConcatFromSequence<axis=1>(z) y = Conv(t, v)"""
    proto = model(nodes, X, w=ramp(5, 4, 1, 1), v=ramp(2, 7, 1, 1), **CONSTANTS)
    first, second = read_whole(proto).layers
    np.testing.assert_array_equal(
        second.channels, [*(first.first_filter + np.arange(2, 5)), *[0] * 4]
    )


def test_weights_out_of_a_sequence_are_weights() -> None:
    nodes = "s = SplitToSequence<axis=0, keepdims=0>(w) v = SequenceAt(s, one) y = MatMul(x, v)"
    w = ramp(2, 5, 3)
    layer = only_layer(model(nodes, X, w=w, one=np.array(1)))
    np.testing.assert_array_equal(layer.weight.load(), w[1].T)


def test_a_place_that_is_not_there_has_no_shape_and_says_so() -> None:
    nodes = f"{PAIR} t = SequenceAt(s, four) y = Conv(t, w) z = Conv(x, w)"
    [uncounted] = read_whole(model(nodes, X, w=ramp(5, 4, 1, 1), four=np.array(4))).uncounted
    assert "the shape of its input 't' is not known" in uncounted.reason
