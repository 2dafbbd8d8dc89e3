"""Figure 9: steps from the ESNa of each layer during training, against one width (Appendix B).

To find out why that does not pay, a layer's ESNa is also measured as what it bears: c/ESNa is how
much its codes alone raise the loss of training images. Where all together may have so much ESNa,
the sum of these is least with shares as √c (Lagrange), so shares are tried as square roots too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.paper.plots import Panel
from benchmarks.paper.runs import CORRECTION, Quick, Runs, widths
from benchmarks.paper.statistics import accuracy_at, curve, percent, rank_correlation, spread
from esnsim.compression.compress import compress
from esnsim.compression.recipe import Recipe
from esnsim.costs.cost import cost
from esnsim.graph.model import open_model
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import WIDEST, Scheme
from esnsim.training.export import export_proto
from esnsim.training.fit import pixels
from esnsim.training.inference import load_quantized
from esnsim.training.layers import weighted_layers

ESN_A = [2.0**e for e in range(16, 26)]  # of all layers together, 65 k to 34 M
NARROW = 5  # the paper's sixth layer
UNIFORM, PAPERS = "the same width in all layers", "one bit less in the sixth layer"
SENSED = range(7, 2, -1)  # bits of a layer alone, for what it bears
BORNE = "what each layer bears"
ROOT = ", square root"
CALIBRATION = 512  # training images, without their labels, over which codes compensate
Points = list[dict[str, Any]]
QUICK, EPOCHS = Quick(epochs=8, images=5000), 20


def measure(runs: Runs) -> Iterator[dict[str, Any]]:
    o = runs.options
    (name,) = o.models or ["vgg7-0.25x"]
    repeats: list[dict[str, Any]] = []
    for seed in o.seeds:
        repeats.append({"seed": seed, **policies(runs, name, seed)})
        yield {"model": name, "statements": stated(repeats), "repeats": repeats}


def stated(repeats: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The comparisons with one width, and how alike shares and what layers bear are, over seeds."""
    first = repeats[0]
    compared = {
        f"{label}{how}": compare([(r[key][label], r[key][UNIFORM]) for r in repeats])
        for key, how in (("policies", ""), ("compensated", ", compensated codes"))
        for label in first[key]
        if label != UNIFORM
    }
    alike = {
        label: spread(
            [
                rank_correlation([*zip(r["targets"][label], r["targets"][BORNE], strict=True)])
                for r in repeats
            ]
        )
        for label in first["targets"]
    }
    return {**compared, "rank correlation over layers with what each bears": alike}


def policies(runs: Runs, name: str, seed: int) -> dict[str, Any]:
    """A trained network under one width, under the paper's policy and under shares of ESNa."""
    model = runs.build(name, seed)
    recipe = runs.recipe(seed=seed, nesterov=False)
    epochs = runs.tracked(f"fig9-{name}", model, recipe)
    measured = [epoch["esn_a_per_layer"] for epoch in epochs]
    chosen = (recipe.epochs // 4, recipe.epochs // 2, recipe.epochs - 1)
    targets = {f"ESNa of epoch {index}": measured[index - 1] for index in chosen}
    several = f"ESNa of epochs {chosen[0]} to {chosen[2]}"
    targets[several] = np.exp(np.log(measured[chosen[0] - 1 : chosen[2]]).mean(0)).tolist()
    uniform = runs.points(model, widths("layer-max"))
    targets[UNIFORM] = uniform[0]["esn_a_per_layer"]
    targets[BORNE] = borne(runs, model)
    shares = {label: targets[label] for label in targets if label != UNIFORM}
    shares |= {f"{label}{ROOT}": np.sqrt(targets[label]).tolist() for label in (several, BORNE)}
    schemes = {
        label: [as_targets(model, share, total) for total in ESN_A]
        for label, share in shares.items()
    }
    found = {UNIFORM: uniform, PAPERS: runs.points(model, one_bit_less(runs, model))}
    found |= {label: runs.points(model, each) for label, each in schemes.items()}
    again = {
        UNIFORM: widths("layer-max", range(5, 1, -1)),
        **{label: schemes[label][:7] for label in (several, f"{BORNE}{ROOT}")},
    }
    coded = {label: compensated(runs, model, each) for label, each in again.items()}
    return {"epochs": epochs, "targets": targets, "policies": found, "compensated": coded}


def borne(runs: Runs, model: nn.Module) -> list[float]:
    """For each layer c, where its codes alone raise the loss of training images by c/ESNa.

    The geometric mean of what coarse widths say that do raise it. A layer where none does has the
    least c of the others.
    """
    network, whole = runs.network(model), loss(runs, model)
    found: list[float | None] = []
    for index, layer in enumerate(network.layers):
        each = []
        for bits in SENSED:
            alone = {other.name: bits if other is layer else WIDEST for other in network.layers}
            quantized = quantize(network, Scheme(rule="layer-max", widths=alone))
            rise = loss(runs, load_quantized(model, quantized)) - whole
            esn_a = cost(quantized).layers[index].metrics.esn_a_x4.weights / 4
            each += [rise * esn_a] if rise > 0 else []
        found.append(float(np.exp(np.log(each).mean())) if each else None)
    least = min((c for c in found if c is not None), default=1.0)
    return [least if c is None else c for c in found]


def loss(runs: Runs, model: nn.Module) -> float:
    """The mean loss of the training images that correct statistics elsewhere."""
    model.eval()
    images, labels = runs.train.images[:CORRECTION], runs.train.labels[:CORRECTION]
    with torch.inference_mode():
        scores = model(pixels(images, runs.options.device))
        wanted = torch.from_numpy(labels.astype(np.int64)).to(runs.options.device)
        return float(nn.functional.cross_entropy(scores, wanted))


def compensated(runs: Runs, model: nn.Module, schemes: Iterable[Scheme]) -> Points:
    """Cost and accuracy of codes that compensate over training images, as `compress` makes them."""
    original = open_model(export_proto(model, runs.example, free_batch=True))
    images = runs.images(runs.test)
    calibration = runs.images(runs.train.first(CALIBRATION))
    found = []
    for scheme in schemes:
        made = compress(original, Recipe(scheme=scheme, form="float"), images, calibration)
        total, evaluation = made.after.total, made.evaluation
        assert evaluation is not None
        found.append({
            "bits": scheme.nominal_bits, "accuracy": evaluation.top1,
            "esn_a": {"weights": total.esn_a_x4.weights / 4, "macs": total.esn_a_x4.macs / 4},
        })  # fmt: skip
    return found


def as_targets(model: nn.Module, targets: Sequence[float], total: float) -> Scheme:
    """The steps under which layers have the targets' shares of an ESNa: Δ = ‖W‖/√ESNa."""
    share = total / sum(targets)
    return Scheme(
        given_steps={
            f"{name}.weight": float(module.weight.detach().norm()) / sqrt(share * target)
            for (name, module), target in zip(weighted_layers(model).items(), targets, strict=True)
        }
    )


def one_bit_less(runs: Runs, model: nn.Module) -> list[Scheme]:
    """Each width in all layers but the sixth, which has a bit less."""
    names = [layer.name for layer in runs.network(model).layers]
    return [
        Scheme(rule="layer-max", widths={n: bits - (i == NARROW) for i, n in enumerate(names)})
        for bits in range(8, 1, -1)
    ]


def compare(pairs: list[tuple[Points, Points]]) -> dict[str, Any]:
    """How much more accurate a policy is at the ESNa of each uniform width, over all seeds.

    Both by their best point that costs no more. Widths that cost less than the policy's cheapest
    are left out.
    """
    gains: dict[int, list[float]] = {}
    for policy, uniform in pairs:
        found, others = (curve(points, "esn_a", "weights") for points in (policy, uniform))
        cheapest = min(cost for cost, _ in found)
        for point in uniform:
            if (cost := point["esn_a"]["weights"]) >= cheapest:
                gain = accuracy_at(found, cost) - accuracy_at(others, cost)
                gains.setdefault(point["bits"], []).append(gain)
    every = [gain for found in gains.values() for gain in found]
    return {
        "accuracy more than the same width's, at its ESNa, by its bits": {
            bits: spread(found) for bits, found in gains.items()
        },
        "points where the policy is better": f"{sum(g > 0 for g in every)} of {len(every)}",
    }


def draw(document: Mapping[str, Any]) -> list[Panel]:
    first = document["repeats"][0]
    curves = {"during training": [(e["esn_a"], e["accuracy"]) for e in first["epochs"]]}
    curves |= {k: curve(points, "esn_a", "weights") for k, points in first["policies"].items()}
    drawn = {label: percent(found) for label, found in curves.items()}
    shown = Panel(drawn, "ESNa", "accuracy, %", log="x", marks_only=["during training"])
    return [shown, *(layer(first, index) for index in (0, NARROW))]


def layer(repeat: Mapping[str, Any], index: int) -> Panel:
    """Accuracy against the ESNa of one layer, as in the paper's right panel."""
    curves = {"during training": repeat["epochs"], UNIFORM: repeat["policies"][UNIFORM]}
    return Panel(
        {
            label: [(p["esn_a_per_layer"][index], 100 * p["accuracy"]) for p in points]
            for label, points in curves.items()
        },
        f"ESNa of layer {index + 1}", "accuracy, %", log="x", marks_only=["during training"],
    )  # fmt: skip
