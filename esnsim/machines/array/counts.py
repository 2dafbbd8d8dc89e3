"""What the array counts, unit-cycle by unit-cycle."""

from dataclasses import dataclass, fields

from esnsim.machines.array.schedule import Passes
from esnsim.machines.array.spec import ArraySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What passes over the tiles of the array take; see docs/equations.md.

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

    def of_images(self, images: int, essential_bits: int) -> "Counts":
        """The counts of one image times `images`, and the pairs of 1 bits of all of them."""
        names = [field.name for field in fields(self)]
        counts = {name: getattr(self, name) * images for name in names}
        return Counts(**counts | {"essential_bits": essential_bits})

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


def count(passes: Passes, spec: ArraySpec, reduction: int, windows: int) -> Counts:
    """What passes take on the `windows` of an image, all but essential bits, which need values.

    Every tile of windows takes a pass `steps` cycles.
    """
    mask, lanes = passes.mask, spec.lanes
    steps, tiles = -(-reduction // lanes), -(-windows // spec.windows)
    number, masks = int((~mask).sum()), int(mask.sum())
    used, assigned = int(passes.used[~mask].sum()), int(passes.assigned[~mask].sum())
    mask_used = int(passes.used[mask].sum())
    row = tiles * steps * lanes * spec.windows  # unit-cycles of a row in a pass
    return Counts(
        cycles=number * tiles * steps,
        active=used * reduction * windows,
        idle_width=(assigned - used) * row,
        idle_rows=(number * spec.rows - assigned) * row,
        idle_lanes=used * (steps * lanes - reduction) * tiles * spec.windows,
        idle_windows=used * reduction * (tiles * spec.windows - windows),
        mask_cycles=masks * tiles * steps,
        mask_active=mask_used * reduction * windows,
        mask_idle=masks * spec.rows * row - mask_used * reduction * windows,
        essential_bits=0,
        weight_bits=(used * spec.width_step + mask_used) * reduction * tiles,
        activation_bits=(number + masks) * reduction * windows * spec.activation_bits,
    )
