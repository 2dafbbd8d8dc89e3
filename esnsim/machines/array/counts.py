"""What the array counts, unit-cycle by unit-cycle."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the walk over the tiles of the array counted; see docs/equations.md.

    Unit-cycles: `active` (MAC×bit, by the bits that a unit multiplies at once), and idle by the
    first cause that holds. `mask_*` are the passes of mask planes. Bits: `essential_bits` are
    pairs of 1 bits, `weight_bits` and `activation_bits` are read from the buffers.
    """

    cycles: int
    active: int
    idle_width: int
    idle_rows: int
    idle_lanes: int
    idle_windows: int
    mask_cycles: int
    mask_active: int
    mask_idle: int
    essential_bits: int
    weight_bits: int
    activation_bits: int

    def __add__(self, other: "Counts") -> "Counts":
        names = [field.name for field in fields(self)]
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def all_cycles(self) -> int:
        """Cycles of planes and of mask planes."""
        return self.cycles + self.mask_cycles

    @property
    def idle(self) -> int:
        """Unit-cycles in which a unit does nothing, whatever the cause."""
        return (
            self.idle_width + self.idle_rows + self.idle_lanes + self.idle_windows + self.mask_idle
        )
