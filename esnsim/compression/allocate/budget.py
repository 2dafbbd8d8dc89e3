"""What a budget is of: a metric of live weights, in integers, filter by filter."""

from esnsim.costs.metric import METRICS as ALL
from esnsim.errors import UsageError
from esnsim.quantization.filter_sums import Ints
from esnsim.quantization.quantizer import QuantizedLayer

NAMES = ("esn_d_tilde", "esn_d", "esn_a")
#: Names of a metric, weighted by MACs unless they end in `.weights`.
METRICS = tuple(f"{name}{end}" for name in NAMES for end in ("", ".macs", ".weights"))
ALIASES = {"mac_bits": "esn_d_tilde", "weight_bits": "esn_d_tilde.weights"}


def check_metric(metric: str) -> str:
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
    return ALL[check_metric(metric).partition(".")[0]].unit


def by_weights(metric: str) -> bool:
    """Whether the metric counts parameters, of which layers may share some, and not MACs."""
    return check_metric(metric).endswith(".weights")


def of_filters(quantized: QuantizedLayer, metric: str) -> Ints:
    """What each filter (M,) costs, times `unit`."""
    name, sums = check_metric(metric).partition(".")[0], quantized.sums
    values = {
        "esn_d_tilde": sums.width_code * sums.weights,
        "esn_d": sums.bits_code,
        "esn_a": sums.squares_x4,
    }
    return values[name] * (1 if by_weights(metric) else quantized.layer.macs_per_weight)
