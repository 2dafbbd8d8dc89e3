"""From which width one ideal machine takes more energy than another (Eq. 6)."""

from collections.abc import Sequence

from esnsim.costs.equations import esn_a_x4, esn_d_tilde
from esnsim.machines.base import Machine
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork, quantize
from esnsim.quantization.scheme import Scheme

WIDTHS = range(1, 17)


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


def uniform_crossing(one: Machine, other: Machine) -> int | None:
    """Eq. 6: the same where all weights have the largest amplitude v = (2^b − 1)/2."""
    pairs = ((b, ((2**b - 1) ** 2, b)) for b in WIDTHS)
    return next((b for b, a in pairs if other.ideal_energy(*a) > one.ideal_energy(*a)), None)
