"""Soft labels: what they are, that they are learned from, and at a temperature."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from esnsim.errors import ModelError
from esnsim.training.distillation import soft_labels
from esnsim.training.fit import Recipe, _layout, fit
from esnsim.training.models import BasicBlock
from tests.training.tiny import images, tiny

RECIPE = Recipe(epochs=2, batch=10, warmup=2, bfloat16=False)


def test_soft_labels_are_probabilities_of_an_image_and_its_mirror_image() -> None:
    pixels, _ = images()
    labels = soft_labels(tiny(), pixels, 3, batch=7)
    assert labels.shape == (40, 3)
    np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(labels, soft_labels(tiny(), pixels[..., ::-1], 3), rtol=1e-5)
    scores = tiny().eval()(torch.from_numpy(pixels[:1]).float() / 255).detach()
    mirrored = tiny().eval()(torch.from_numpy(pixels[:1, ..., ::-1].copy()).float() / 255).detach()
    wanted = ((scores + mirrored) / 6).softmax(1).numpy()
    np.testing.assert_allclose(labels[:1], wanted, rtol=1e-4)


def test_certain_soft_labels_are_labels() -> None:
    def run(labels: np.ndarray) -> list[torch.Tensor]:
        model = tiny()
        fit(model, images()[0], labels, RECIPE)
        return [*model.state_dict().values()]

    hard = images()[1]
    for one, other in zip(run(hard), run(np.eye(3)[hard]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_temperature_divides_the_scores_and_its_square_multiplies_the_loss() -> None:
    pixels, hard = images(10)
    losses: list[float] = []
    recipe = Recipe(
        epochs=1, batch=10, warmup=0, bfloat16=False, crop=0, temperature=4.0, learning_rate=0.0
    )
    model = tiny()
    fit(model, pixels, hard, recipe, report=lambda epoch: losses.append(epoch.loss))
    flipped = [torch.from_numpy(pixels[..., ::s].copy()).float() / 255 for s in (1, -1)]
    each = [
        16 * nn.functional.cross_entropy(model.train()(x) / 4, torch.from_numpy(hard).long())
        for x in flipped
    ]
    assert min(each) * 0.9 <= losses[0] <= max(each) * 1.1


def test_a_student_comes_nearer_to_its_teacher(tmp_path: Path) -> None:
    pixels, hard = images(120)
    teacher = tiny(3)
    fit(teacher, pixels, hard, Recipe(epochs=8, batch=10, warmup=2, bfloat16=False))
    labels = soft_labels(teacher, pixels, 2)
    student = tiny(5)
    before = np.abs(soft_labels(student, pixels, 2) - labels).mean()
    recipe = Recipe(epochs=8, batch=10, warmup=2, bfloat16=False, temperature=2.0)
    fit(student, pixels, labels, recipe)
    assert np.abs(soft_labels(student, pixels, 2) - labels).mean() < before / 2


def test_a_loss_that_is_not_finite_names_layer_and_step() -> None:
    model = tiny()
    with torch.no_grad():
        model.blocks[1].conv2.weight[0, 0, 0, 0] = float("nan")
    said = "loss is nan in step 1 of epoch 1, where 'blocks.1.conv2.weight' is not finite: lower"
    with pytest.raises(ModelError, match=said):
        fit(model, *images(), RECIPE)


def test_narrow_strided_projections_are_kept_from_channels_last() -> None:
    """oneDNN would write past its memory (uxlfoundation/oneDNN#6035)."""
    assert _layout(BasicBlock(4, 8, 2, project=True)) == torch.contiguous_format
    assert _layout(BasicBlock(4, 8, 1, project=True)) == torch.channels_last
    assert _layout(BasicBlock(16, 32, 2, project=True)) == torch.channels_last
    assert _layout(BasicBlock(4, 8, 2, project=False)) == torch.channels_last
