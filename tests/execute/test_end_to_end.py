"""The embedded ResNet-8 from its images to its classes on the digital array.

The quantised models are made by ONNX Runtime's own static quantisation, with weights of 7 bits:
its integer kernels are exact then on CPUs without VNNI too.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from esnsim import Scheme, quantize
from esnsim.graph.model import open_model
from esnsim.importer import EMBEDDED
from esnsim.machines.array.engine import DigitalEngine
from esnsim.run import activation_scales, cut, float_compute, quantized_compute
from tests.execute.models import Array, Feeds, assert_bit_identical, whole

FORMS = ["QDQ", "QOperator"]


@cache
def images() -> tuple[Array, Array]:
    """Pixels from 0 to 1 and labels of the embedded images."""
    data = np.load(EMBEDDED / "fashion_mnist_1000.npz")
    return data["images"].astype(np.float32) / 255, data["labels"]


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """The last hundred images, which no test below runs."""

    def __init__(self) -> None:
        self.batches: Iterator[Feeds] = iter([{"image": images()[0][900:]}])

    def get_next(self) -> Feeds | None:
        return next(self.batches, None)


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelProto]:
    """ResNet-8 with BatchNormalization folded, quantised in both of ONNX Runtime's forms."""
    folder = tmp_path_factory.mktemp("quantised")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "folded.onnx")
    ort.InferenceSession(EMBEDDED / "resnet8.onnx", options)
    for form in FORMS:
        quantize_static(
            folder / "folded.onnx", folder / f"{form}.onnx", Calibration(),
            quant_format=QuantFormat[form], per_channel=True, reduce_range=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
        )  # fmt: skip
    return {form: onnx.load(folder / f"{form}.onnx") for form in FORMS}


def on_the_array(proto: ModelProto, feeds: Feeds) -> Array:
    """The logits of a quantised model on the digital engine."""
    opened = open_model(proto)
    graph, network = cut(opened), opened.network
    assert not graph.not_simulated
    compute = quantized_compute(quantize(network), DigitalEngine().run, {})
    return graph.run(feeds, compute)["logits"]


def in_powers_of_two(proto: ModelProto) -> ModelProto:
    """A copy whose scales are rounded up to powers of two: its sums are exact in float32."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    nodes = [n for n in copy.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    scales = {node.input[1] for node in nodes}
    for tensor in copy.graph.initializer:
        if tensor.name in scales:
            rounded = 2 ** np.ceil(np.log2(numpy_helper.to_array(tensor)))
            tensor.CopyFrom(numpy_helper.from_array(rounded.astype(np.float32), tensor.name))
    return copy


@pytest.mark.parametrize("form", FORMS)
def test_quantised_network_cut_in_float_is_onnx_runtime_bit_for_bit(
    quantised: dict[str, ModelProto], form: str
) -> None:
    assert_bit_identical(quantised[form], {"image": images()[0][:20]})


def test_integer_operators_on_the_array_give_onnx_runtimes_logits_exactly(
    quantised: dict[str, ModelProto],
) -> None:
    feeds = {"image": images()[0][:100]}
    got = on_the_array(quantised["QOperator"], feeds)
    np.testing.assert_array_equal(got, whole(quantised["QOperator"], feeds)["logits"])


def test_dequantised_operators_on_the_array_give_onnx_runtimes_logits_where_float32_is_exact(
    quantised: dict[str, ModelProto],
) -> None:
    proto, feeds = in_powers_of_two(quantised["QDQ"]), {"image": images()[0][:50]}
    wanted = whole(proto, feeds)["logits"]
    np.testing.assert_array_equal(on_the_array(proto, feeds), wanted)
    assert len(np.unique(wanted)) > 20


def test_dequantised_operators_differ_from_onnx_runtimes_by_the_rounding_of_float32(
    quantised: dict[str, ModelProto],
) -> None:
    """A sum in float32 that lies within its rounding of a tie goes to the other integer."""
    proto, feeds = quantised["QDQ"], {"image": images()[0][:100]}
    got, unfused = on_the_array(proto, feeds), whole(proto, feeds)["logits"]
    step = np.diff(np.unique(unfused)).min()
    assert np.abs(got - unfused).max() <= 2.01 * step
    assert np.mean(got != unfused) <= 0.01
    for other in (unfused, whole(proto, feeds, optimised=True)["logits"]):
        assert np.mean(got.argmax(1) == other.argmax(1)) >= 0.99


def test_eight_bits_keep_the_accuracy_of_the_float_model() -> None:
    x, labels = images()
    opened = open_model("builtin:resnet8")
    graph, network = cut(opened), opened.network
    scales = activation_scales(graph, [{"image": x[900:]}])
    compute = quantized_compute(quantize(network, Scheme(bits=8)), DigitalEngine().run, scales)
    feeds = {"image": x[:200]}
    exact, array = (
        np.mean(graph.run(feeds, each)["logits"].argmax(1) == labels[:200])
        for each in (float_compute(graph), compute)
    )
    assert exact > 0.9
    assert abs(array - exact) <= 0.01
