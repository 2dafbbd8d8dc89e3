"""What a budget is of: a metric of live weights, in integers, filter by filter and in total."""

from esnsim.costs.cost import Cost, Weightings
from esnsim.errors import UsageError
from esnsim.quantization.filter_sums import Ints
from esnsim.quantization.quantizer import QuantizedLayer

NAMES = ("esn_d_tilde", "esn_d", "esn_a")
#: Names of a metric, weighted by MACs unless they end in `.weights`.
METRICS = tuple(f"{name}{end}" for name in NAMES for end in ("", ".macs", ".weights"))
ALIASES = {"mac_bits": "esn_d_tilde", "weight_bits": "esn_d_tilde.weights"}


def known(metric: str) -> str:
    """The metric's name without aliases. Raises UsageError for one that there is no budget of."""
    metric = ALIASES.get(metric, metric)
    if metric not in METRICS:
        known = ", ".join((*NAMES, *ALIASES))
        raise UsageError(
            f"no budget of '{metric}': use one of {known}, with .weights for those of parameters"
        )
    return metric


def unit(metric: str) -> int:
    """How many of the integers here make 1 of the metric: ESNa is counted in quarters."""
    return 4 if known(metric).startswith("esn_a") else 1


def by_weights(metric: str) -> bool:
    """Whether the metric counts parameters, of which layers may share some, and not MACs."""
    return known(metric).endswith(".weights")


def of_filters(quantized: QuantizedLayer, metric: str) -> Ints:
    """What each filter (M,) costs, times `unit`."""
    name, sums = known(metric).partition(".")[0], quantized.sums
    values = {
        "esn_d_tilde": sums.width_code * sums.weights,
        "esn_d": sums.bits_code,
        "esn_a": sums.squares_x4,
    }
    return values[name] * (1 if by_weights(metric) else quantized.layer.macs_per_weight)


def spent(cost: Cost, metric: str) -> float:
    """What a quantised network costs."""
    name = known(metric).partition(".")[0]
    value: Weightings = getattr(cost.total, "esn_a_x4" if name == "esn_a" else name)
    return (value.weights if by_weights(metric) else value.macs) / unit(metric)
