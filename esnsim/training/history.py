"""ESNa of each layer and epoch, as JSON and CSV: schema `esnsim.training/1` (docs/training.md)."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import esnsim
from esnsim.costs.equations import esn_a_from_sn, step_from_noise
from esnsim.errors import ModelError

SCHEMA = "esnsim.training/1"
NOT_IN_TOTAL = ("name", "weight", "step")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNoise:
    """One layer in one epoch: Eq. 5 and what it implies. `name` is None in a total.

    `signal` and `noise` are sums over the iterations; `nonzero` and `pruned_filters` are counted
    at the epoch's end; `sn`, `esn_a` and `step` are None where the weights did not move.
    """

    name: str | None
    weight: str | None
    signal: float
    noise: float
    nonzero: int
    filters: int
    pruned_filters: int
    sn: float | None
    esn_a: float | None
    step: float | None

    @classmethod
    def of(
        cls, name: str, signal: float, noise: float, nonzero: int, filters: int, pruned: int,
        iterations: int,
    ) -> "LayerNoise":  # fmt: skip
        """Eq. 5 for one layer: S/N, ESNa = S/N · ‖W‖₀ / 12, Δ² = 12·N / (I·‖W‖₀)."""
        sn = signal / noise if noise > 0 else None
        return LayerNoise(
            name=name, weight=f"{name}.weight", signal=signal, noise=noise, nonzero=nonzero,
            filters=filters, pruned_filters=pruned, sn=sn,
            esn_a=None if sn is None else esn_a_from_sn(sn, nonzero),
            step=implied_step(noise, iterations, nonzero) or None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class EpochNoise:
    """One epoch: its number from 1 on, its optimiser steps, and its layers in model order."""

    epoch: int
    iterations: int
    layers: tuple[LayerNoise, ...]

    @property
    def total(self) -> LayerNoise:
        """Sums over the layers; S/N of the sums; ESNa is the sum over layers that moved."""
        esn_a = [row.esn_a for row in self.layers if row.esn_a is not None]
        signal, noise = sum(r.signal for r in self.layers), sum(r.noise for r in self.layers)
        return LayerNoise(
            name=None,
            weight=None,
            signal=signal,
            noise=noise,
            nonzero=sum(row.nonzero for row in self.layers),
            filters=sum(row.filters for row in self.layers),
            pruned_filters=sum(row.pruned_filters for row in self.layers),
            sn=signal / noise if noise > 0 else None,
            esn_a=sum(esn_a) if esn_a else None,
            step=None,
        )


def implied_step(noise: float, iterations: int, nonzero: int) -> float:
    """The Δ whose quantisation noise is the random walk's mean square (Eq. 10): 0 without noise."""
    return step_from_noise(noise / iterations, nonzero)


def document(epochs: Sequence[EpochNoise]) -> dict[str, Any]:
    """The history as plain dicts and lists."""
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "epochs": [
            {
                "epoch": epoch.epoch,
                "iterations": epoch.iterations,
                "total": _named(epoch.total),
                "layers": [_named(row) for row in epoch.layers],
            }
            for epoch in epochs
        ],
    }


def read(document: Mapping[str, Any]) -> list[EpochNoise]:
    """The history that `document` made.

    Raises ModelError for another schema.
    """
    if document.get("schema") != SCHEMA:
        raise ModelError(
            f"this is no history of training: its schema is {document.get('schema')!r}; "
            f"give a file of schema '{SCHEMA}', as ESNTracker.to_json writes"
        )
    return [
        EpochNoise(e["epoch"], e["iterations"], tuple(LayerNoise(**row) for row in e["layers"]))
        for e in document["epochs"]
    ]


def as_json(epochs: Sequence[EpochNoise]) -> str:
    """The document as text."""
    return json.dumps(document(epochs), indent=1, allow_nan=False) + "\n"


def as_csv(epochs: Sequence[EpochNoise]) -> str:
    """A header and a row for each layer of each epoch."""
    out = io.StringIO()
    names = [field.name for field in fields(LayerNoise)]
    writer = csv.DictWriter(out, ["epoch", "iterations", *names], lineterminator="\n")
    writer.writeheader()
    for epoch in epochs:
        for row in epoch.layers:
            writer.writerow({"epoch": epoch.epoch, "iterations": epoch.iterations, **asdict(row)})
    return out.getvalue()


def _named(row: LayerNoise) -> dict[str, Any]:
    """The row, without what a total does not have."""
    values = asdict(row)
    return values if row.name else {k: v for k, v in values.items() if k not in NOT_IN_TOTAL}
