"""A seeded, resumable SGD loop for image classifiers."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from esnsim.errors import ModelError
from esnsim.files.replace import replacing

Images = NDArray[np.uint8]
Labels = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]
BLOCK = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8  # channels, in oneDNN


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Hyper-parameters of a run: SGD with momentum.

    `learning_rate` is the initial one. It follows a cosine to zero without restart, or with
    `drops` it is divided by 10 at each of these epochs, or with `constant` it stays. `warmup`
    counts optimiser steps; `crop` is the padding in pixels of the random crop; images are flipped
    left to right with probability ½. `temperature` divides the scores in the loss, which is
    multiplied by its square: that of soft labels (esnsim/training/distillation.py). `bfloat16` is
    used where the device has it: a CPU without takes ten times as long.
    """

    epochs: int
    batch: int = 125
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = True
    warmup: int = 200
    constant: bool = False
    drops: tuple[int, ...] = ()
    crop: int = 2
    temperature: float = 1.0
    seed: int = 0
    bfloat16: bool = True
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch left: mean training loss and the learning rate of its last step."""

    index: int
    loss: float
    learning_rate: float


class Companion:
    """What may take part in each step of `fit`, and is saved with its checkpoint."""

    def loss(self) -> Tensor | float:
        """What is added to the loss of a batch."""
        return 0.0

    def after_backward(self) -> None:
        """Between the gradients and the optimiser's step."""

    def step(self) -> None:
        """After the optimiser's step."""

    def epoch(self) -> object:
        """After the last step of an epoch."""

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint has to hold."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""


def fit(
    model: nn.Module,
    images: Images,
    labels: Labels,
    recipe: Recipe,
    checkpoint: Path | None = None,
    report: Callable[[Epoch], None] = lambda epoch: None,
    companions: Mapping[str, Companion] | None = None,
) -> None:
    """Train `model` in place on `images` (N, C, H, W) and `labels` (N,), or soft ones (N, K).

    With `checkpoint`, the state is written there after each epoch and training resumes from it:
    the order of images and their augmentation depend on seed and epoch alone, so a resumed run
    equals an uninterrupted one. `companions` go along by name, and into the checkpoint. Raises
    ModelError for a checkpoint of another model, and where the loss is not finite any more.
    """
    companions = companions or {}
    layout, heat = _layout(model), recipe.temperature
    half = recipe.bfloat16 and has_bfloat16(recipe.device)
    model.to(device=recipe.device, memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
    )
    start = load_checkpoint(checkpoint, model, optimizer, companions) if checkpoint else 0
    steps = len(images) // recipe.batch
    if not steps:
        raise ModelError(f"{len(images)} images are less than a batch of {recipe.batch}")
    for index in range(start, recipe.epochs):
        model.train()
        total = 0.0
        for step, (x, y) in enumerate(batches(images, labels, recipe, index)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, index * steps + step, steps)
            with torch.autocast(recipe.device, torch.bfloat16, enabled=half):
                scores = model(x.contiguous(memory_format=layout))
                loss = nn.functional.cross_entropy(scores.float() / heat, y) * heat**2
            loss = loss + sum(companion.loss() for companion in companions.values())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            total += _finite(loss, model, index, step)
            for companion in companions.values():
                companion.after_backward()
            optimizer.step()
            for companion in companions.values():
                companion.step()
        for companion in companions.values():
            companion.epoch()
        report(Epoch(index, total / steps, optimizer.param_groups[0]["lr"]))
        if checkpoint:
            save_checkpoint(checkpoint, model, optimizer, companions, index + 1)


def has_bfloat16(device: str) -> bool:
    """Whether a device multiplies bfloat16: CPUs with AVX-512 do, others emulate it."""
    return device != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _finite(loss: Tensor, model: nn.Module, epoch: int, step: int) -> float:
    """The loss; raises ModelError with the step and the first layer that broke."""
    value: float = loss.item()
    if math.isfinite(value):
        return value
    named = [*model.named_parameters()]
    tensors = [*named, *((name, p.grad) for name, p in named if p.grad is not None)]
    broken = (name for name, tensor in tensors if not tensor.isfinite().all())
    raise ModelError(
        f"the loss is {value} in step {step + 1} of epoch {epoch + 1}, where "
        f"'{next(broken, 'no weight')}' is not finite: lower the learning rate"
    )


def _layout(model: nn.Module) -> torch.memory_format:
    """Channels last, the fastest, but for models on which oneDNN would write past its memory.

    The gradient of a strided 1×1 convolution's weight does where channels are fewer than a block:
    it is wrong, or training aborts now and then (uxlfoundation/oneDNN#6035).
    """
    narrow = (m for m in model.modules() if isinstance(m, nn.Conv2d) and m.in_channels < BLOCK)
    overrun = any(max(m.kernel_size) == 1 and max(m.stride) > 1 for m in narrow)
    return torch.contiguous_format if overrun else torch.channels_last


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear warm-up, then the schedule; `steps` is the number of steps of an epoch.

    Cosine annealing is that of Loshchilov & Hutter, ICLR 2017.
    """
    warm = recipe.learning_rate * min(1.0, (step + 1) / max(1, recipe.warmup))
    if recipe.constant:
        return warm
    if recipe.drops:
        return warm * 0.1 ** sum(step >= drop * steps for drop in recipe.drops)
    return warm * 0.5 * (1 + math.cos(math.pi * step / (recipe.epochs * steps)))


def batches(
    images: Images, labels: Labels, recipe: Recipe, epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled, randomly cropped and flipped batches of pixels in [0, 1]; a short rest is left."""
    rng = np.random.default_rng((recipe.seed, epoch))
    order = rng.permutation(len(images))
    pad = recipe.crop
    height, width = images.shape[2:]
    for first in range(0, len(order) - recipe.batch + 1, recipe.batch):
        chosen = order[first : first + recipe.batch]
        padded = np.pad(images[chosen], ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (2, 3))
        rows, columns = rng.integers(0, 2 * pad + 1, (2, len(chosen)))
        x = windows[np.arange(len(chosen)), :, rows, columns]
        flip = rng.random(len(chosen)) < 0.5
        x[flip] = x[flip, :, :, ::-1]
        kind = np.int64 if labels.ndim == 1 else np.float32
        targets = torch.from_numpy(labels[chosen].astype(kind))
        yield pixels(x, recipe.device), targets.to(recipe.device)


def pixels(images: Images, device: str) -> Tensor:
    """Images as the networks take them: float32 in [0, 1], channels last."""
    x = torch.from_numpy(np.array(images)).to(device).float().div_(255)
    return x.contiguous(memory_format=torch.channels_last)


def accuracy(
    model: nn.Module, images: Images, labels: Labels, device: str = "cpu", batch: int = 500
) -> float:
    """Top-1 accuracy in [0, 1], float32, BatchNormalization in evaluation mode."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for first in range(0, len(images), batch):
            predicted = model(pixels(images[first : first + batch], device)).argmax(1)
            right += int((predicted.cpu().numpy() == labels[first : first + batch]).sum())
    return right / len(images)


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    companions: Mapping[str, Companion],
    epochs: int,
) -> None:
    """Write model, optimiser, companions and the number of finished epochs, atomically."""
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "companions": {name: c.state_dict() for name, c in companions.items()},
        "epochs": epochs,
    }
    with replacing(path) as file:
        torch.save(state, file)


def load_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    companions: Mapping[str, Companion],
) -> int:
    """Restore what `save_checkpoint` wrote; the number of finished epochs, 0 without a file."""
    if not path.exists():
        return 0
    state = load_weights(path, model)
    try:
        kept = {name: state["companions"][name] for name in companions}
        optimizer.load_state_dict(state["optimizer"])
        epochs = state["epochs"]
        if type(epochs) is not int or epochs < 0:
            raise ValueError(f"it counts {epochs!r:.40} epochs")
        for name, companion in companions.items():
            companion.load_state_dict(kept[name])
    except ModelError:
        raise
    except Exception as error:  # whatever a state that is none leads to
        raise ModelError(
            f"the checkpoint '{path}' is of another run ({_reason(error)}): go on "
            "with the optimiser and the companions it was made with, or remove it"
        ) from None
    return epochs


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Load the model of a checkpoint; the whole checkpoint.

    Raises ModelError for a file that is no checkpoint, or one of another model.
    """
    mine = model.state_dict()
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        theirs = state["model"]
        kinds = {name: _kind(tensor) for name, tensor in theirs.items()}
    except Exception as error:  # torch, zipfile and pickle raise each their own
        raise ModelError(
            f"'{path}' is no checkpoint ({_reason(error)}): give another file"
        ) from None
    fitting = sum(name in mine and _kind(mine[name]) == kind for name, kind in kinds.items())
    if fitting < max(len(mine), len(theirs)):
        raise ModelError(
            f"the checkpoint '{path}' is of another model: {fitting} of its {len(theirs)} tensors "
            f"fit the {len(mine)} of this {type(model).__name__}; build the model that was "
            "trained, or give another folder of checkpoints"
        )
    model.load_state_dict(theirs)
    return state


def _kind(tensor: Tensor) -> tuple[object, ...]:
    """What a tensor must have in common with one that it is copied to."""
    return tensor.shape, tensor.layout, tensor.is_quantized, tensor.is_meta, _family(tensor.dtype)


def _family(dtype: torch.dtype) -> str:
    return "float" if dtype.is_floating_point else "complex" if dtype.is_complex else "whole"


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
