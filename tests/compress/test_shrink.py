"""The smaller model is the masked one without its zeros: equal outputs, equal cost, and valid."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper

from esnsim import read_onnx
from esnsim.compression.prune.prune import choose
from esnsim.compression.prune.shrink import masked, shrunk
from esnsim.costs.cost import cost
from esnsim.graph.graph import graph_of
from esnsim.graph.model import open_model
from esnsim.importer import load
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme
from tests import architectures, mobile_architectures
from tests.compress.prunable import prunable
from tests.compress.prune_cases import CASES, HEAD, computed_sizes, head, net
from tests.compress.pruning import assert_laws, assert_same_outputs, filters, randomised
from tests.compress.whole_cases import WHOLE
from tests.execute.models import feeds_of, model, normal, whole

NETS = {
    "ResNet-20": architectures.cifar_resnet20,
    "VGG7": lambda: architectures.vgg7(0.25),
    "ResNeXt": lambda: architectures.resnet(1, 1, groups=8, width=4),
    "SqueezeNet": architectures.squeezenet1_1,
    "MobileNetV2": mobile_architectures.mobilenet_v2,
    "MobileNetV3": lambda: mobile_architectures.mobilenet_v3(mobile_architectures.SMALL, 64),
    "ShuffleNetV2": mobile_architectures.shufflenet_v2,
}


@given(prunable(), st.floats(0, 0.95), st.sampled_from(["layer", "network"]))
def test_the_smaller_model_is_the_masked_one(proto: ModelProto, ratio: float, scope: str) -> None:
    assert_laws(proto, choose(open_model(proto), ratio, scope=scope))


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("name", [*CASES, *WHOLE])
def test_cases(name: str, ratio: float) -> None:
    assert_laws((CASES | WHOLE)[name][0](), ratio)


@pytest.mark.parametrize("ratio", [0.3, 0.75])
@pytest.mark.parametrize("name", ["builtin:resnet8", "builtin:resnet20"])
def test_embedded_models(name: str, ratio: float) -> None:
    assert_laws(name, ratio)


@pytest.mark.parametrize("name", NETS)
def test_networks(name: str) -> None:
    """All filters but the classes can be halved, and then about a quarter of the MACs is left."""
    proto = randomised(NETS[name]())
    small = assert_laws(proto, 0.5)
    before, after = (cost(quantize(read_onnx(m))) for m in (proto, small))
    *halved, classes = zip(before.layers, after.layers, strict=True)
    assert classes[0].layer.filters == classes[1].layer.filters
    for old, new in halved:
        assert 0.45 * old.layer.filters <= new.layer.filters <= 0.55 * old.layer.filters
    assert after.total.macs < 0.35 * before.total.macs


@given(prunable())
def test_where_nothing_is_pruned_nothing_changes(proto: ModelProto) -> None:
    graph = open_model(proto)
    kept = choose(graph, 0.0)
    for made in (masked(graph, kept), shrunk(graph, kept)):
        assert made == proto


@pytest.mark.parametrize("name", CASES)
def test_where_nothing_is_pruned_outputs_are_the_same_bits(name: str) -> None:
    proto = CASES[name][0]()
    graph = open_model(proto)
    small = shrunk(graph, choose(graph, 0.0))
    feeds = feeds_of(proto)
    np.testing.assert_array_equal(whole(small, feeds)["y"], whole(proto, feeds)["y"])


@pytest.mark.parametrize("rule", ["layer-max", "filter-max"])
@pytest.mark.parametrize("name", CASES)
def test_masked_and_smaller_model_get_the_same_codes(name: str, rule: str) -> None:
    """The zeros of the masked model change no largest weight."""
    graph = open_model(CASES[name][0]())
    kept = choose(graph, 0.5)
    scheme = Scheme(rule=rule, bits=3)
    big, small = (
        cost(quantize(read_onnx(make(graph, kept)), scheme)).total for make in (masked, shrunk)
    )
    assert big.esn_a_x4 == small.esn_a_x4
    assert big.esn_d == small.esn_d
    assert big.esn_d_tilde == small.esn_d_tilde


def test_masked_filters_are_zero_in_weight_bias_scale_and_shift() -> None:
    graph = open_model(CASES["activations that are not zero at zero"][0]())
    kept = choose(graph, 0.5)
    arrays = {t.name: numpy_helper.to_array(t) for t in masked(graph, kept).graph.initializer}
    gone = [~k for k in kept]
    for name, layer in {"w": 0, "b": 0, "v": 1, "s": 1, "t": 1, "wz": 2}.items():
        lost = gone[layer] if name != "wz" else np.zeros(4, bool)
        filters_first = arrays[name].T if name == "wz" else arrays[name]
        assert not filters_first[lost].any()
    assert not arrays["v"][:, gone[0]].any()  # what reads them
    assert not arrays["wz"][gone[1]].any()
    assert arrays["q"].all()  # the variance is kept


@pytest.mark.parametrize(
    ("name", "of"),
    [
        ("U-Net", {"b0": 0, "b2": 2}),  # of Conv and ConvTranspose
        ("folded BatchNormalization", {"s": 0, "t": 0, "u": 1, "r": 1}),
        ("flattened, and products from both sides", {"b1": 1, "b3": 3}),  # of Gemm
    ],
)
def test_masked_constants_of_channels_are_zero(name: str, of: dict[str, int]) -> None:
    graph = open_model(CASES[name][0]())
    kept = choose(graph, 0.5)
    big = masked(graph, kept)
    arrays = {t.name: numpy_helper.to_array(t).ravel() for t in big.graph.initializer}
    for constant, layer in of.items():
        np.testing.assert_array_equal(arrays[constant] != 0, kept[layer])


def test_metadata_names_and_the_rest_of_the_file_are_kept() -> None:
    proto = onnx.load("esnsim/embedded/resnet8.onnx")
    proto.metadata_props.add(key="author", value="a test")
    proto.graph.doc_string = "kept"
    small = assert_laws(proto, 0.5)
    assert small.metadata_props == proto.metadata_props
    assert small.graph.doc_string == "kept"
    assert small.graph.input == proto.graph.input
    assert small.graph.output == proto.graph.output
    names = [layer.weight.name for layer in read_onnx(proto).layers]
    assert [layer.weight.name for layer in read_onnx(small).layers] == names
    assert [n.name for n in small.graph.node if n.op_type == "Conv"] == [
        n.name for n in proto.graph.node if n.op_type == "Conv"
    ]


def test_shared_weights_are_stored_once() -> None:
    small = assert_laws(CASES["shared weights"][0](), 0.5)
    assert sorted(t.name for t in small.graph.initializer) == ["b", "v", "w", "wz"]


def test_constants_that_lose_different_channels_are_stored_apart() -> None:
    proto = net(
        "a = Conv(x, w) n = BatchNormalization(a, o, o, o, o) c = Conv(n, v) "
        "z = BatchNormalization(c, o, o, o, o)",
        4, w=normal(4, 3, 1, 1), v=normal(4, 4, 1, 1), o=np.arange(1, 5, dtype=np.float32),
    )  # fmt: skip
    assert_laws(proto, 0.5)


def test_weights_outside_the_file(tmp_path: Path) -> None:
    proto = randomised(architectures.vgg7(0.25))
    path = tmp_path / "model.onnx"
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin")
    network = read_onnx(path)
    graph = graph_of(load(path), network)
    kept = choose(graph, 0.5)
    small = shrunk(graph, kept)
    assert not any(t.external_data for t in small.graph.initializer)
    assert_same_outputs(masked(graph, kept), small)
    assert filters(kept) == filters(choose(open_model(onnx.load(path)), 0.5))


def test_a_model_of_functions_is_written_without_them() -> None:
    proto = model(
        f"a = local.block(x, w, b) z = local.block(a, v, c) {HEAD}",
        functions='<opset_import: ["": 18], domain: "local"> block (u, k, s) => (r) '
        "{ q = Conv(u, k, s) t = Relu(q) r = Mul(t, t) }",
        opset=18, w=normal(4, 3, 1, 2), b=normal(4), v=normal(6, 4, 2, 1), c=normal(6), **head(6),
    )  # fmt: skip
    graph = open_model(proto)
    kept = choose(graph, 0.5)
    assert filters(kept) == [2, 3, 4]
    assert_same_outputs(masked(graph, kept), shrunk(graph, kept))


def test_sizes_that_are_computed_stay_computed_where_they_come_out_right() -> None:
    """A model for images of any size is still one; a size that came out wrong is stated."""
    proto = computed_sizes()
    network = read_onnx(proto, {"x": (1, 3, 6, 5)})
    graph = graph_of(load(proto), network)
    kept = choose(graph, 0.5)
    assert filters(kept) == [3, 4, 4]
    small = shrunk(graph, kept)
    onnx.checker.check_model(small, full_check=True)
    assert [n.op_type for n in small.graph.node].count("Shape") == 1  # the other one is of zeros
    x = normal(2, 3, 9, 4)
    wanted, got = (whole(m, {"x": x})["y"] for m in (masked(graph, kept), small))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
