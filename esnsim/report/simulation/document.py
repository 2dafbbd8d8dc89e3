"""A Simulation as the versioned document that `--json` prints (docs/simulate.md)."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import esnsim
from esnsim.machines.base import Result, unit_of
from esnsim.machines.simulator import NotRun, Simulation
from esnsim.report.cost.document import quantizer
from esnsim.report.forms import Form, csv_text, json_text
from esnsim.report.scored import end_to_end_document

SCHEMA = "esnsim.simulate/2"


def document(simulation: Simulation) -> dict[str, Any]:
    """The simulation as plain dicts, lists, ints and floats."""
    machine, scheme = simulation.machine, simulation.network.scheme
    network, found = simulation.network.network, simulation.speed
    return {
        "schema": SCHEMA,
        "esnsim": esnsim.__version__,
        "model": network.source.path,
        "quantizer": quantizer(scheme),
        "machine": {
            "kind": machine.kind, **asdict(machine), "energy_unit": unit_of(machine)
        },
        "activations": simulation.activations,
        "images": simulation.images,
        "totals": _figures(simulation.total),
        "speed": asdict(found) if found else None,
        "layers": [_layer(result) for result in simulation.layers],
        "not_simulated": [left_out(item) for item in simulation.not_simulated],
        "products": [
            {"name": item.name, "op": item.op, "macs": item.macs} for item in network.products
        ],
        "accuracy": end_to_end_document(simulation.accuracy),
    }  # fmt: skip


def rows(simulations: Sequence[Simulation]) -> list[dict[str, Any]]:
    """A row a layer of each machine; layers that are not simulated stand below with the reason."""
    found: list[dict[str, Any]] = []
    for simulation in simulations:
        machine = simulation.machine
        which = {"machine": machine.kind, "schedule": machine.variant}
        found += [which | _layer(result) for result in simulation.layers]
        found += [which | left_out(item) for item in simulation.not_simulated]
    return found


def documents(simulations: Sequence[Simulation]) -> Any:
    """What `--json` prints: the document of one simulation, or a list of several."""
    found = [document(simulation) for simulation in simulations]
    return found[0] if len(found) == 1 else found


#: By name, of simulations.
FORMS = {
    "json": Form("everything (docs/simulate.md)", lambda found: json_text(documents(found))),
    "csv": Form("a row a layer, all columns", lambda found: csv_text(rows(found))),
}


def _layer(result: Result) -> dict[str, Any]:
    [quantized] = result.layers
    layer = quantized.layer
    return {
        "name": layer.name,
        "op": layer.op,
        "weight_shape": list(layer.weight.shape),
        "groups": layer.geometry.groups,
        "images": result.images,
        **_figures(result),
    }


def _figures(result: Result) -> dict[str, Any]:
    energy = {**result.energy, "total": result.total_energy, "ideal": result.ideal_energy}
    return {
        "macs": result.macs,
        "esn_d_tilde": result.esn_d_tilde,
        "esn_a_x4": result.esn_a_x4,
        **result.figures(),
        "energy": energy,
    }


def left_out(item: NotRun) -> dict[str, Any]:
    """A layer that does not run, and why."""
    return {
        "name": item.layer.layer.name,
        "op": item.layer.layer.op,
        "macs": item.macs,
        "esn_d_tilde": item.esn_d_tilde,
        "reason": item.reason,
    }
