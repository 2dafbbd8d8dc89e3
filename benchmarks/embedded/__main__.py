"""Train, export and sample what ships in the wheel: `python -m benchmarks.embedded --data DIR`.

DIR holds Fashion-MNIST as idx files (Debian's package dataset-fashion-mnist puts them into
/usr/share/datasets/fashion-mnist). Interrupted training goes on at the last finished epoch.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.harness import ROOT, write
from esnsim.training.data import ImageSet, read_images
from esnsim.training.export import export_onnx
from esnsim.training.fit import Epoch, Recipe, accuracy, fit
from esnsim.training.models import CifarResNet

EPOCHS = {8: 20, 20: 30}
SHIPPED = ROOT / "esnsim" / "embedded"
SAMPLE = 1000  # test images that ship
CALIBRATION = 512  # training images that do, without their labels


def main() -> None:
    arguments = parser().parse_args()
    train, test = (read_images(arguments.data, part) for part in ("train", "test"))
    sample, output = test.first(SAMPLE), arguments.output
    for folder in (arguments.checkpoints, output):
        folder.mkdir(parents=True, exist_ok=True)
    labels = sample.labels.astype(np.uint8)
    np.savez_compressed(output / "fashion_mnist_1000.npz", images=sample.images, labels=labels)
    unlabelled = train.images[:CALIBRATION]
    np.savez_compressed(output / "fashion_mnist_train_512.npz", images=unlabelled)
    results = {}
    for depth in arguments.depths:
        name, epochs = f"resnet{depth}", arguments.epochs or EPOCHS[depth]
        torch.manual_seed(arguments.seed)
        model = CifarResNet(depth, channels=1)
        started = time.monotonic()

        def report(epoch: Epoch, name: str = name, epochs: int = epochs) -> None:
            print(f"{name} {epoch.index + 1}/{epochs} loss {epoch.loss:.4f}", flush=True)

        recipe = Recipe(epochs=epochs, seed=arguments.seed)
        checkpoint = arguments.checkpoints / f"{name}.pt"
        fit(model, train.images, train.labels, recipe, checkpoint, report)
        seconds = round(time.monotonic() - started)
        about = {"epochs": epochs, "seed": arguments.seed, "seconds": seconds}
        results[name] = accuracies(model, test) | about
        print(depth, results[name], flush=True)
        example = torch.zeros(1, 1, 28, 28)
        (output / f"{name}.onnx").write_bytes(export_onnx(model, example, free_batch=True))
    write(output / "accuracy.json", results)


def accuracies(model: torch.nn.Module, test: ImageSet) -> dict[str, Any]:
    """Top-1 on all test images, and on those that ship."""
    return {
        f"accuracy_{len(each.images)}": accuracy(model, each.images, each.labels)
        for each in (test, test.first(SAMPLE))
    }


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="benchmarks.embedded", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="folder of the idx files")
    p.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    p.add_argument("--output", type=Path, default=SHIPPED)
    p.add_argument("--depths", type=int, nargs="+", default=[8, 20])
    p.add_argument("--epochs", type=int)
    p.add_argument("--seed", type=int, default=0)
    return p


if __name__ == "__main__":
    main()
