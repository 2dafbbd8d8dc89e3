"""Pruning ends where it was asked to, fine-tuning revives nothing, smaller equals masked."""

import numpy as np
import pytest
import torch
from torch import nn

from esnsim import cost, quantize
from esnsim.errors import ModelError, UsageError
from esnsim.quantization.scheme import Scheme
from esnsim.training.admm import Admm
from esnsim.training.export import from_torch
from esnsim.training.fit import Recipe, fit
from esnsim.training.layers import weighted_layers
from esnsim.training.masks import Masks, norms, prune_by_norm
from esnsim.training.models import VGG7, DenseNetBC
from esnsim.training.shrink import shrink
from esnsim.training.units import units
from tests.naive.training import project
from tests.training.tiny import EXAMPLE, images, tiny

RECIPE = Recipe(epochs=2, batch=20, warmup=0, bfloat16=False)
#: of 4, 6, 6 + 6 + 6 added, 6 filters; the 3 classes are never pruned
FILTERS_PRUNED_AT_HALF = 2 + 3 + 3 * 3 + 3


def zero_filters(model: nn.Module) -> int:
    return sum(int((w == 0).sum()) for w in norms(model).values())


def test_the_projection_keeps_the_filters_of_largest_norm() -> None:
    model = nn.Sequential(nn.Conv2d(1, 5, (2, 3)), nn.ReLU(), nn.Conv2d(5, 2, 1))
    found = units(from_torch(model, EXAMPLE))
    alive = found.alive(norms(model), 0.6)
    assert alive["0.weight"].tolist() == project(norms(model)["0.weight"].tolist(), 3)
    assert set(alive) == {"0.weight"}  # no layer reads the last one


def test_filters_whose_outputs_are_added_are_pruned_together() -> None:
    model = tiny()
    alive = units(from_torch(model, EXAMPLE)).alive(norms(model), 0.5)
    added = ("blocks.0.conv2.weight", "blocks.0.shortcut.0.weight", "blocks.1.conv2.weight")
    assert len({alive[name].tobytes() for name in added}) == 1
    assert sum((~a).sum() for a in alive.values()) == FILTERS_PRUNED_AT_HALF


class Gated(nn.Module):
    """Three channels, multiplied by a gate of one."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.gate, self.b = nn.Conv2d(1, 3, 1), nn.Conv2d(3, 1, 1), nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a = self.a(x)
        return self.b(a * self.gate(a).sigmoid())


def test_a_gate_of_one_channel_ties_nothing_and_stays() -> None:
    alive = units(from_torch(Gated(), EXAMPLE)).alive({"a.weight": np.array([3, 1, 2.0])}, 0.34)
    assert {name: mask.tolist() for name, mask in alive.items()} == {
        "a.weight": [True, False, False]
    }


@pytest.mark.parametrize("keep", [0, 1.5, -1])
def test_a_share_of_filters_is_above_0_and_at_most_1(keep: float) -> None:
    with pytest.raises(UsageError, match="give a share above 0, at most 1"):
        prune_by_norm(tiny(), EXAMPLE, keep)


def test_admm_ends_with_exactly_the_asked_number_of_filters_zero() -> None:
    model = tiny()
    admm = Admm(model, EXAMPLE, keep=0.5, rho=0.3, growth=2)
    before = admm.residual
    fit(
        model,
        *images(),
        Recipe(epochs=6, batch=10, warmup=0, bfloat16=False),
        companions={"admm": admm},
    )
    assert admm.residual < before / 2  # the weights were drawn to the constraint
    masks = admm.finish()
    assert zero_filters(model) == masks.pruned == FILTERS_PRUNED_AT_HALF
    assert admm.residual == 0


def test_admm_adds_the_gradient_of_its_penalty() -> None:
    model = tiny()
    admm = Admm(model, EXAMPLE, keep=0.5, rho=0.25)
    for layer in weighted_layers(model).values():
        layer.weight.grad = torch.zeros_like(layer.weight)
    admm.after_backward()
    weight = model.blocks[0].conv1.weight
    alive = units(from_torch(model, EXAMPLE)).alive(norms(model), 0.5)["blocks.0.conv1.weight"]
    gone = torch.from_numpy(~alive)[:, None, None, None]
    torch.testing.assert_close(weight.grad, 0.25 * weight * gone)


def test_masked_fine_tuning_never_revives_a_weight() -> None:
    model = tiny()
    masks = prune_by_norm(model, EXAMPLE, 0.5)
    dead = {n: m.weight == 0 for n, m in weighted_layers(model).items()}
    before = model.conv.weight.clone()
    fit(model, *images(), RECIPE, companions={"masks": masks})
    for name, module in weighted_layers(model).items():
        assert not module.weight[dead[name]].any()
        assert module.weight[~dead[name]].all()
    for name, live in masks.norms.items():
        norm = model.get_submodule(name)
        assert not norm.weight[~live].any()
        assert not norm.bias[~live].any()
    assert not torch.equal(model.conv.weight, before)


def test_weights_that_read_a_pruned_filter_are_zero() -> None:
    model = tiny()
    masks = prune_by_norm(model, EXAMPLE, 0.5)
    assert not model.fc.weight[:, ~masks.filters["blocks.1.conv2"]].any()
    assert model.fc.weight[:, masks.filters["blocks.1.conv2"]].all()


@pytest.mark.parametrize("keep", [0.25, 0.5, 0.75])
def test_the_smaller_model_costs_what_the_masked_one_does(keep: float) -> None:
    model = tiny()
    masks = prune_by_norm(model, EXAMPLE, keep)
    smaller = shrink(masks, EXAMPLE)
    scheme = Scheme(rule="filter-max", bits=3)
    masked, small = (cost(quantize(from_torch(m, EXAMPLE), scheme)).total for m in (model, smaller))
    assert small.macs == masked.live_macs < masked.macs
    assert (small.esn_a_x4, small.esn_d_tilde) == (masked.esn_a_x4, masked.esn_d_tilde)


def test_a_dense_layer_after_flattening_loses_the_positions_of_dead_channels() -> None:
    torch.manual_seed(0)
    model = VGG7(1 / 32, channels=1, size=8)
    smaller = shrink(prune_by_norm(model, torch.zeros(1, 1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8))
    assert smaller.fc.in_features == model.fc.in_features // 2


def test_a_model_that_cannot_be_made_smaller_says_so() -> None:
    torch.manual_seed(0)
    example = torch.zeros(1, 1, 8, 8)
    model = DenseNetBC(10, 4, channels=1)
    masks = prune_by_norm(model, example, 0.5)
    with pytest.raises(ModelError, match=r"cannot be made smaller \(.*\): use it masked"):
        shrink(masks, example)
    assert zero_filters(model) == masks.pruned > 0


def test_masks_of_all_filters_change_nothing() -> None:
    model = tiny()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    assert isinstance(prune_by_norm(model, EXAMPLE, 1), Masks)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert np.all([(w > 0).all() for w in norms(model).values()])
