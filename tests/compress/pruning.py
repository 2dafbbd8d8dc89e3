"""Networks to prune, with weights that are different everywhere, and the laws that they obey."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, numpy_helper

from esnsim import read_onnx
from esnsim.compression.prune.prune import Kept, choose, live_macs
from esnsim.compression.prune.shrink import masked, shrunk
from esnsim.costs.cost import cost
from esnsim.graph.model import open_model
from esnsim.model.network import Network
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme
from tests.execute.models import feeds_of, whole

FINE = Scheme(given_steps=2.0**-12, bits=16)  # prunes nothing


def randomised(proto: ModelProto, seed: int = 0) -> ModelProto:
    """A `Net` with stored random weights in place of its ConstantOfShape nodes."""
    rng = np.random.default_rng(seed)
    shapes = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    filled = [n for n in proto.graph.node if n.op_type == "ConstantOfShape"]
    for node in filled:
        shape = tuple(shapes[node.input[0]].tolist())
        spread = np.sqrt(2 / np.prod(shape[1:]))
        array = rng.normal(0, spread, shape) if len(shape) > 1 else rng.uniform(0.5, 1.5, shape)
        proto.graph.initializer.append(
            numpy_helper.from_array(array.astype(np.float32), node.output[0])
        )
        proto.graph.node.remove(node)
    inferred = onnx.shape_inference.infer_shapes(proto).graph.output[0]
    proto.graph.output[0].CopyFrom(inferred)
    return proto


def assert_laws(proto: ModelProto | str, kept: Kept | float = 0.5) -> ModelProto:
    """Masked and smaller model: equal outputs, equal cost, valid; the smaller one."""
    graph = open_model(proto)
    chosen = choose(graph, kept) if isinstance(kept, float) else kept
    big, small = masked(graph, chosen), shrunk(graph, chosen)
    onnx.checker.check_model(small, full_check=True)
    assert_same_outputs(big, small)
    assert_same_cost(graph.network, big, small)
    assert (
        live_macs(graph.network, chosen) == cost(quantize(read_onnx(small), FINE)).total.live_macs
    )
    return small


def assert_same_outputs(big: ModelProto, small: ModelProto) -> None:
    feeds = feeds_of(big)
    wanted, got = whole(big, feeds), whole(small, feeds)
    for name, array in wanted.items():
        assert np.isfinite(array).all()
        largest = np.abs(array).max()
        assert largest > 0
        np.testing.assert_allclose(got[name], array, rtol=0, atol=1e-4 * largest)


def assert_same_cost(network: Network, big: ModelProto, small: ModelProto) -> None:
    """Live cost of the masked model = dense cost of the smaller one, to the unit.

    Where the network has dead channels of its own (zeros padded to the channels), both are live.
    """
    before = cost(quantize(network, FINE)).total
    lively = before.live_macs == before.macs
    gated = any(merge.gate for merge in network.merges)
    rows = [cost(quantize(read_onnx(m), FINE)).layers for m in (big, small)]
    for live, dense in zip(*rows, strict=True):
        a, b = live.metrics, dense.metrics
        macs, weights = (b.macs, b.weights) if lively else (b.live_macs, b.live_weights)
        assert (a.esn_a_x4, a.esn_d) == (b.esn_a_x4, b.esn_d)
        assert a.nonzero_weights == b.nonzero_weights
        if gated:  # what it multiplies by 0 depends on the gate, so that weights of 0 are live
            assert a.live_macs >= macs
            continue
        assert (a.live_macs, a.live_weights) == (macs, weights), live.layer.name
        assert a.esn_d_tilde == b.esn_d_tilde


def filters(kept: Sequence[np.ndarray]) -> list[int]:
    return [int(k.sum()) for k in kept]
