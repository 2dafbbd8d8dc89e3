"""How much is spent on measuring what the noise of filters does: one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How many images probe each filter, the most MACs of all probes, and how many images calibrate
    at most. Without probes nothing is measured.
    """

    probes: int
    macs: int
    help: str
    images: int = 512


EFFORTS = {
    "quick": Effort(
        probes=0, macs=0, help="the weights' squared error, nothing is measured"
    ),
    "normal": Effort(
        probes=1, macs=3 * 10**10,
        help="one image probes each filter, or some alike",
    ),
    "thorough": Effort(
        probes=16, macs=5 * 10**12, images=2048,
        help="16 images do, up to 2,048 calibrate",
    ),
}  # fmt: skip
