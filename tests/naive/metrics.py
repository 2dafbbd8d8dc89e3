"""The metrics of a network from their definitions: a turn of the loop for every multiply.

`price` returns for each layer a dict of the fields of `Metrics`: a number, or a pair of it counted
over the weights and over the multiplies. `machines` goes over the multiplies of all layers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from esnsim.model.network import Geometry, Layer, Network
from tests.naive import midrise

Place = tuple[int, ...]
WIDTHS = {"code": midrise.bits, "paper": midrise.paper_bits}


@dataclass
class Coded:
    """A layer, which of its channels are live, and its codes by (filter, channel in group, tap)."""

    layer: Layer
    live: list[bool]
    codes: dict[tuple[int, int, Place], int]

    def tops(self) -> list[int]:
        """The largest |q| of each filter, over its live weights; 0 if it is pruned."""
        return [
            max((abs(q) for (f, _, _), q in self.codes.items() if f == m), default=0)
            for m in range(self.layer.filters)
        ]


def encode(
    network: Network, steps: Mapping[str, Sequence[float]], limit: int, keep_zeros: bool
) -> list[Coded]:
    """The codes of all live weights; a filter without any makes its readers' weights dead."""
    live = {0: True, 1: False}
    coded = []
    for layer in network.layers:
        for merge in network.merges:
            if merge.first < layer.first_filter:
                for i, (a, b) in enumerate(zip(merge.left, merge.right, strict=True)):
                    live[merge.first + i] = live[a] or live[b]
        channels = [live[c] for c in layer.channels]
        done = Coded(layer, channels, _codes(layer, channels, steps[layer.name], limit, keep_zeros))
        for m, top in enumerate(done.tops()):
            live[layer.first_filter + m] = top > 0
        coded.append(done)
    return coded


def price(layer: Coded, width: str, network_top: int) -> dict[str, int | tuple[int, int]]:
    """Every field of `Metrics` for one layer."""
    other = "paper" if width == "code" else "code"
    by_weight = _count(layer, width, other, network_top, [()])
    by_mac = _count(layer, width, other, network_top, list(places(layer.layer)))
    pairs = [
        "esn_a_x4", "class_a_filter_x4", "class_a_layer_x4", "class_a_network_x4", "esn_d",
        "esn_d_tilde", "other_esn_d", "other_esn_d_tilde",
    ]  # fmt: skip
    return {
        "filters": layer.layer.filters,
        "pruned_filters": layer.tops().count(0),
        "weights": by_weight["macs"],
        "live_weights": by_weight["live_macs"],
        "nonzero_weights": by_weight["nonzero"],
        "macs": by_mac["macs"],
        "live_macs": by_mac["live_macs"],
        "mac_bits_layerwise": by_mac["layerwise"],
        "stored_bits": _stored(layer),
        **{name: (by_weight[name], by_mac[name]) for name in pairs},
    }


def _stored(layer: Coded) -> int:
    """Bits of the live weights, each in the narrowest of 4, 8 and 16 bits that its filter fits."""
    tops, paid = layer.tops(), 0
    for m, _, _, q in multiplies(layer, [()]):
        width = WIDTHS["code"](tops[m])
        if q is not None and width:
            paid += 4 if width <= 4 else 8 if width <= 8 else 16
    return paid


def machines(layers: Sequence[Coded], width: str) -> dict[str, float]:
    """Fig. 1: what each machine pays for every multiply."""
    paid: Counter[str] = Counter()
    for layer in layers:
        tops = layer.tops()
        widest = max(WIDTHS[width](q) for q in tops)
        word = next(w for w in (1, 8, 16, 32) if widest <= w)
        for m, _, _, q in multiplies(layer, list(places(layer.layer))):
            paid["cpu"] += word if q else 0
            paid["gpu"] += word
            paid["int8_array"] += 8 if widest <= 8 else 16
            paid["ideal_digital"] += 0 if q is None else WIDTHS[width](tops[m])
            paid["ideal_analog_x4"] += (q or 0) ** 2
    paid["ideal_analog"] = paid.pop("ideal_analog_x4", 0) / 4  # type: ignore[assignment]
    return dict(paid)


def multiplies(
    layer: Coded, windows: Sequence[Place]
) -> Iterator[tuple[int, int, Place, int | None]]:
    """(filter, channel in group, tap, q) at every window; q is None where nothing depends on it."""
    shape = layer.layer.weight.shape
    for _ in windows:
        for m in range(shape[0]):
            for c, *tap in product(*map(range, shape[1:])):
                yield m, c, tuple(tap), layer.codes.get((m, c, tuple(tap)))


def places(layer: Layer) -> Iterator[Place]:
    """Where the kernel lies, for each repeat and image: on every input element if transposed."""
    g = layer.geometry
    axes = [range(n) for n in g.input_size] if g.transposed else list(_slides(g))
    return product(range(layer.repeats), range(g.batch), *axes)


def _slides(g: Geometry) -> Iterator[range]:
    for n, k, s, d, pads in zip(
        g.input_size, g.kernel, g.strides, g.dilations, g.pads, strict=True
    ):
        last = n + sum(pads) - (d * (k - 1) + 1)  # the kernel's end lies on the last element
        yield range(0, last + 1, s)


def _codes(
    layer: Layer, live: Sequence[bool], steps: Sequence[float], limit: int, keep_zeros: bool
) -> dict[tuple[int, int, Place], int]:
    weights = layer.weight.load()
    filters, fan_in = weights.shape[:2]
    codes = {}
    for m in range(filters):
        group = m // (filters // layer.geometry.groups)
        alive = {
            (c, tuple(tap)): float(weights[(m, c, *tap)])
            for c, *tap in product(*map(range, weights.shape[1:]))
            if live[group * fan_in + c]
        }
        if not midrise.pruned(list(alive.values()), steps[m]):
            for (c, tap), w in alive.items():
                codes[m, c, tap] = midrise.code(w, steps[m], limit, keep_zeros)
    return codes


def _count(
    layer: Coded, width: str, other: str, network_top: int, windows: Sequence[Place]
) -> Counter[str]:
    tops = layer.tops()
    bits, rest = WIDTHS[width], WIDTHS[other]
    n: Counter[str] = Counter()
    for m, _, _, q in multiplies(layer, windows):
        n["macs"] += 1
        if q is None:
            continue
        n["live_macs"] += 1
        n["nonzero"] += q != 0
        n["esn_a_x4"] += q * q
        n["esn_d"] += bits(q)
        n["esn_d_tilde"] += bits(tops[m])
        n["other_esn_d"] += rest(q)
        n["other_esn_d_tilde"] += rest(tops[m])
        n["layerwise"] += max(bits(top) for top in tops)
        if q:
            n["class_a_filter_x4"] += tops[m] ** 2
            n["class_a_layer_x4"] += max(tops) ** 2
            n["class_a_network_x4"] += network_top**2
    return n
