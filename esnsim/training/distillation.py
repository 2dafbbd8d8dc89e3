"""Soft labels: what a trained network says of each image, for another to learn."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from esnsim.training.fit import Images, pixels


def soft_labels(
    teacher: nn.Module,
    images: Images,
    temperature: float = 4.0,
    device: str = "cpu",
    batch: int = 500,
) -> NDArray[np.float32]:
    """The probabilities (N, K) that a teacher gives to images (N, C, H, W), at a temperature.

    Its scores are those of the image and of its mirror image, averaged, so that they hold for all
    flips and small shifts of training, and are computed once (Hinton et al. 2015,
    arXiv:1503.02531). Train with them as labels, at the same temperature.
    """
    teacher.eval()
    found = []
    with torch.inference_mode():
        for first in range(0, len(images), batch):
            x = pixels(images[first : first + batch], device)
            scores = (teacher(x) + teacher(x.flip(3))) / 2
            found.append((scores.float() / temperature).softmax(1).cpu().numpy())
    return np.concatenate(found)
