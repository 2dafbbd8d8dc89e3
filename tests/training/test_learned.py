"""Widths learned with their cost in the loss: gradients, costs, budgets, what is exported."""

import copy
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

import esnsim
from esnsim import Scheme, cost, from_torch, quantize, read_onnx
from esnsim.compression.compress import compress
from esnsim.compression.recipe import Recipe as CodeRecipe
from esnsim.errors import EsnsimError
from esnsim.graph.model import open_model
from esnsim.quantization.quantizer import codes
from esnsim.training.export import export_proto
from esnsim.training.fakequant import fake_quantize
from esnsim.training.fit import Recipe, _layout, batches, fit, learning_rate
from esnsim.training.fractional import fractional, steps
from esnsim.training.layers import sharing
from esnsim.training.learned import CALM, LearnedWidths, _within_codes
from tests.networks import chain
from tests.training.tiny import EXAMPLE, images, tiny

RECIPE = Recipe(epochs=3, batch=10, warmup=2, bfloat16=False, learning_rate=0.02)


class Depthwise(nn.Module):
    """Grouped, depthwise, tied and dense layers, for (N, 1, 6, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, (3, 2), padding=(1, 0), stride=(2, 1))
        self.depth = nn.Conv2d(4, 4, 3, groups=4)
        self.grouped = nn.Conv2d(4, 6, (1, 3), groups=2)
        self.fc = nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.grouped(torch.relu(self.depth(torch.relu(self.first(x))))))
        return self.fc(y.mean((2, 3)))


class Tied(nn.Module):
    """Two convolutions of one weight, the second of which does not learn alone."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two = (nn.Conv2d(c, 4, 3, padding=1) for c in (1, 4, 4))
        self.two.weight = self.one.weight
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.two(torch.relu(self.one(torch.relu(self.first(x))))))
        return self.fc(y.mean((2, 3)))


class Others(nn.Module):
    """Weights of no convolution and no linear layer before, between and behind one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, (3, 2))
        self.recurrent = nn.LSTM(4, 5, batch_first=True)
        self.middle, self.fc = nn.Linear(5, 6), nn.Linear(6, 3)
        self.bare = nn.Parameter(torch.rand(6, 6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.recurrent(torch.relu(self.first(x)).flatten(2).transpose(1, 2))
        return self.fc(torch.relu(torch.relu(self.middle(y)) @ self.bare).mean(1))


NETS = {"residual": tiny, "depthwise": Depthwise, "tied": Tied}


@given(st.integers(0, 2**32 - 1), st.integers(0, 8))
def test_whole_widths_give_the_codes_of_the_quantiser(seed: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(5, 12)).astype(np.float32)
    log_range = torch.from_numpy(rng.uniform(-2, 3, 5))  # the quantiser prunes where it is large
    each = torch.full((5,), float(bits), dtype=torch.float64)
    found = fractional(torch.from_numpy(weights).double(), log_range, each).numpy()
    step = steps(log_range, each).numpy()
    scheme = Scheme(widths={"layer0": np.full(5, bits)}, given_steps={"layer0": step})
    q = quantize(chain(weights), scheme).layers[0]
    wanted = 0.5 * codes(q).reshape(5, 12) * step[:, None]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(0, 6))
def test_codes_are_those_of_the_nearest_whole_width(seed: int, bits: float) -> None:
    weight = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, 4)))
    ranges, each = torch.zeros(3).double(), torch.full((3,), bits).double()
    near = (each + 0.5).floor()
    learned = fractional(weight, ranges, each.requires_grad_())
    assert torch.equal(learned, fake_quantize(weight, steps(ranges, near), near))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 2.0]) | st.floats(0, 6))
def test_the_gradient_of_a_width_is_what_another_bit_changes(seed: int, bits: float) -> None:
    """Also of a whole one, and at 0, where the other bit would bring the filter back."""
    rng = np.random.default_rng(seed)
    weight, wanted = torch.from_numpy(rng.normal(size=(2, 3, 4)))
    width = torch.full((3,), bits, dtype=torch.float64, requires_grad=True)
    (fractional(weight, torch.zeros(3).double(), width) * wanted).sum().backward()
    below = torch.full((3,), float(np.floor(bits)), dtype=torch.float64)
    one, other = (fractional(weight, torch.zeros(3).double(), b) for b in (below, below + 1))
    assert width.grad is not None
    torch.testing.assert_close(width.grad, ((other - one) * wanted).sum(1))


def test_ranges_get_the_gradient_of_a_learned_step() -> None:
    """Σ g·(code − w/Δ) inside, Σ g·code outside, times dΔ/d log2 r = Δ·ln 2; none of a kept 0."""
    row = [0.1, -0.3, 0.74, 3.0, -4.0, 0.0, 6.0]
    weight = torch.tensor([row], dtype=torch.float64, requires_grad=True)
    log_range = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    fractional(weight, log_range, torch.full((1,), 2.0).double()).sum().backward()
    inside = np.array([0.5 - 0.2, -0.5 + 0.6, 1.5 - 1.48])
    assert log_range.grad is not None
    assert weight.grad is not None
    assert log_range.grad.item() == pytest.approx((inside.sum() + 1.5) * 0.5 * np.log(2))
    assert weight.grad.tolist() == [[1, 1, 1, 0, 0, 1, 0]]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("seed", range(4))
def test_the_cost_of_whole_widths_is_that_of_their_codes(net: str, seed: int) -> None:
    """Filters pruned here and there, and what reads them."""
    rng = np.random.default_rng(seed)
    learner = LearnedWidths(NETS[net](), EXAMPLE, price=0)
    widths = {}
    with torch.no_grad():
        for name, learned in learner.learned.items():
            least = learner._least[name].numpy()
            widths[name] = np.maximum(rng.integers(0, 5, len(least)), least).astype(np.int64)
            learned.bits.copy_(torch.from_numpy(widths[name]))
    q = quantize(learner._network, learner._scheme(learner._network))
    found = cost(q)
    coded = {
        x.layer.weight.name: np.array(row.bits)
        for x, row in zip(q.layers, found.layers, strict=True)
    }
    assert learner._cost_of.whole(coded) == found.total.esn_d_tilde.macs
    assert learner._cost_of.whole(widths) >= found.total.esn_d_tilde.macs


@pytest.mark.parametrize("net", NETS)
def test_the_cost_of_fractions_is_linear_between_whole_widths(net: str) -> None:
    learner = LearnedWidths(NETS[net](), EXAMPLE, price=1)
    with torch.no_grad():
        found = []
        for bits in (2, 2.5, 3):
            for learned in learner.learned.values():
                learned.bits.fill_(bits)
            found.append(learner.mac_bits().item())
    macs = sum(layer.macs for layer in learner._network.layers)
    assert found == [2 * macs, 2.5 * macs, 3 * macs]


@pytest.mark.parametrize("net", NETS)
def test_the_gradient_of_the_cost_is_its_finite_difference(net: str) -> None:
    """Also below a bit, where a width changes what reads the channel."""
    learner = LearnedWidths(NETS[net](), EXAMPLE, price=1)
    generator = torch.Generator().manual_seed(3)
    bits = [learned.bits for learned in learner.learned.values()]
    with torch.no_grad():
        for width in bits:  # no two alike, none near a whole one
            width.copy_(torch.rand(len(width), generator=generator) * 0.9 + 0.05)
            width[::2] += 2
    slopes = torch.autograd.grad(learner.mac_bits(), bits)
    for width, slope in zip(bits, slopes, strict=True):
        for index in range(len(width)):
            found = []
            for by in (0.002, -0.002):
                with torch.no_grad():
                    width[index] += by
                    found.append(learner.mac_bits().item())
                    width[index] -= by
            numeric = (found[0] - found[1]) / 0.004
            assert numeric == pytest.approx(slope[index].item(), rel=2e-2, abs=0.5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_weights_that_begin_within_codes_have_these_codes(seed: int, bits: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(6, 9, generator=generator).double()
    step = torch.rand(6, generator=generator).double() * 2 + 0.01
    top = 2**bits
    code = torch.randint(0, top, (6, 9), generator=generator) * 2 + 1 - top
    begun = _within_codes(weight, code, step)
    coded = fake_quantize(begun, step, bits)
    torch.testing.assert_close(coded, code * step[:, None] / 2)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("least", [0, 1])
def test_a_start_gives_the_cost_of_its_file_and_its_outputs(net: str, least: int) -> None:
    """Outputs where no filter is pruned: constants of pruned ones are what settling zeroes."""
    torch.manual_seed(1)
    model, rng = NETS[net](), np.random.default_rng(2)
    layers = {x.weight.name: x.filters for x in from_torch(model, EXAMPLE).layers}
    widths = {n: np.append(rng.integers(least, 4, m - 1), 2) for n, m in layers.items()}
    widths["fc.weight"] = np.array([1, 2, 3])
    opened = open_model(export_proto(model, EXAMPLE, free_batch=True))
    compressed = compress(opened, CodeRecipe(scheme=Scheme(rule="mse", widths=widths)))
    start = quantize(open_model(compressed.model).network)
    learner = LearnedWidths(model, EXAMPLE, price=0, start=start)
    learner.settle()
    assert learner.cost().total.esn_d_tilde == compressed.after.total.esn_d_tilde
    if least:
        pixels = images(12, 3)[0].astype(np.float32) / 255
        ours = model.eval()(torch.from_numpy(pixels)).detach().numpy()
        np.testing.assert_allclose(ours, outputs_of(compressed.model, pixels), atol=1e-5)


def test_the_start_of_another_model_is_refused() -> None:
    other = quantize(from_torch(Depthwise(), EXAMPLE))
    with pytest.raises(EsnsimError, match="are of another model: 4 layers, where this one has 7"):
        LearnedWidths(tiny(), EXAMPLE, price=0, start=other)


@pytest.mark.parametrize("net", NETS)
def test_a_budget_is_kept_and_the_file_is_what_was_trained(net: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = NETS[net]()
    macs = cost(quantize(from_torch(model, EXAMPLE))).total.macs
    budget = 1.6 * macs
    learner = LearnedWidths(model, EXAMPLE, budget=budget, rate=0.05)
    fit(model, *images(), RECIPE, companions={"widths": learner})
    assert learner.mac_bits().item() < 4 * macs
    learner.settle()
    fit(model, *images(), RECIPE, companions={"widths": learner})
    proto = learner.export()
    (tmp_path / "small.onnx").write_bytes(proto.SerializeToString())
    found = cost(quantize(read_onnx(tmp_path / "small.onnx")))
    assert 0 < found.total.esn_d_tilde.macs <= budget
    assert found.total.esn_d_tilde.macs == learner.cost().total.esn_d_tilde.macs
    pixels = images(12, 3)[0].astype(np.float32) / 255
    ours = model.eval()(torch.from_numpy(pixels)).detach().numpy()
    name = open_model(proto).proto.graph.input[0].name
    assert name == "image"
    theirs = outputs_of(proto, pixels)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_the_loop_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a module and loader of one's own; its file costs what it prints."""
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (loop,) = (block for block in blocks if "learner.loss()" in block)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = tiny()
    budget = int(1.5 * cost(quantize(from_torch(model, EXAMPLE))).total.macs)
    pixels, labels = (torch.from_numpy(each) for each in images())
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(pixels.float() / 255, labels.long()), batch_size=10
    )
    printed: list[int] = []
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    names = {
        "model": model, "example": EXAMPLE, "loader": loader, "epochs": 4, "optimizer": optimizer,
        "criterion": nn.functional.cross_entropy, "onnx": onnx, "print": printed.append,
    }  # fmt: skip
    assert "budget=80e6" in loop
    exec(loop.replace("80e6", str(budget)), names)
    total = cost(quantize(read_onnx("small.onnx"))).total
    assert [total.esn_d_tilde.macs] == printed
    assert 0 < printed[0] <= budget


def test_weights_of_other_layers_are_named_and_left_alone() -> None:
    """And cost what they cost in the file, and are there what eight bits make of them."""
    torch.manual_seed(0)
    model = Others()
    plain = {name: value.clone() for name, value in model.state_dict().items()}
    learner = LearnedWidths(model, EXAMPLE, budget=33_000, rate=0.05)
    assert [*learner.learned] == ["first.weight", "middle.weight", "fc.weight"]
    assert len(learner.left) == 3
    assert "bare" in learner.left
    fit(model, *images(), replace(RECIPE, learning_rate=0.0), companions={"widths": learner})
    learner.settle()
    assert all(torch.equal(model.state_dict()[n], v) for n, v in plain.items() if "bare" in n)
    found = cost(quantize(read_onnx_of(learner))).total
    assert found.esn_d_tilde == learner.cost().total.esn_d_tilde
    assert 0 < found.esn_d_tilde.macs <= 33_000
    pixels = images(12, 3)[0].astype(np.float32) / 255
    ours = model.eval()(torch.from_numpy(pixels)).detach().numpy()
    np.testing.assert_allclose(ours, outputs_of(learner.export(), pixels), atol=0.02)


def outputs_of(proto, pixels):
    import onnxruntime as ort

    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": pixels})[0]


def test_a_budget_below_one_bit_prunes_and_what_is_pruned_stays_pruned() -> None:
    model = tiny()
    macs = cost(quantize(from_torch(model, EXAMPLE))).total.macs
    learner = LearnedWidths(model, EXAMPLE, budget=0.5 * macs, bits=1, rate=0.05)
    fit(model, *images(), RECIPE, companions={"widths": learner})
    learner.settle()
    assert learner.masks is not None
    pruned = learner.masks.pruned
    assert pruned > 5
    fit(model, *images(), RECIPE, companions={"widths": learner})
    total = cost(quantize(read_onnx_of(learner))).total
    assert total.pruned_filters >= pruned
    assert all((x.bits >= 0).all() for x in learner.learned.values())


def read_onnx_of(learner: LearnedWidths) -> esnsim.Network:
    return open_model(learner.export()).network


class Plain(nn.Module):
    """Fake quantisation with a learned step and nothing else."""

    def __init__(self, log_range: torch.Tensor) -> None:
        super().__init__()
        self.log_range = nn.Parameter(log_range.detach().clone())

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return fake_quantize(weight, 2.0 ** (self.log_range + 1 - 3), 3)


@pytest.mark.parametrize("net", NETS)
def test_without_a_price_it_is_plain_training_bit_for_bit(net: str) -> None:
    """Of settled widths: the same loop by hand, where nothing knows of widths or costs."""
    torch.manual_seed(4)
    model, (pixels, labels) = NETS[net](), images()
    by_hand = copy.deepcopy(model)
    learner = LearnedWidths(model, EXAMPLE, price=0, bits=3)
    learner.settle()
    modules, plain = dict(by_hand.named_modules()), {}
    for name, learned in learner.learned.items():
        plain[name] = Plain(learned.log_range)
        for same in sharing(by_hand, modules[name.removesuffix(".weight")]):
            parametrize.register_parametrization(same, "weight", plain[name])
    recipe = replace(RECIPE, epochs=2)
    fit(model, pixels, labels, recipe, companions={"widths": learner})

    ranges = [each.log_range for each in plain.values()]
    weights = [p for p in by_hand.parameters() if not any(p is r for r in ranges)]
    sgd = torch.optim.SGD(weights, momentum=0.9, weight_decay=5e-4, nesterov=True)
    adam = torch.optim.Adam(ranges, lr=CALM * 1e-2)
    by_hand.train().to(memory_format=_layout(by_hand))
    for epoch in range(2):
        for step, (x, y) in enumerate(batches(pixels, labels, recipe, epoch)):
            sgd.param_groups[0]["lr"] = learning_rate(recipe, 4 * epoch + step, 4)
            scores = by_hand(x.contiguous(memory_format=_layout(model)))
            for optimizer in (sgd, adam):
                optimizer.zero_grad()
            nn.functional.cross_entropy(scores, y).backward()
            for optimizer in (sgd, adam):
                optimizer.step()
    for name, each in plain.items():
        assert torch.equal(each.log_range, learner.learned[name].log_range)
    trained, hand = (dict(m.named_parameters()) for m in (model, by_hand))
    assert trained.keys() <= hand.keys()
    assert [name for name in trained if not torch.equal(trained[name], hand[name])] == []


def test_resumed_learning_is_uninterrupted_learning_bit_for_bit(tmp_path: Path) -> None:
    def run(path: Path, epochs: int) -> dict[str, torch.Tensor]:
        model = tiny()
        learner = LearnedWidths(model, EXAMPLE, budget=3000)
        recipe = Recipe(epochs=4, batch=10, warmup=2, bfloat16=False)

        def report(epoch: object) -> None:
            if epoch.index + 1 == epochs:  # type: ignore[attr-defined]
                raise InterruptedError

        with suppress(InterruptedError):
            fit(model, *images(), recipe, path, report, {"widths": learner})
        return {**model.state_dict(), **learner.state_dict()["bits"]}

    whole = run(tmp_path / "whole", 9)
    run(tmp_path / "part", 3)
    resumed = run(tmp_path / "part", 9)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give a price of a MAC×bit, or a budget"),
        ({"price": 1, "budget": 1}, "and not both"),
        ({"price": float("nan")}, "price nan: give a number that is not negative"),
        ({"budget": -3}, "budget -3: give"),
        ({"price": 1, "bits": 40}, "40 bits: widths begin at 1 to 16"),
    ],
)
def test_what_does_not_go_together_is_refused(given, said: str) -> None:
    with pytest.raises(EsnsimError, match=said):
        LearnedWidths(tiny(), EXAMPLE, **given)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.ConvTranspose2d(4, 2, 3)), "'1' is a transposed"),
        (nn.Flatten(), "Flatten has no layer with weights"),
    ],
)
def test_a_module_whose_widths_cannot_be_learned_is_named(model: nn.Module, said: str) -> None:
    with pytest.raises(EsnsimError, match=said):
        LearnedWidths(model, EXAMPLE, price=1)


@pytest.mark.parametrize("net", NETS)
def test_a_budget_below_the_least_is_refused_at_the_start(net: str) -> None:
    """The least is the cost of a network of one channel everywhere, and of all classes."""
    kept = {"residual": [1, 1, 1, 1, 1, 1, 3], "depthwise": [1, 1, 1, 3], "tied": [1, 1, 3]}[net]
    network = from_torch(NETS[net](), EXAMPLE)
    filters = {layer.weight.name: layer.filters for layer in network.layers}
    widths = {
        name: (np.arange(count) < live).astype(np.int64)
        for (name, count), live in zip(filters.items(), kept, strict=True)
    }
    steps = {name: np.full(count, 1e-9) for name, count in filters.items()}  # all codes saturate
    scheme = Scheme(widths=widths, given_steps=steps)
    least = cost(quantize(network, scheme)).total.esn_d_tilde.macs
    LearnedWidths(NETS[net](), EXAMPLE, budget=least)
    with pytest.raises(EsnsimError, match=f"each layer costs: give at least {least:,}$"):
        LearnedWidths(NETS[net](), EXAMPLE, budget=least - 1)


def test_an_early_export_and_widths_that_leave_nothing_are_refused() -> None:
    learner = LearnedWidths(tiny(), EXAMPLE, price=7)
    with pytest.raises(EsnsimError, match="call settle"):
        learner.export()
    with torch.no_grad():
        for learned in learner.learned.values():
            learned.bits.zero_()
    with pytest.raises(EsnsimError, match="at a price of 7 a MAC×bit: give a lower one"):
        learner.settle()
