"""What a budget, a limit or an axis is of: one table of metrics, by the names of `--metric`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esnsim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from esnsim.costs.figures import Figures
    from esnsim.quantization.filter_sums import FilterSums, Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric: what people call it, and the field of Metrics that holds `unit` times its value.

    `weighted`: by computations, and with `.weights` by parameters. Of what there are budgets of,
    `filters` is the sum over the weights of each filter (M,), times `unit`.
    """

    title: str
    field: str
    weighted: bool = False
    unit: int = 1
    filters: "Callable[[FilterSums], Ints] | None" = None


METRICS = {
    "esn_a": Metric(
        title="ESNa", field="esn_a_x4", weighted=True, unit=4, filters=lambda s: s.squares_x4
    ),
    "esn_d": Metric(title="ESNd", field="esn_d", weighted=True, filters=lambda s: s.bits_code),
    "esn_d_tilde": Metric(
        title="MAC×bit",
        field="esn_d_tilde",
        weighted=True,
        filters=lambda s: s.width_code * s.weights,
    ),
    "mac_bits": Metric(title="MAC×bit", field="esn_d_tilde", weighted=True),
    "mac_bits_layerwise": Metric(title="layer-wise MAC×bit", field="mac_bits_layerwise"),
    "macs": Metric(title="MACs", field="macs"),
    "live_macs": Metric(title="live MACs", field="live_macs"),
    "weights": Metric(title="weights", field="weights"),
}


#: Of what machines take.
UNITS = {"time": ", µs", "energy": ", pJ"}


def find_metric(metric: str) -> str:
    """The name of a metric, if there is one. Raises UsageError."""
    name = metric.removesuffix(".weights")
    if name not in METRICS or (name != metric and not METRICS[name].weighted):
        weighted = ", ".join(name for name, found in METRICS.items() if found.weighted)
        raise UsageError(
            f"'{metric}' is no metric: give one of {', '.join(METRICS)}; {weighted} also with "
            ".weights"
        )
    return metric


def metric_value(total: "Figures", metric: str) -> float:
    """A total by the name that `--metric` takes: `esn_d_tilde`, `esn_a.weights`, `live_macs`."""
    name, _, weighting = metric.partition(".")
    found = METRICS[name]
    value = getattr(total, found.field)
    if found.weighted:
        value = getattr(value, weighting or "macs")
    return value / found.unit if found.unit > 1 else value  # type: ignore[no-any-return]


def metric_title(metric: str) -> str:
    """A metric as people write it: ESNa by weights, cycles on maki."""
    if "@" in metric:
        quantity, _, machine = metric.partition("@")
        return f"{quantity} on {machine}" + UNITS.get(quantity, "")
    name, _, weighting = metric.partition(".")
    return METRICS[name].title + (" by weights" if weighting == "weights" else "")
