"""How much is spent on measuring what the noise of filters does: one table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Effort:
    """How many images probe each filter, and the most MACs of all probes."""

    probes: int
    macs: int
    help: str


EFFORTS = {
    "normal": Effort(1, 10**12, "one image probes each filter"),
    "thorough": Effort(16, 5 * 10**12, "16 images do, in up to ten times the time"),
}
