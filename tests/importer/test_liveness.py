"""Dead channels: those that the importer calls dead never change, and those that can't are dead."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from onnx import ModelProto

from esnsim.model.liveness import Liveness
from tests.importer.graphs import Array, Step, build, programs
from tests.importer.models import model, read_whole
from tests.importer.steps import EXACT, MIXING

INPUTS = 8


def live_channels(proto: ModelProto) -> dict[str, Array]:
    """The liveness of the channels that each layer reads, filters of zeros being pruned."""
    network = read_whole(proto)
    found, liveness = dict[str, Array](), Liveness(network)
    for layer in network.layers:
        live = found[layer.name] = liveness.channels(layer)
        groups = layer.geometry.groups
        weights = layer.weight.load().reshape(groups, -1, *layer.weight.shape[1:])
        used = weights * live.reshape(groups, 1, -1, *[1] * (weights.ndim - 3))
        liveness.decide(layer, used.reshape(layer.filters, -1).any(axis=1))
    return found


def changing_channels(proto: ModelProto, reads: dict[str, str]) -> dict[str, Array]:
    """Which channels of a layer's input ever differ from one random network input to another."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    runs: list[dict[str, Array]] = []
    names = [output.name for output in proto.graph.output]
    for _ in range(INPUTS):
        x = (8 * rng.normal(size=(1, 3, 4, 6))).astype(np.float32)
        runs.append(dict(zip(names, session.run(None, {"x": x}), strict=True)) | {"x": x})
    return {
        layer: np.any([_differs(runs[0][name], run[name], layer) for run in runs[1:]], axis=0)
        for layer, name in reads.items()
    }


def _differs(a: Array, b: Array, layer: str) -> Array:
    axis = a.ndim - 1 if layer.startswith("MatMul") else 1
    return (a != b).any(axis=tuple(i for i in range(a.ndim) if i != axis))


def compare(program: tuple[list[Step], int], exactly: bool) -> None:
    proto, reads = build(*program)
    live, changing = live_channels(proto), changing_channels(proto, reads)
    assert live.keys() == changing.keys()
    for name, channels in live.items():
        assert not (changing[name] & ~channels).any(), f"{name} reads dead channels that change"
        if exactly:
            assert not (channels & ~changing[name]).any(), f"{name} reads live channels that do not"


@given(programs(EXACT))
def test_channels_are_dead_exactly_where_no_input_changes_them(program: Any) -> None:
    compare(program, exactly=True)


@given(programs(EXACT + MIXING))
def test_a_dead_channel_never_changes(program: Any) -> None:
    compare(program, exactly=False)


@pytest.mark.parametrize("step", EXACT, ids=lambda step: step.__qualname__.split(".")[0])
def test_deadness_goes_through(step: Step) -> None:
    for seed in range(5):
        compare(([step], seed), exactly=True)


@pytest.mark.parametrize("step", MIXING, ids=lambda step: step.__qualname__)
def test_deadness_ends_at(step: Step) -> None:
    for seed in range(5):
        compare(([step], seed), exactly=False)


def test_constant_channels_change_in_a_product_with_an_activation() -> None:
    """As the column of ones does by which attention without Softmax takes its sums."""
    ones, filters = np.ones((1, 5, 1), np.float32), np.ones((4, 2), np.float32)
    proto = model(
        "v0 = MatMul(x, w) v = Concat<axis=2>(v0, ones) o = MatMul(a, v) y = MatMul(o, u)",
        "float[1,5,4] x, float[1,7,5] a", w=filters, ones=ones, u=filters[:3],
    )  # fmt: skip
    assert live_channels(proto)["y"].all()


@pytest.mark.parametrize(("weights", "dead"), [("Softmax<axis=2>(a)", 1), ("Relu(a)", 0)])
def test_what_a_dead_channel_adds_is_the_same_only_under_weights_that_sum_to_one(
    weights: str, dead: int
) -> None:
    """As attention's values have it: a pruned filter gives its bias, times the sum of the row."""
    filters, out = np.ones((4, 3), np.float32), np.ones((3, 2), np.float32)
    filters[:, 1] = 0
    nodes = f"v0 = MatMul(x, w) v = Add(v0, b) s = {weights} o = MatMul(s, v) y = MatMul(o, u)"
    bias = np.ones(3, np.float32)
    proto = model(nodes, "float[1,5,4] x, float[1,7,5] a", w=filters, b=bias, u=out)
    assert (~live_channels(proto)["y"]).tolist() == [False, bool(dead), False]
    turned = nodes.replace("MatMul(s, v)", "MatMul(v, s)").replace("MatMul(o, u)", "MatMul(u, o)")
    turned = turned.replace("MatMul(x, w)", "MatMul(w, x)").replace("axis=2", "axis=1")
    proto = model(
        turned, "float[1,4,5] x, float[1,5,7] a", w=filters.T, b=bias[:, None], u=out.T
    )  # fmt: skip
    assert (~live_channels(proto)["y"]).tolist() == [False, bool(dead), False]
