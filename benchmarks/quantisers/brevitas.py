"""Brevitas beside ours on the embedded ResNet-20: `python -m benchmarks quantisers.brevitas`.

For an environment that has esnsim, torch and `brevitas==0.13.4`. Brevitas quantises the same
network in PyTorch, BatchNormalization merged, one width in every layer, with the images that
calibrate ours; the same test images are scored. GPTQ, and learned rounding as Brevitas' example of
image classification has it: float32 where that takes half precision for a GPU.
"""

import warnings
from argparse import Namespace
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from benchmarks.harness import Benchmark, Document, kept, say, table, write
from benchmarks.quantisers.goals import at_width
from benchmarks.quantisers.paired import SURE, Task, task
from esnsim.importer import find

Right = NDArray[np.bool_]
NAME, BATCH = "resnet20", 128
GPTQ, LEARNED = "GPTQ, bias correction", "learned rounding"
MENDED = f"{LEARNED}, bias correction"
HEAD = ("bits, set", "method", "accuracy, %", "ours, %", "ours more, points (95 %)")


def network() -> Any:
    """The embedded ResNet-20 in PyTorch."""
    import torch

    from esnsim.training.models import CifarResNet

    graph = onnx.load(find(f"builtin:{NAME}")).graph
    weights = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    for node in graph.node:  # equal tensors are stored once
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    model = CifarResNet(20, channels=1)
    given = {name: torch.tensor(weights[name]) for name in model.state_dict() if name in weights}
    lacking = model.load_state_dict(given, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in lacking), lacking
    return model.eval()


def quantised(bits: int, images: Any) -> Any:
    """In Brevitas' layers, with steps of least squared error; `images` say what shapes are."""
    import torch
    from brevitas import nn
    from brevitas.graph.quantize import layerwise_quantize, preprocess_for_quantize
    from brevitas.quant import Int8WeightPerChannelFloatMSE

    how = {
        "weight_quant": Int8WeightPerChannelFloatMSE, "weight_bit_width": bits,
        "return_quant_tensor": False,
    }  # fmt: skip
    layers = {torch.nn.Conv2d: (nn.QuantConv2d, how), torch.nn.Linear: (nn.QuantLinear, how)}
    model = preprocess_for_quantize(network(), equalize_iters=0)
    model = layerwise_quantize(model, compute_layer_map=layers).eval()
    with torch.no_grad():
        model(images[:64])
    return model


def corrected(model: Any, images: Any) -> Any:
    """With biases corrected."""
    import torch
    from brevitas.graph.calibrate import bias_correction_mode

    with torch.no_grad(), bias_correction_mode(model):
        for part in images.split(BATCH):
            model(part)
    return model


def by_gptq(bits: int, images: Any) -> Any:
    """GPTQ, layer by layer."""
    import torch
    from brevitas.graph.gptq import gptq_mode

    model = quantised(bits, images)
    with torch.no_grad(), gptq_mode(model, use_quant_activations=False) as mode:
        for _ in range(mode.num_layers):
            for part in images.split(BATCH):
                mode.model(part)
            mode.update()
    return corrected(model, images)


def by_learning(bits: int, images: Any, iterations: int) -> Any:
    """Learned rounding, layer by layer: their settings but for half precision."""
    import torch
    from brevitas_examples.imagenet_classification.ptq import learned_round_utils as theirs
    from torch.utils.data import DataLoader, TensorDataset

    parse = theirs.parse_args_to_dataclass

    def plain(given: Namespace) -> Any:
        config = parse(given)
        config.training_args.use_amp = False
        config.training_args.losses_args[0].kwargs = {"max_count": given.learned_round_iters}
        for handler in config.training_handlers:
            handler.config.learned_round_kwargs = {}  # None as it comes
        return config

    model = quantised(bits, images)
    settings = Namespace(
        learned_round="hard_sigmoid", learned_round_mode="layerwise",
        learned_round_loss="regularised_mse", learned_round_lr=1e-3,
        learned_round_iters=iterations, learned_round_batch_size=8,
        learned_round_lr_scheduler=None,
    )  # fmt: skip
    theirs.parse_args_to_dataclass = plain
    try:
        loader = DataLoader(TensorDataset(images, torch.zeros(len(images))), batch_size=64)
        theirs.apply_learned_round(model, loader, settings)
    finally:
        theirs.parse_args_to_dataclass = parse
    return model


def made(bits: int, images: Any, iterations: int) -> Iterator[tuple[str, Any]]:
    """Each method's model; what is given may change when the next is asked for."""
    yield GPTQ, by_gptq(bits, images)
    model = by_learning(bits, images, iterations)
    yield LEARNED, model
    yield MENDED, corrected(model, images)


def right(model: Any, on: Task) -> Right:
    """Which test images are right."""
    import torch

    with torch.no_grad():
        found = [model(part).argmax(1) for part in torch.tensor(on.pixels).split(250)]
    return np.asarray(torch.cat(found).numpy() == on.labels)


def row(method: str, theirs: Right, ours: Right) -> dict[str, Any]:
    """Accuracies, and what ours has more with half its 95 % interval."""
    more = ours.astype(float) - theirs
    return {
        "method": method, "accuracy": float(theirs.mean()), "ours": float(ours.mean()),
        "more": float(more.mean()), "half": SURE * float(more.std()) / sqrt(len(more)),
    }  # fmt: skip


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every width and set that is not there yet."""
    import torch

    warnings.filterwarnings("ignore")
    torch.set_num_threads(arguments.threads)
    path: Path = arguments.output
    found = kept(path)
    for seed in range(arguments.seeds):
        for bits in arguments.bits:
            if (key := f"{bits} bits, seed {seed}") in found:
                continue
            torch.manual_seed(seed)
            on = task(NAME, seed, arguments)
            ours, _ = on.scores(at_width(bits, on)[1])
            images = torch.tensor(on.calibration.read(0, on.calibration.count))
            found[key] = []
            for method, model in made(bits, images, arguments.iterations):
                found[key].append(row(method, right(model, on), ours))
                say(f"{key}: {found[key][-1]}")
            write(path, found)
    return {"found": found}


def render(results: Document) -> str:
    """A row a width, set and method."""
    return table(HEAD, [
        [key, each["method"], f"{100 * each['accuracy']:.2f}", f"{100 * each['ours']:.2f}",
         f"{100 * each['more']:+.2f} ± {100 * each['half']:.2f}"]
        for key, rows in results["found"].items() for each in rows
    ])  # fmt: skip


main = Benchmark(
    name="quantisers.brevitas", text=__doc__, measure=measure, render=render,
    options={
        "--data": {"type": Path, "help": "Fashion-MNIST as idx files; else the embedded images"},
        "--bits": {"type": int, "nargs": "+", "default": [4, 3, 2]},
        "--images": {"type": int, "default": 10_000, "help": "test images"},
        "--iterations": {"type": int, "default": 1000, "help": "of learned rounding, a layer"},
        "--seeds": 1, "--threads": 1,
    },
    resumes=True,
)  # fmt: skip
