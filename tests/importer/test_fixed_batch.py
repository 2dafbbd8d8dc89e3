"""A file that fixes its batch: what is counted, and simulated, is one image of it."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, parser

from esnsim import cost, quantize, read_onnx
from tests.commandline import esnsim, report

NETS = {
    "convolutions": "x[{n},3,6,5]: y[{n},4]: a = Conv<pads=[1,0,1,1]>(x, w) r = Relu(a) "
    "p = GlobalAveragePool(r) f = Flatten(p) y = MatMul(f, m)",
    "tokens": "x[{n},7,4]: y[{n},7,4]: y = MatMul(x, m)",
    "attention": "x[{n},7,4]: y[{n},7,7]: q = MatMul(x, m) k = Transpose<perm=[0,2,1]>(x) "
    "y = MatMul(q, k)",
    "flattened": "x[{n},4,2]: y[{n},4,2]: s = Constant<value_ints=[-1,4]>() "
    "t = Transpose<perm=[0,2,1]>(x) r = Reshape(t, s) z = MatMul(r, m) "
    "u = Shape(t) v = Reshape(z, u) y = Transpose<perm=[0,2,1]>(v)",
    "time first": "x[{n},7,4]: y[7,{n},4]: t = Transpose<perm=[1,0,2]>(x) h = MatMul(t, m) "
    "r = Relu(h) y = MatMul(r, m)",
    "time first, flattened": "x[{n},7,4]: y[7,{n},4]: t = Transpose<perm=[1,0,2]>(x) "
    "s = Constant<value_ints=[-1,4]>() f = Reshape(t, s) z = MatMul(f, m) u = Shape(t) "
    "y = Reshape(z, u)",
}
SIZES = {"convolutions": (3, 6, 5), "flattened": (4, 2)}


def net(name: str, batch: int) -> ModelProto:
    inputs, outputs, body = NETS[name].format(n=batch).split(": ", 2)
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 18]> g (float{inputs[1:]} x) => '
        f"(float{outputs[1:]} y) {{ {body} }}".replace("y = ", "y = ")
    )
    rng = np.random.default_rng(0)
    for tensor, shape in (("w", (4, 3, 3, 2)), ("m", (4, 4))):
        values = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, tensor))
    return model


@pytest.mark.parametrize("name", NETS)
def test_a_batch_of_four_costs_what_one_image_does(name: str) -> None:
    one, four = (cost(quantize(read_onnx(net(name, batch)))) for batch in (1, 4))
    assert four.total == one.total
    assert four.product_macs == one.product_macs
    assert any("4 images: figures are of one" in note for note in four.notes)
    assert not any("figures are of one" in note for note in one.notes)


def test_frames_that_a_network_mixes_are_no_images() -> None:
    """Rows of the first axis that are added up cannot be images of a batch."""
    mixed = net("tokens", 4)
    mixed.graph.node[0].output[0] = "z"
    axes = onnx.helper.make_node("Constant", [], ["a"], value_ints=[0])
    reduced = onnx.helper.make_node("ReduceSum", ["z", "a"], ["y"], keepdims=0)
    mixed.graph.node.extend([axes, reduced])
    wide = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
    mixed.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(wide, "m"))
    mixed.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", 1, [7, 5]))
    assert cost(quantize(read_onnx(mixed))).total.macs == 4 * 7 * 20


@pytest.mark.parametrize("count", [1, 3, 4, 6])
@pytest.mark.parametrize("name", NETS)
def test_a_fixed_batch_is_simulated_padded(name: str, count: int, tmp_path: Path) -> None:
    """Images that only fill the batch are not counted, wherever they lie."""
    images = np.random.default_rng(1).normal(size=(16, *SIZES.get(name, (7, 4))))
    images[-1] *= 50  # what calibrates has the largest values
    np.savez(tmp_path / "x.npz", x=images[::-1].astype(np.float32))
    found = []
    for batch in (1, 4):
        onnx.save(net(name, batch), tmp_path / f"{batch}.onnx")
        words = ("--data", tmp_path / "x.npz", "--images", count, "--json")
        found.append(report(esnsim("simulate", tmp_path / f"{batch}.onnx", *words)))
    one, four = found
    assert four["totals"] == one["totals"]
    assert four["images"] == one["images"] == count
