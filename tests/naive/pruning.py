"""Which filters a ratio prunes, from the definition."""

from typing import Any


def smallest(weights: list[Any], ratio: float, power: int) -> list[int]:
    """The places of the filters of least Σ|w|^power; of n filters ratio·n, rounded, halves down."""
    norms = [sum(abs(w) ** power for w in _flat(each)) for each in weights]
    order = sorted(range(len(norms)), key=lambda m: norms[m])
    count = 0
    while (count + 0.5) / len(norms) < ratio:
        count += 1
    return sorted(order[: min(count, len(norms) - 1)])


def _flat(value: Any) -> list[float]:
    return [w for each in value for w in _flat(each)] if isinstance(value, list) else [value]
