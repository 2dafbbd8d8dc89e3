"""Train, export and sample what ships in the wheel: `python -m benchmarks.embedded --data DIR`.

DIR holds Fashion-MNIST as idx files (Debian's package dataset-fashion-mnist puts them into
/usr/share/datasets/fashion-mnist). Interrupted training goes on at the last finished epoch.
"""

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
import torch

from esnsim.images.sets import read_idx
from esnsim.training.fit import Epoch, Recipe, accuracy, fit
from esnsim.training.models import CifarResNet

EPOCHS = {8: 20, 20: 30}
SHIPPED = Path(__file__).parents[2] / "esnsim" / "embedded"


def main() -> None:
    arguments = parser().parse_args()
    train, test = (
        (
            read_idx(arguments.data / f"{part}-images-idx3-ubyte.gz")[:, None],
            read_idx(arguments.data / f"{part}-labels-idx1-ubyte.gz"),
        )
        for part in ("train", "t10k")
    )
    arguments.checkpoints.mkdir(parents=True, exist_ok=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        arguments.output / "fashion_mnist_1000.npz", images=test[0][:1000], labels=test[1][:1000]
    )
    results = {}
    for depth in arguments.depths:
        epochs = arguments.epochs or EPOCHS[depth]
        torch.manual_seed(arguments.seed)
        model = CifarResNet(depth, channels=1)
        started = time.monotonic()

        def report(epoch: Epoch, depth: int = depth, epochs: int = epochs) -> None:
            print(f"ResNet-{depth} {epoch.index + 1}/{epochs} loss {epoch.loss:.4f}", flush=True)

        fit(
            model,
            *train,
            Recipe(epochs, seed=arguments.seed),
            arguments.checkpoints / f"resnet{depth}.pt",
            report,
        )
        results[f"resnet{depth}"] = {
            "accuracy_10000": accuracy(model, *test),
            "accuracy_1000": accuracy(model, test[0][:1000], test[1][:1000]),
            "epochs": epochs,
            "seed": arguments.seed,
            "seconds": round(time.monotonic() - started),
        }
        print(depth, results[f"resnet{depth}"], flush=True)
        (arguments.output / f"resnet{depth}.onnx").write_bytes(export(model))
    (arguments.output / "accuracy.json").write_text(json.dumps(results, indent=1) + "\n")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="benchmarks.embedded", description=__doc__)
    p.add_argument("--data", type=Path, required=True, help="folder of the idx files")
    p.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    p.add_argument("--output", type=Path, default=SHIPPED)
    p.add_argument("--depths", type=int, nargs="+", default=[8, 20])
    p.add_argument("--epochs", type=int)
    p.add_argument("--seed", type=int, default=0)
    return p


def export(model: torch.nn.Module) -> bytes:
    """ONNX with BatchNormalization kept as nodes and a free batch; pixels in [0, 1] go in."""
    buffer = io.BytesIO()
    torch.onnx.export(
        model.eval(),
        (torch.zeros(1, 1, 28, 28),),
        buffer,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
        opset_version=17,
        dynamo=False,
    )
    return buffer.getvalue()


if __name__ == "__main__":
    main()
