"""Pruning or quantisation, tensor by tensor: which leaves the larger SQNR in as many stored bits.

`python -m benchmarks tensors --weights FILE...`, files of PyTorch's (a state of tensors, read
without pickle). As Kuzmin et al. 2023 (arXiv:2307.02973) weights have 16 bits before: codes of b
bits stand against the b/16 largest weights. They charge neither steps nor which weights stay;
here both are charged too: 16 bits a filter, and the entropy of which weights stay.
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from math import log2
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness import Benchmark, Document, check, say, table
from esnsim.model.network import Weight
from esnsim.quantization.rules import RULES
from esnsim.quantization.scheme import Scheme
from esnsim.training.fakequant import fake_quantize

STORED = 16  # bits of a weight that stays, and of a step
WIDTHS = (1, 2, 3, 4, 5, 6, 8)
WAYS = {"a step a filter": "mse", "a step a tensor": "layer-mse"}  # our rules, of least error
COMPARED = (
    ("a step a filter", "pruned"),
    ("a step a tensor", "pruned"),
    ("a step a filter", "pruned, all charged"),
)
HALVINGS = 60
Floats = NDArray[np.float64]


def measure(arguments: Namespace) -> dict[str, Any]:
    """Every tensor of each file at each width, and the shares of them where codes are better."""
    check(arguments.weights, "which weights? give --weights FILE, a state of PyTorch's tensors")
    files = {}
    for path in arguments.weights:
        say(path.name)
        files[path.name] = [compared(name, weight) for name, weight in tensors(path)]
    every = [row for rows in files.values() for row in rows]
    return {"widths": WIDTHS, "files": files, **kinds(every)}


def kinds(rows: Sequence[Document]) -> dict[str, Any]:
    """The shares of all tensors, and of those of depthwise convolutions."""
    depthwise = [row for row in rows if len(row["shape"]) > 2 and row["shape"][1] == 1]
    return {"all": shares(rows), "depthwise": shares(depthwise)}


def tensors(path: Path) -> Iterator[tuple[str, Floats]]:
    """The weights of convolutions and dense layers in a file: (M, C/g, …) by their names."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, tensor in state.items():
        if tensor.dim() > 1:
            yield name, tensor.double().numpy()


def compared(name: str, weight: Floats) -> dict[str, Any]:
    """The SQNR in dB of a tensor, pruned and in codes, at each width."""
    size, filters = weight.size, len(weight)
    each = np.sort(np.square(weight), axis=None)[::-1]
    left = each.sum() - np.concatenate([[0.0], np.cumsum(each)])  # by how many stay
    coded = {way: [quantised(weight, rule, bits) for bits in WIDTHS] for way, rule in WAYS.items()}
    free = [size * bits // STORED for bits in WIDTHS]
    charged = [kept(size, size * bits + STORED * filters) for bits in WIDTHS]
    pruned = {"pruned": free, "pruned, all charged": charged}
    return {
        "name": name, "shape": weight.shape, "kurtosis": kurtosis(weight),
        **{way: [decibels(each.sum(), error) for error in errors] for way, errors in coded.items()},
        **{way: [decibels(each.sum(), left[n]) for n in stay] for way, stay in pruned.items()},
    }  # fmt: skip


def quantised(weight: Floats, rule: str, bits: int) -> float:
    """‖W − Δ·W_int‖² of midrise codes of some bits, at the steps of a rule."""
    read = Weight("", "", weight.shape, "float64", lambda: weight)
    steps = RULES[rule].steps(read, np.full(len(weight), bits), Scheme(rule=rule, bits=bits))
    coded = fake_quantize(torch.from_numpy(weight), torch.from_numpy(steps), bits).numpy()
    return float(np.square(weight - coded).sum())


def kept(size: int, stored: int) -> int:
    """The most of `size` weights that so many bits hold, with the entropy of which stay."""
    if STORED * size <= stored:
        return size
    low, high = 0, size - 1
    for _ in range(HALVINGS):
        middle = (low + high + 1) // 2
        low, high = (middle, high) if pruned_bits(size, middle) <= stored else (low, middle - 1)
    check(pruned_bits(size, low) <= stored, f"{low} of {size} weights do not fit {stored} bits")
    return low


def pruned_bits(size: int, stay: int) -> float:
    """16 bits of each weight that stays, and N times the entropy of whether one does."""
    shares = (share for share in (stay / size, 1 - stay / size) if share > 0)
    return STORED * stay - size * sum(share * log2(share) for share in shares)


def kurtosis(weight: Floats) -> float:
    """The fourth moment over the squared second one: 3 for Gauss, 6 for Laplace."""
    apart = weight - weight.mean()
    return round(float((apart**4).mean() / np.square(apart).mean() ** 2), 2)


def decibels(signal: float, noise: float) -> float:
    return round(10 * float(np.log10(signal / max(noise, signal * 1e-12))), 2)


def shares(rows: Sequence[Document]) -> dict[str, Any]:
    """For each way and width how many tensors have the larger SQNR in codes, and by how much."""
    if not rows:
        return {}
    found: dict[str, Any] = {}
    for way, other in COMPARED:
        apart = [np.subtract(row[way], row[other]) for row in rows]
        found[f"{way} against {other}"] = [
            {
                "bits": bits, "better": sum(bool(a[i] > 0) for a in apart), "of": len(apart),
                "median dB": round(median(float(a[i]) for a in apart), 2),
            }
            for i, bits in enumerate(WIDTHS)
        ]  # fmt: skip
    return found


def render(document: Document) -> str:
    head = ["codes better, and the median in dB", *(f"{bits} bits" for bits in document["widths"])]
    rows = [
        [f"{way}, {kind}", *(f"{p['better']} of {p['of']}, {p['median dB']:+.1f}" for p in points)]
        for kind in ("all", "depthwise")
        for way, points in document[kind].items()
    ]
    return table(head, rows)


main = Benchmark(
    name="tensors", text=__doc__, measure=measure, render=render, libraries=("esnsim", "torch"),
    options={"--weights": {"type": Path, "nargs": "+", "default": [], "help": "states of tensors"}},
)  # fmt: skip
