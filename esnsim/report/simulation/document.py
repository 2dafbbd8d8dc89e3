"""A Simulation as the versioned document that `--json` prints (docs/simulate.md)."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import esnsim
from esnsim.costs.equations import esn_a_x4, esn_d_tilde
from esnsim.machines.array.engine import Counts
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar.spec import CrossbarSpec
from esnsim.machines.energy import (
    analog_energy,
    class_a_over_b,
    cycles,
    digital_energy,
    dram_bits,
    ideal_energy,
    speed,
    sqnr,
    utilisation,
)
from esnsim.machines.machine import LayerRun, Simulation, Spec
from esnsim.machines.presets import kind_of
from esnsim.report.cost.document import flat
from esnsim.report.simulation.table import total_counts, unit_of

SCHEMA = "esnsim.simulate/1"


def document(simulation: Simulation, clock: float | None = None) -> dict[str, Any]:
    """The simulation as plain dicts, lists, ints and floats; `clock` in Hz adds speeds."""
    spec, scheme = simulation.spec, simulation.network.scheme
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "model": simulation.network.network.source.path,
        "quantizer": {
            "rule": scheme.resolved_rule,
            "bits": scheme.nominal_bits,
            "alpha": scheme.alpha if scheme.resolved_rule == "filter-sigma" else None,
            "keep_zeros": scheme.keep_zeros,
            "widths_given": scheme.widths is not None,
        },
        "machine": {"kind": kind_of(spec), **asdict(spec), "energy_unit": unit_of(spec)},
        "activations": simulation.activations,
        "images": simulation.images,
        "totals": _totals(simulation),
        "speed": _speed(simulation, clock),
        "layers": [_layer(run, spec) for run in simulation.layers],
        "not_simulated": [
            {"name": name, "reason": reason} for name, reason in simulation.not_simulated
        ],
        "accuracy": asdict(simulation.accuracy) if simulation.accuracy else None,
    }


def as_json(content: object) -> str:
    """The text of a document."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(simulations: Sequence[Simulation]) -> str:
    """A header and a row a layer of each machine; nested keys are joined by dots."""
    rows = [
        {"machine": kind_of(s.spec), "schedule": getattr(s.spec, "schedule", "")}
        | dict(flat(_layer(run, s.spec)))
        for s in simulations
        for run in s.layers
    ]
    out = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _layer(run: LayerRun, spec: Spec) -> dict[str, Any]:
    layer, sums = run.quantized.layer, run.quantized.sums
    c = layer.geometry.windows
    return {
        "name": layer.name,
        "op": layer.op,
        "weight_shape": list(layer.weight.shape),
        "groups": layer.geometry.groups,
        "macs": layer.macs,
        "esn_d_tilde": esn_d_tilde(sums, "code") * c,
        "esn_a_x4": esn_a_x4(sums) * c,
        "images": run.images,
        "counts": asdict(run.counts),
        **_figures(run, spec),
    }


def _figures(run: LayerRun, spec: Spec) -> dict[str, Any]:
    if isinstance(spec, CrossbarSpec):
        parts: Any = analog_energy(run, spec)
        own = {
            "class_a_over_class_b": class_a_over_b(run),
            "sqnr_db": sqnr([run]),
        }
    else:
        assert isinstance(run.counts, Counts)
        parts = digital_energy(run, spec)
        own = {
            "mac_bits": run.closed_form,
            "cycles": cycles(run.counts) // run.images,
            "utilisation": utilisation(run.counts, spec),
            "dram_bits": dram_bits(run, spec.activation_bits),
        }
    energies = {**asdict(parts), "total": parts.total, "ideal": ideal_energy(run, spec)}
    return {**own, "energy": energies}


def _totals(simulation: Simulation) -> dict[str, Any]:
    runs, spec = simulation.layers, simulation.spec
    rows = [_layer(run, spec) for run in runs]
    energies = {name: sum(row["energy"][name] for row in rows) for name in rows[0]["energy"]}
    totals: dict[str, Any] = {
        name: sum(row[name] for row in rows) for name in ("macs", "esn_d_tilde", "esn_a_x4")
    }
    if isinstance(spec, ArraySpec):
        counts = total_counts(runs)
        totals["mac_bits"] = sum(run.closed_form for run in runs)
        totals["cycles"] = cycles(counts)
        totals["utilisation"] = utilisation(counts, spec)
    else:
        totals["sqnr_db"] = sqnr(runs)
    return {**totals, "energy": energies}


def _speed(simulation: Simulation, clock: float | None) -> dict[str, Any] | None:
    found = speed(simulation.layers, simulation.spec, clock) if clock else None
    return asdict(found) if found else None
