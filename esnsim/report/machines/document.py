"""A Comparison as the versioned document that `--json` prints (docs/machines.md), and as CSV."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any, TypeVar

import esnsim
from esnsim.machines.named.comparison import Comparison, Taken
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import own_fields
from esnsim.machines.named.memory import Memory
from esnsim.report.cost.document import quantizer
from esnsim.report.forms import Form, csv_text, json_text
from esnsim.report.simulation.document import left_out

SCHEMA = "esnsim.machines/1"
T = TypeVar("T")


def document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as plain dicts, lists, ints and floats."""
    network = comparison.network.network
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "model": network.source.path,
        "quantizer": quantizer(comparison.network.scheme),
        "activation_bits": comparison.activation_bits,
        "activations": comparison.activations,
        "images": comparison.images,
        "macs": comparison.macs,
        "esn_d_tilde": comparison.esn_d_tilde,
        "ideal_one_bit": comparison.ideal,
        "dense_one_bit": comparison.dense,
        "memory": _memory(comparison.memory),
        "prices": _prices(comparison),
        "clock_hz": comparison.clock,
        "machines": [_machine(taken, comparison) for taken in comparison.taken],
        "not_simulated": [left_out(item) for item in comparison.not_simulated],
        "products": [
            {"name": item.name, "op": item.op, "macs": item.macs} for item in network.products
        ],
    }


def rows(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a layer of each machine."""
    return [
        {"machine": taken.name, **layer}
        for taken in comparison.taken
        for layer in _layers(taken, comparison)
    ]


#: By name, of a comparison.
FORMS = {
    "json": Form("everything", lambda comparison: json_text(document(comparison))),
    "csv": Form("a row a layer of each machine", lambda comparison: csv_text(rows(comparison))),
}


def _machine(taken: Taken, comparison: Comparison) -> dict[str, Any]:
    machine, one_bit = taken.machine, taken.one_bit
    return {
        "name": taken.name,
        "kind": machine.kind,
        "description": own_fields(machine),
        "source": machine.source,
        "assumed": machine.assumed,
        "leaves_out": machine.leaves_out,
        "multipliers": machine.multipliers,
        **_figures(taken.total, taken),
        "utilisation": taken.used,
        "one_bit": None if one_bit is None else _number(one_bit),
        "of_dense": comparison.of_dense(taken),
        "of_ideal": comparison.of_ideal(taken),
        "lost": _keys(comparison.lost(taken)),
        "inferences_per_second": comparison.rate(taken),
        "memory": _memory(taken.memory),
        **_transfers(taken, taken.dram_bits if taken.moved else None),
        "energy_pj": _keys(taken.energy) if taken.parts else None,
        "layers": _layers(taken, comparison),
    }


def _layers(taken: Taken, comparison: Comparison) -> list[dict[str, Any]]:
    moved: Sequence[int | None] = taken.moved or [None] * len(taken.counts)
    return [
        {
            "name": q.layer.name,
            "op": q.layer.op,
            **_figures(count, taken),
            **_transfers(taken, moved[place]),
            "energy_pj": _keys(taken.parts[place]) if taken.parts else None,
            "adc_bits": taken.adc_bits[place] if taken.adc_bits else None,
            "bound": None if moved[place] is None else taken.bounds[place],
        }
        for place, (q, count) in enumerate(zip(comparison.layers, taken.counts, strict=True))
    ]


def _memory(memory: Memory | None) -> dict[str, Any] | None:
    return asdict(memory) if memory else None


def _transfers(taken: Taken, bits: int | None) -> dict[str, Any]:
    """Bits that DRAM moves for one inference, and their energy."""
    if taken.memory is None or bits is None:
        return {"dram_bits": None, "dram_pj": None}
    return {"dram_bits": bits, "dram_pj": taken.memory.energy(bits)}


def _figures(count: Count, taken: Taken) -> dict[str, Any]:
    """Cycles of one inference; unit-cycles summed over all images."""
    return {
        "cycles": _number(taken.of_image(count.cycles)),
        "slots": count.slots,
        "active": count.active,
        "idle": _keys(count.idle),
        "events": _keys(count.events),
    }


def _keys(values: Mapping[str, T]) -> dict[str, T]:
    """Values by names that are keys."""
    return {name.replace(" ", "_").replace("-", "_"): value for name, value in values.items()}


def _prices(comparison: Comparison) -> dict[str, Any] | None:
    if comparison.prices is None:
        return None
    return {key: value for key, value in asdict(comparison.prices).items() if key != "own"}


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
