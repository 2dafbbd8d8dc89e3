"""How weights become codes at given widths: one table."""

from dataclasses import dataclass

from esnsim.errors import UsageError, check_known


@dataclass(frozen=True, slots=True)
class Rounding:
    """What a rounding does."""

    help: str


COMPENSATED, NEAREST = "compensated", "nearest"
ROUNDINGS = {
    COMPENSATED: Rounding("codes that make up for each other's errors, layer by layer on images"),
    NEAREST: Rounding("each weight on its own"),
}


def resolved(rounding: str | None, images: bool) -> str:
    """The rounding that is meant: where none is named, compensated if images calibrate.

    Raises UsageError for one that there is none of, and where it lacks images.
    """
    if rounding is not None:
        check_known("rounding", rounding, ROUNDINGS)
    if rounding == COMPENSATED and not images:
        raise UsageError("compensated rounding needs images: give --data, or --rounding nearest")
    return rounding or (COMPENSATED if images else NEAREST)
