"""Laws of exported models: what is written is what is read.

1. Re-import gives the same codes, steps, widths and cost, in both forms that keep widths.
2. ONNX Runtime's output of `qdq` is that of the float operators with Δ·W_int.
3. Activations in eight bits leave weights and cost as they are.
"""

from dataclasses import astuple, replace

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, helper, numpy_helper

from esnsim import ModelError, UsageError, WidthError, cost, quantize, read_onnx
from esnsim.compression.export.activations import with_activations
from esnsim.compression.export.export import exported, upgrade_opset
from esnsim.compression.fixed import with_fixed_codes
from esnsim.costs.figures import Metrics
from esnsim.graph.model import open_model
from esnsim.graph.sites import sites, unquantisable_layers
from esnsim.graph.substitute import dequantized, with_weights
from esnsim.images.sets import ImageSet
from esnsim.importer.midrise import HALF_STEPS
from esnsim.model.network import Network
from esnsim.quantization.quantizer import QuantizedNetwork, codes
from esnsim.quantization.scheme import Scheme
from tests.importer.graphs import Array, Graph, Step, build
from tests.importer.models import model
from tests.importer.steps import (
    add,
    batchnorm,
    concat,
    conv,
    depthwise,
    grouped,
    split,
    transposed_conv,
)
from tests.samples import SAMPLES, weights

KEEP = ("qdq", "qonnx")


def grouped_transposed(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    groups = 2 if c % 2 == 0 else 1
    kernels = g.constant(g.floats(c, 3, 1, 2))
    return g.add("ConvTranspose", x, kernels, shape=(n, 3 * groups, h, w + 1), group=groups)


def matmul_right(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    return g.add("MatMul", x, g.constant(g.floats(w, 5)), shape=(n, c, h, 5))


def matmul_left(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    return g.add("MatMul", g.constant(g.floats(2, h)), x, shape=(n, c, 2, w))


def matmul_batch(g: Graph, x: str) -> str:
    """A matrix for each channel, on either side."""
    n, c, h, w = g.shapes[x]
    y = g.add("MatMul", x, g.constant(g.floats(c, w, 3)), shape=())
    return g.add("MatMul", g.constant(g.floats(c, 2, h)), y, shape=(n, c, 2, 3))


def gemm(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    flat = g.add("Flatten", x, shape=())
    wide = g.add("Gemm", flat, g.constant(g.floats(c * h * w, 6)), shape=(), alpha=0.5)
    left = g.constant(g.floats(3, n))
    y = g.add("Gemm", left, wide, shape=())
    return g.add("Reshape", y, g.ints(3, 6, 1, 1), shape=(3, 6, 1, 1))


def relu(g: Graph, x: str) -> str:
    return g.add("Relu", x, shape=g.shapes[x])


def shared(g: Graph, x: str) -> str:
    """Two convolutions by the same weights."""
    n, c, h, w = g.shapes[x]
    kernels = g.constant(g.floats(c, c, 1, 3))
    for _ in range(2):
        x = g.add("Conv", x, kernels, shape=(n, c, h, w), pads=[0, 1, 0, 1])
    return x


STEPS: list[Step] = [
    conv, grouped, depthwise, transposed_conv, grouped_transposed, matmul_right, matmul_left,
    matmul_batch, shared, batchnorm, relu, add, concat, split,
]  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> ModelProto:
    """A graph of a few steps, some weights exactly 0, and a Gemm of either kind at its end."""
    chosen = draw(st.lists(st.sampled_from(STEPS), max_size=4))
    last = [gemm] if draw(st.booleans()) else []
    seed = draw(st.integers(0, 2**32 - 1))
    proto, _ = build([*chosen, *last], seed)
    if draw(st.booleans()):
        sprinkle(proto, np.random.default_rng(seed))
    return proto


def sprinkle(proto: ModelProto, rng: np.random.Generator) -> None:
    """Zeros among the weights: many, or in few filters."""
    kept = rng.choice([0.7, 0.98])
    for tensor in proto.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.ndim > 1 and array.dtype == np.float32:
            zeroed = array * (rng.random(array.shape) < kept)
            tensor.CopyFrom(numpy_helper.from_array(zeroed.astype(np.float32), tensor.name))


@st.composite
def schemes(draw: st.DrawFn, network: Network) -> Scheme:
    """A width for each filter, 0 for some, or steps that prune and widen, at 15 bits at most."""
    keep_zeros = draw(st.booleans())
    if draw(st.booleans()):
        step = draw(st.sampled_from([0.013, 0.3, 0.9, 2.1]))
        return Scheme(bits=draw(st.sampled_from([1, 3, 8, 15])), given_steps=step,
                      keep_zeros=keep_zeros)  # fmt: skip
    top = draw(st.sampled_from([1, 4, 8, 15]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = {each.weight.name: each.filters for each in network.layers}
    widths = {name: rng.integers(0, top + 1, filters) for name, filters in weights.items()}
    return Scheme(widths=widths, keep_zeros=keep_zeros)


def compressed(proto: ModelProto, scheme: Scheme, form: str) -> tuple[ModelProto, QuantizedNetwork]:
    graph = open_model(proto)
    quantized = quantize(graph.network, scheme)
    written = exported(graph, sites(graph), quantized, form)
    check(written)
    return ModelProto.FromString(written.SerializeToString()), quantized


def check(proto: ModelProto) -> None:
    """ONNX's checker passes the model, its outputs given a shape."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    for output in copy.graph.output:
        output.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(copy)


def same(written: ModelProto, quantized: QuantizedNetwork) -> None:
    """A written model reads as what was written."""
    found = quantize(read_onnx(written))
    assert [a.layer.name for a in found.layers] == [b.layer.name for b in quantized.layers]
    for ours, theirs in zip(found.layers, quantized.layers, strict=True):
        np.testing.assert_array_equal(codes(ours), codes(theirs), ours.layer.name)
        alive = theirs.sums.width_code > 0
        single = theirs.steps.astype(np.float32)
        np.testing.assert_array_equal(ours.steps[alive].astype(np.float32), single[alive])
    for width in ("code", "paper"):
        ours_cost, theirs_cost = cost(found, width), cost(quantized, width)
        if not torn(quantized):
            assert figures(ours_cost.total) == figures(theirs_cost.total)
        for a, b in zip(ours_cost.layers, theirs_cost.layers, strict=True):
            assert figures(a.metrics) == figures(b.metrics)
            np.testing.assert_array_equal(a.bits, b.bits)


def figures(metrics: Metrics) -> tuple[object, ...]:
    """All but what the types of a file take, which has its own."""
    return astuple(replace(metrics, stored_bits=0))


def torn(quantized: QuantizedNetwork) -> bool:
    """Whether layers share a weight that dead channels made different codes of: a file has two."""
    found: dict[str, Array] = {}
    return any(
        not np.array_equal(found.setdefault(each.layer.weight.origin, codes(each)), codes(each))
        for each in quantized.layers
    )


def outputs(proto: ModelProto) -> list[Array]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 6)).astype(np.float32)
    return [np.asarray(y) for y in session.run(None, {session.get_inputs()[0].name: x})]


@pytest.mark.parametrize("form", KEEP)
@given(st.data())
def test_a_written_model_is_read_as_it_was_written(form: str, data: st.DataObject) -> None:
    proto = data.draw(models())
    scheme = data.draw(schemes(read_onnx(proto)))
    same(*compressed(proto, scheme, form))


@given(st.data())
def test_runtime_computes_with_the_codes(data: st.DataObject) -> None:
    proto = data.draw(models())
    scheme = data.draw(schemes(read_onnx(proto)))
    written, quantized = compressed(proto, scheme, "qdq")
    graph = open_model(proto)
    layers = quantized.layers
    floats = with_weights(
        graph, {s.slot: s.to_operand(dequantized(layers[s.index])) for s in sites(graph)}
    )
    for ours, theirs in zip(outputs(written), outputs(floats), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5 * abs(theirs).max())


def dense(v: Array, opset: int = 21, ir: int = 10) -> ModelProto:
    kind = {"float16": "float16", "float32": "float", "float64": "double"}[v.dtype.name]
    proto = model("y = Gemm<transB=1>(x, w)", f"{kind}[2,{v.shape[1]}] x", opset=opset, ir=ir, w=v)
    proto.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(dtype_number(v), None))
    return proto


def dtype_number(v: Array) -> int:
    return int(helper.np_dtype_to_tensor_dtype(v.dtype))


WEIGHTS = np.random.default_rng(5).normal(size=(6, 9)).astype(np.float32)
ZEROS = WEIGHTS * (np.random.default_rng(6).random(WEIGHTS.shape) < 0.6)


def stored_type(proto: ModelProto) -> list[str]:
    return [
        onnx.TensorProto.DataType.Name(t.data_type)
        for t in proto.graph.initializer
        if t.name.endswith("_quantized")
    ]


@pytest.mark.parametrize(
    ("weights", "bits", "opset", "kind", "domain"),
    [
        (WEIGHTS, 4, 21, "INT4", ""),
        (WEIGHTS, 5, 21, "INT8", ""),
        (WEIGHTS, 8, 13, "INT8", ""),
        (WEIGHTS, 4, 20, "INT8", ""),
        (WEIGHTS, 9, 20, "INT16", "com.microsoft"),
        (WEIGHTS, 16, 21, "INT16", ""),
        (ZEROS, 3, 21, "INT4", ""),  # q = 2·W_int takes a bit more
        (ZEROS, 4, 21, "INT8", ""),
        (ZEROS, 7, 13, "INT8", ""),
        (ZEROS, 8, 13, "INT16", "com.microsoft"),
    ],
)
def test_storage_is_as_narrow_as_the_opset_has_it(
    weights: Array, bits: int, opset: int, kind: str, domain: str
) -> None:
    written, quantized = compressed(dense(weights, opset, 8), Scheme(widths=bits), "qdq")
    same(written, quantized)
    assert stored_type(written) == [kind]
    (node,) = (n for n in written.graph.node if n.op_type == "DequantizeLinear")
    assert node.domain == domain
    assert all(np.isfinite(y).all() for y in run(written))


def run(proto: ModelProto) -> list[Array]:
    """The outputs for ones."""
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (info,) = session.get_inputs()
    kind = np.float64 if info.type == "tensor(double)" else np.float32
    return [np.asarray(y) for y in session.run(None, {info.name: np.ones(info.shape, kind)})]


def test_kept_zeros_are_named_in_the_metadata() -> None:
    weights = WEIGHTS.copy()
    weights[1, 3] = weights[4, 0] = 0
    weights[2] = 0
    written, _ = compressed(dense(weights), Scheme(widths=3), "qdq")
    (found,) = written.metadata_props
    assert (found.key, found.value) == (HALF_STEPS, '{"w": [1, 4]}')


@pytest.mark.parametrize("form", KEEP)
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_of_other_types_are_cast(form: str, dtype: type) -> None:
    scheme = Scheme(widths={"w": [2, 0, 3, 8, 1, 4]})
    written, quantized = compressed(dense(ZEROS.astype(dtype)), scheme, form)
    same(written, quantized)
    if form == "qdq" and dtype == np.float64:
        weights = dequantized(quantized.layers[0])
        np.testing.assert_allclose(run(written)[0][0], weights.sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("form", KEEP)
def test_sixteen_bits_leave_none_for_a_zero(form: str) -> None:
    with pytest.raises(WidthError, match="16 bits in filters with zeros: give 15 bits"):
        compressed(dense(ZEROS), Scheme(widths=16), form)


@pytest.mark.parametrize("form", [*KEEP, "float"])
def test_filters_too_small_for_a_step_are_written_as_pruned(form: str) -> None:
    scale = np.array([[1e-44], [1], [1e-39], [1], [1], [1]][: len(WEIGHTS)])
    written, quantized = compressed(
        dense((WEIGHTS * scale).astype(np.float32)), Scheme(widths=3), form
    )
    assert quantized.layers[0].sums.width_code.tolist() == [0, 3, 0, 3, 3, 3]
    if form != "float":
        same(written, quantized)
    assert not dequantized(quantized.layers[0])[[0, 2]].any()


@pytest.mark.parametrize(("bits", "opset", "narrow"), [(8, 21, 8), (4, 21, 4), (8, 13, 8)])
def test_one_zero_widens_its_own_filter_alone(bits: int, opset: int, narrow: int) -> None:
    weights = np.random.default_rng(1).normal(size=(16, 64)).astype(np.float32)
    sizes = []
    for zero in (False, True):
        weights[5, 7] *= not zero
        written, quantized = compressed(dense(weights, opset=opset), Scheme(widths=bits), "qdq")
        same(written, quantized)
        wanted = dequantized(quantized.layers[0]).sum(axis=1)
        np.testing.assert_allclose(run(written)[0][0], wanted, rtol=1e-5)
        sizes.append(sum(len(t.raw_data) for t in written.graph.initializer))
    assert sizes[0] >= 16 * 64 * narrow / 8
    assert sizes[1] - sizes[0] <= 64 * narrow / 8 + 8 * 16 + 64  # a filter, the order, its scale


def test_an_old_opset_is_raised() -> None:
    proto = dense(ZEROS, opset=11, ir=6)
    with pytest.raises(ModelError, match="opset 11 has no scale for each filter: raise it to 13"):
        compressed(proto, Scheme(widths=4), "qdq")
    same(*compressed(upgrade_opset(proto), Scheme(widths=4), "qdq"))
    same(*compressed(proto, Scheme(widths=4), "qonnx"))


def test_what_onnx_cannot_raise_is_refused() -> None:
    proto = model("z = local.f(x) y = Gemm<transB=1>(z, w)", "float[2,9] x", opset=11, w=WEIGHTS)
    proto.graph.node.append(helper.make_node("Upsample", ["nothing"], ["u"]))
    with pytest.raises(ModelError, match="onnx cannot raise it to 13"):
        upgrade_opset(proto)


def test_an_unknown_format_is_refused() -> None:
    graph = open_model(dense(WEIGHTS))
    with pytest.raises(UsageError, match="no format 'tflite': use one of qdq, qonnx, float"):
        exported(graph, sites(graph), quantize(graph.network), "tflite")


def test_names_of_the_graph_are_left_alone() -> None:
    nodes = "a = Gemm<transB=1>(x, w) y = Add(a, w_scale)"
    proto = model(nodes, "float[2,9] x", w=WEIGHTS, w_scale=np.float32(3))
    written, quantized = compressed(proto, Scheme(widths=4), "qdq")
    same(written, quantized)
    weights = dequantized(quantized.layers[0])
    np.testing.assert_allclose(run(written)[0][0], 3 + weights.sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 5])
def test_qonnx_itself_computes_the_weights(bits: int, zeros: bool) -> None:
    """Quant and BipolarQuant by the package that defines them."""
    execution = pytest.importorskip("qonnx.core.execute_custom_node")
    written, quantized = compressed(
        dense(ZEROS if zeros else WEIGHTS), Scheme(widths=bits), "qonnx"
    )
    values = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    quants = [n for n in written.graph.node if n.op_type in ("Quant", "BipolarQuant")]
    assert [n.op_type for n in quants] == ["BipolarQuant" if bits == 1 and not zeros else "Quant"]
    execution.execute_custom_node(quants[0], values, written.graph, 21)
    np.testing.assert_allclose(values["w"], dequantized(quantized.layers[0]), rtol=1e-6)


@settings(max_examples=10)
@given(st.data())
def test_activations_in_integers_leave_weights_and_cost_as_they_are(data: st.DataObject) -> None:
    proto = data.draw(models())
    scheme = data.draw(schemes(read_onnx(proto)))
    written, quantized = compressed(proto, scheme, "qdq")
    pixels = np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype(np.float32)
    images = ImageSet(name="noise", count=len(pixels), read=lambda start, stop: pixels[start:stop])
    found = with_activations(written, images, {}, threads=1)
    check(found)
    same(found, quantized)
    before = [node.op_type for node in written.graph.node]
    after = [node.op_type for node in found.graph.node]
    assert after.count("QuantizeLinear") > before.count("QuantizeLinear")
    for ours, theirs in zip(outputs(found), outputs(written), strict=True):
        assert ours.shape == theirs.shape


@pytest.mark.parametrize("form", KEEP)
@pytest.mark.parametrize("name", SAMPLES)
def test_whatever_a_model_is_made_of_its_cost_stays(name: str, form: str) -> None:
    """Functions, control flow, integers: what cannot be written counts as `esnsim cost` has it."""
    proto = upgrade_opset(SAMPLES[name]())
    graph = open_model(proto)
    left = [layer for layer, _ in unquantisable_layers(graph)]
    quantized = quantize(with_fixed_codes(graph.network, left), Scheme(bits=3))
    written = exported(graph, sites(graph), quantized, form)
    ours, theirs = cost(quantize(read_onnx(written))), cost(quantized)
    assert figures(ours.total) == figures(theirs.total)
    assert [figures(a.metrics) for a in ours.layers] == [figures(b.metrics) for b in theirs.layers]


@pytest.mark.parametrize("form", KEEP)
def test_codes_that_a_model_had_keep_their_metadata(form: str) -> None:
    nodes = (
        "w = qonnx.custom_op.general.Quant<signed=1>(v, s, z, b) h = Gemm<transB=1>(x, w) "
        "y = Gemm<transB=1>(h, u)"
    )
    odd = np.array([[3, 0, -1], [1, 1, -3]], np.float32)
    proto = model(
        nodes, "float[2,3] x", v=odd / 2, s=np.float32(0.5), z=np.float32(0), b=np.float32(3),
        u=np.array([[0.5, 0], [1, -0.25]], np.float32),
    )  # fmt: skip
    proto.metadata_props.add(key=HALF_STEPS, value='{"w": [0, 1]}')
    written, quantized = compressed(proto, Scheme(bits=3), form)
    same(written, quantized)
    assert all(layer.layer.weight.codes.midrise for layer in quantize(read_onnx(written)).layers)


@pytest.mark.parametrize("form", ["qdq", "qonnx", "float"])
def test_nodes_that_are_called_like_values_leave_the_file_valid(form: str) -> None:
    """As exporters write it: a weight and its node share a name, nodes those of values to come."""
    proto = model(
        "[w] h = Conv(x, w) [w_DequantizeLinear] r = Relu(h) [v] q = Conv(r, v) "
        "[x_quantized] y = Relu(q)",
        w=weights(4, 3, 3, 3), v=weights(3, 4, 1, 1),
    )  # fmt: skip
    graph = open_model(proto)
    found = quantize(graph.network, Scheme("filter-max", bits=4))
    written = exported(graph, sites(graph), found, form)
    if form != "qonnx":
        x = np.random.default_rng(0).random((4, 3, 6, 5), np.float32)
        written = with_activations(written, ImageSet("x", 4, lambda a, b: x[a:b]), {})
        ort.InferenceSession(written.SerializeToString(), providers=["CPUExecutionProvider"])
    titles = [node.name for node in written.graph.node if node.name]
    assert len(titles) == len(set(titles))
