"""Fake quantisation is esnsim's own quantiser, with a straight-through gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrize

from esnsim.errors import ModelError, WidthError
from esnsim.model.network import Geometry
from esnsim.quantization.quantizer import codes, quantize
from esnsim.quantization.scheme import Scheme
from esnsim.training.export import from_torch
from esnsim.training.fakequant import FakeQuantize, fake_quantize
from esnsim.training.fit import Recipe, accuracy, fit
from esnsim.training.inference import correct_statistics, load_quantized
from esnsim.training.layers import weighted_layers
from tests.networks import layer, network
from tests.training.tiny import EXAMPLE, images, tiny

WEIGHTS = st.lists(
    st.sampled_from([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 0.49, 1.75, -3.0, 1e-9]), min_size=12,
    max_size=12,
)  # fmt: skip
STEPS = st.lists(st.sampled_from([0.25, 1.0, 1.5, 8.0]), min_size=3, max_size=3)


@given(WEIGHTS, STEPS, st.sampled_from([None, 1, 2, 4]), st.booleans())
def test_the_forward_pass_is_quantize_exactly(
    weights: list[float], steps: list[float], bits: int | None, keep_zeros: bool
) -> None:
    weight = np.array(weights, np.float32).reshape(3, 4)
    net = network([layer(weight, Geometry())])
    name = net.layers[0].name
    scheme = Scheme(given_steps={name: steps}, bits=bits, keep_zeros=keep_zeros)
    (row,) = quantize(net, scheme).layers
    expected = (codes(row) * (np.array(steps)[:, None] / 2)).astype(np.float32)
    got = fake_quantize(torch.from_numpy(weight), torch.tensor(steps), bits, keep_zeros)
    np.testing.assert_array_equal(got.numpy(), expected)


def test_the_gradient_goes_straight_through_but_for_codes_that_saturate() -> None:
    weight = torch.tensor([[0.3, -0.9, 5.0, -5.0]], requires_grad=True)
    fake_quantize(weight, torch.tensor([1.0]), bits=2).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1, 1, 0, 0]]


def test_a_step_of_zero_or_none_prunes() -> None:
    got = fake_quantize(torch.ones(2, 3), torch.tensor([0.0, float("nan")]))
    assert not got.any()


@pytest.mark.parametrize(("rule", "per_layer"), [("filter-max", False), ("layer-max", True)])
def test_a_parametrised_layer_computes_with_its_codes(rule: str, per_layer: bool) -> None:
    model = tiny()
    expected = load_quantized(model, quantize(from_torch(model, EXAMPLE), Scheme(rule, 3)))
    for module in weighted_layers(model).values():
        parametrize.register_parametrization(module, "weight", FakeQuantize(3, per_layer))
    x = torch.rand(2, *EXAMPLE.shape[1:])
    torch.testing.assert_close(model.eval()(x), expected.eval()(x), rtol=0, atol=0)


def test_training_with_fake_quantisation_learns_at_two_bits() -> None:
    model = tiny()
    for module in weighted_layers(model).values():
        parametrize.register_parametrization(module, "weight", FakeQuantize(2))
    x, y = images(60)
    recipe = Recipe(epochs=12, batch=20, learning_rate=0.05, warmup=0, crop=0, bfloat16=False)
    fit(model, x, y, recipe)
    assert accuracy(model, x, y) > 0.7  # a third by chance


@pytest.mark.parametrize("bits", [0, 17])
def test_widths_are_1_to_16(bits: int) -> None:
    with pytest.raises(WidthError, match=f"{bits} bits: widths are 1 to 16"):
        FakeQuantize(bits)


def test_statistics_are_those_of_the_images() -> None:
    model = nn.Sequential(nn.BatchNorm2d(1))
    x, _ = images(8)
    correct_statistics(model, x, batch=4)
    pixels = torch.from_numpy(x).double() / 255
    assert model[0].running_mean.item() == pytest.approx(pixels.mean().item(), rel=1e-5)
    variance = torch.stack([pixels[:4].var(), pixels[4:].var()]).mean().item()
    assert model[0].running_var.item() == pytest.approx(variance, rel=1e-5)
    assert model[0].momentum == 0.1
    assert not model.training


def test_codes_of_another_model_are_refused() -> None:
    quantized = quantize(from_torch(tiny(), EXAMPLE))
    with pytest.raises(ModelError, match=r"weight 'conv\.weight' is no parameter of Sequential"):
        load_quantized(nn.Sequential(nn.Linear(2, 2)), quantized)
