"""From which width one ideal machine takes more energy than another (Eq. 6)."""

from collections.abc import Sequence
from typing import NamedTuple

from esnsim.costs.equations import WIDTHS, esn_a_x4, esn_d_tilde, uniform_crossing
from esnsim.machines.base import Machine
from esnsim.machines.simulator import Simulation
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork, quantize
from esnsim.quantization.scheme import Scheme


def crossing_widths(
    network: QuantizedNetwork, layers: Sequence[QuantizedLayer], one: Machine, other: Machine
) -> tuple[int | None, ...]:
    """For each layer, the least nominal width, one step a layer, at which `other` takes more."""
    found: dict[str, int | None] = dict.fromkeys(layer.layer.name for layer in layers)
    for bits in WIDTHS:
        for layer in quantize(network.network, Scheme("layer-max", bits)).layers:
            name, sums = layer.layer.name, layer.sums
            amount = esn_a_x4(sums), esn_d_tilde(sums, "code")
            exceeds = other.ideal_energy(*amount) > one.ideal_energy(*amount)
            if name in found and found[name] is None and exceeds:
                found[name] = bits
        if None not in found.values():
            break
    return tuple(found[layer.layer.name] for layer in layers)


class LayerEnergies(NamedTuple):
    """What a layer takes on two machines, None for a quotient over nothing; see `compare`."""

    quantized: QuantizedLayer
    one: float
    other: float
    ratio: float | None
    crossing: int | None


class Comparison(NamedTuple):
    """Two machines layer by layer; `uniform` is the width of Eq. 6, None where there is none."""

    layers: tuple[LayerEnergies, ...]
    uniform: int | None


def compare(first: Simulation, second: Simulation) -> Comparison:
    """The energy of each layer on two machines, and from which width the second takes more."""
    one, other = first.machine, second.machine
    quantized = [result.layers[0] for result in first.layers]
    widths = crossing_widths(first.network, quantized, one, other)
    spent = ([result.total_energy for result in s.layers] for s in (first, second))
    return Comparison(
        tuple(
            LayerEnergies(layer, a, b, b / a if a else None, width)
            for layer, a, b, width in zip(quantized, *spent, widths, strict=True)
        ),
        uniform_crossing(one.ideal_energy, other.ideal_energy),
    )
