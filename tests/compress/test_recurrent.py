"""Weights of LSTM, GRU and RNN take part in compression: sites, codes, files, budgets."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto

from esnsim.compression.compress import compress
from esnsim.compression.recipe import Recipe
from esnsim.compression.round.inputs import Setting
from esnsim.compression.round.layers import round_layers
from esnsim.compression.round.reading import reading
from esnsim.compression.round.reference import Reference
from esnsim.compression.round.walk import Walk
from esnsim.costs.cost import cost
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.model import open_model
from esnsim.graph.sites import sites, unquantisable_layers
from esnsim.graph.substitute import dequantized_at, with_weights
from esnsim.images.sets import ImageSet
from esnsim.quantization.quantizer import codes, quantize
from esnsim.quantization.scheme import Scheme
from tests.execute.models import model, normal

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def cells(op: str = "LSTM", outputs: str = "s") -> ModelProto:
    """A bidirectional cell of 5 states over 7 steps of 4 features, and what reads its output s."""
    rows = 5 * GATES[op]
    steps, last = (1, [1, 0, 2]) if outputs.startswith(",") else (7, [2, 0, 1, 3])
    return model(
        f"""t = Transpose<perm=[1,0,2]>(x)
            {outputs} = {op}<hidden_size=5, direction="bidirectional">(t, w, r, b)
            q = Transpose<perm={last}>(s) f = Reshape(q, to) y = MatMul(f, u)""",
        "float[N,7,4] x", w=normal(2, rows, 4), r=normal(2, rows, 5, seed=1) / np.float32(3),
        b=normal(2, 2 * rows), to=np.array([0, -1]), u=normal(steps * 10, 3),
    )  # fmt: skip


def images(count: int = 60) -> ImageSet:
    x = normal(count, 7, 4, seed=2) + normal(count, 1, 1, seed=3)
    return ImageSet(name="made", count=count, read=lambda start, stop: x[start:stop])


@pytest.mark.parametrize("op", GATES)
def test_both_weights_of_a_cell_are_sites(op: str) -> None:
    graph = open_model(cells(op))
    assert [(s.layer.op, s.input) for s in sites(graph)] == [(op, 1), (op, 2), ("MatMul", 1)]
    assert not unquantisable_layers(graph)
    for site in sites(graph):
        weights = site.layer.weight.load()
        np.testing.assert_array_equal(site.from_operand(site.to_operand(weights)), weights)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("form", ["qdq", "qonnx", "float"])
def test_the_file_runs_as_its_codes_and_costs_as_they_do(op: str, form: str) -> None:
    graph, some = open_model(cells(op)), images()
    found = compress(graph, Recipe(scheme=Scheme("mse", 3), form=form), some)
    if form != "float":
        again = open_model(found.model)
        assert cost(quantize(again.network)).total == found.after.total
        layers = [layer.weight.codes is not None for layer in again.network.layers]
        assert layers == [True] * 3
    if form == "qonnx":  # ONNX Runtime does not know these operators
        return
    rounded = found.workspace.candidate(Scheme("mse", 3))
    wanted = with_weights(graph, rounded.changes)
    x = {"x": some.read(0, 20)}
    y, right = (
        ort.InferenceSession(proto.SerializeToString()).run(None, x)[0]
        for proto in (found.model, wanted)
    )
    np.testing.assert_allclose(y, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("outputs", ["s", ", s"])
def test_both_weights_of_a_cell_are_compensated_for(op: str, outputs: str) -> None:
    graph, some = open_model(cells(op, outputs)), images(200)
    plain = quantize(graph.network, Scheme("mse", 2))
    found = round_layers(Setting(whole=graph, model=graph, images=some), plain)
    gated = op == "GRU"  # its R multiplies states that a gate has scaled, which no value holds
    assert [layer.name.rpartition(".")[2] for layer in found.alone] == ["R"] * gated
    inputs, states, *_ = zip(found.quantized.layers, plain.layers, strict=True)
    assert (codes(inputs[0]) != codes(inputs[1])).any()
    assert (codes(states[0]) != codes(states[1])).any() != gated
    walk = Walk(graph, Reference(graph, some).feeds, len(graph.nodes))
    walk.advance(1)
    for site in sites(graph)[: 2 - gated]:
        read = reading(graph, site)
        assert read is not None
        x = np.concatenate(read.columns(read.on(walk)))
        weights = site.layer.weight.load()
        errors = []
        for changes in (found.changes, dequantized_at(sites(graph), plain)):
            off = site.from_operand(changes[site.slot]) - weights
            split = x.reshape(len(x), site.layer.geometry.groups, -1)
            parts = off.reshape(split.shape[1], -1, off.shape[1])
            errors.append(np.square(np.einsum("ngk,gmk->ngm", split, parts)).sum())
        assert errors[0] < 0.95 * errors[1]
    judge = Evaluator(graph, some)
    assert judge(found.changes).sqnr_db > judge(dequantized_at(sites(graph), plain)).sqnr_db


@pytest.mark.parametrize("given", ["none", "constant", "input"])
@pytest.mark.parametrize("kept", ["s", ""])
def test_states_are_those_that_each_step_starts_from(given: str, kept: str) -> None:
    """A cell by hand: h = tanh(W·x + R·h + b), forwards and backwards."""
    w, r, b, first = normal(2, 5, 4), normal(2, 5, 5), normal(2, 10), normal(2, 3, 5)
    initial = {} if given == "none" else {"h": first}
    inputs = "float[7,3,4] x" + ", float[2,3,5] h" * (given == "input")
    proto = model(
        f"""{kept}, t = RNN<hidden_size=5, direction="bidirectional">
            (x, w, r, b{", , h" * bool(initial)}) y = Relu(t)""",
        inputs, w=w, r=r, b=b, **(initial if given == "constant" else {}),
    )  # fmt: skip
    graph, x = open_model(proto), normal(7, 3, 4, seed=9)
    walk = Walk(graph, [{"x": x} | (initial if given == "input" else {})], 2)
    walk.advance(0)
    read = reading(graph, sites(graph)[1])
    assert read is not None
    [found] = read.on(walk)
    for image in range(3):
        for side, order in enumerate((range(7), reversed(range(7)))):
            state = first[side, image] if initial else np.zeros(5)
            for step in order:
                row = found.reshape(3, 7, 10)[image, step, 5 * side : 5 * side + 5]
                np.testing.assert_allclose(row, state, atol=1e-5)
                bias = b[side, :5] + b[side, 5:]
                state = np.tanh(w[side] @ x[step, image] + r[side] @ state + bias)


@pytest.mark.parametrize("outputs", ["s", "s, last", "s, last, cell"])
def test_a_cell_meets_a_budget(outputs: str) -> None:
    graph, some = open_model(cells(outputs=outputs)), images()
    macs = sum(layer.macs for layer in graph.network.layers)
    found = compress(graph, Recipe(budget=3.0 * macs), some)
    assert found.after.total.esn_d_tilde.macs <= 3 * macs
    widths = [
        row.sums.width_code.mean() for row in quantize(open_model(found.model).network).layers
    ]
    assert max(widths[:2]) < 6


def test_no_gate_is_pruned() -> None:
    graph, some = open_model(cells()), images()
    found = compress(graph, Recipe(scheme=Scheme("mse", 4), ratio=0.5), some)
    assert [layer.filters for layer in found.workspace.network.layers][:2] == [40, 40]
