"""What layers took on a machine by name: cycles, unit-cycles by cause, and events; exact sums."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What layers took: cycles, and unit-cycles that are active or idle, by cause; exact sums.

    `slots` are all unit-cycles: `active` and `idle` together. `events` are what else has a price.
    """

    cycles: int = 0
    slots: int = 0
    active: int = 0
    idle: dict[str, int] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)

    def __add__(self, other: "Count") -> "Count":
        return Count(
            cycles=self.cycles + other.cycles,
            slots=self.slots + other.slots,
            active=self.active + other.active,
            idle=_added(self.idle, other.idle),
            events=_added(self.events, other.events),
        )

    def times(self, number: int) -> "Count":
        """The counts times a number."""
        return Count(
            cycles=number * self.cycles,
            slots=number * self.slots,
            active=number * self.active,
            idle={cause: number * units for cause, units in self.idle.items()},
            events={name: number * value for name, value in self.events.items()},
        )


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in (one | other)}
