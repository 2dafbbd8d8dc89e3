"""How much is spent on measuring what the noise of filters does: one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """How many images probe each filter, the most MACs of all probes, whether allocations are
    rounded and compared, and how many images calibrate at most. Without probes nothing is measured.
    """

    probes: int
    macs: int
    compared: bool
    help: str
    images: int = 512


EFFORTS = {
    "quick": Effort(0, 0, False, "the weights' squared error, nothing is measured"),
    "normal": Effort(1, 3 * 10**10, False, "one image probes each filter, or some alike"),
    "thorough": Effort(
        16, 5 * 10**12, True, "16 images do, allocations are compared, up to 2,048 calibrate", 2048
    ),
}
