"""Figures of a layer or a network under both weightings: integers, and what is divided of them."""

from dataclasses import dataclass

from esnsim.costs.equations import WidthRule


@dataclass(frozen=True, slots=True)
class Weightings:
    """A metric weighted by parameters (c = 1) and by computations (c = MACs per weight)."""

    weights: int
    macs: int


@dataclass(frozen=True, slots=True)
class Quotients:
    """As Weightings, of what is no whole number; None where it is not defined."""

    weights: float | None
    macs: float | None


@dataclass(frozen=True, slots=True)
class ClassA:
    """Class-A energy with the largest amplitude of each filter, layer, or of the network."""

    filter: Quotients
    layer: Quotients
    network: Quotients


@dataclass(frozen=True, slots=True)
class OtherWidth:
    """The digital metrics under another width rule."""

    width: WidthRule
    esn_d: Weightings
    esn_d_tilde: Weightings


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a layer or a network costs. `*_x4` are four times the metric, to be integers.

    `esn_d*` and `mac_bits_layerwise` are in bits, MACs and weights are counts.
    """

    filters: int
    pruned_filters: int
    weights: int
    live_weights: int
    nonzero_weights: int
    macs: int
    live_macs: int
    esn_a_x4: Weightings
    esn_d: Weightings
    esn_d_tilde: Weightings
    mac_bits_layerwise: int

    @property
    def esn_a(self) -> Quotients:
        """Eq. 2."""
        return quarter(self.esn_a_x4)

    @property
    def mac_bits_saved(self) -> int:
        """MAC×bit that filters save by widths of their own."""
        return self.mac_bits_layerwise - self.esn_d_tilde.macs

    @property
    def mean_width_by_macs(self) -> float:
        """Σ MAC·b / Σ MAC over live MACs, each at its filter's width; 0 where there are none."""
        return self.esn_d_tilde.macs / self.live_macs if self.live_macs else 0.0

    @property
    def mean_width_by_weights(self) -> float:
        """Σ b / number of live weights, each at its filter's width; 0 where there are none."""
        return self.esn_d_tilde.weights / self.live_weights if self.live_weights else 0.0

    @property
    def packed_bytes(self) -> int:
        """Bytes of the live weights, bit-packed, each at its filter's width."""
        return -(-self.esn_d_tilde.weights // 8)

    @property
    def intensity(self) -> float:
        """Live MACs for each byte of packed weights; 0 where there are none."""
        return self.live_macs / self.packed_bytes if self.packed_bytes else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics(Figures):
    """Figures, and what is read of them beside: `class_a_*` is the class-A energy, four times,
    with the largest amplitude of a filter, a layer, the network; `other_*` are the digital metrics
    under the width rule that was not chosen; `stored_bits` are those of live weights in the type
    that a file has, or would have, for each filter.
    """

    class_a_filter_x4: Weightings
    class_a_layer_x4: Weightings
    class_a_network_x4: Weightings
    other_esn_d: Weightings
    other_esn_d_tilde: Weightings
    stored_bits: int

    @property
    def stored_bytes(self) -> int:
        """Bytes of the live weights in integers of ONNX."""
        return -(-self.stored_bits // 8)

    @property
    def esn_a_class_a(self) -> ClassA:
        """Section 2.1."""
        return ClassA(
            quarter(self.class_a_filter_x4),
            quarter(self.class_a_layer_x4),
            quarter(self.class_a_network_x4),
        )


def ratio(part: Quotients, whole: Quotients) -> Quotients:
    """One over the other, None over nothing."""
    return Quotients(
        part.weights / whole.weights if part.weights is not None and whole.weights else None,
        part.macs / whole.macs if part.macs is not None and whole.macs else None,
    )


def quarter(value: Weightings) -> Quotients:
    """A metric that is counted four times."""
    return Quotients(value.weights / 4, value.macs / 4)
