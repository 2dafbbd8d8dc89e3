"""What a budget is of: a metric of live weights, in integers, filter by filter."""

from esnsim.costs.metric import METRICS, Metric
from esnsim.errors import UsageError
from esnsim.machines.named.aim import AT, check_aim
from esnsim.quantization.filter_sums import Ints
from esnsim.quantization.quantizer import QuantizedLayer

ALIASES = {"mac_bits": "esn_d_tilde", "weight_bits": "esn_d_tilde.weights"}
WEIGHTS, MACS = ".weights", ".macs"


def budgeted() -> list[str]:
    """The metrics that there are budgets of, weighted by MACs unless they end in `.weights`."""
    return [name for name, metric in METRICS.items() if metric.filters is not None]


def check_metric(metric: str) -> str:
    """The metric's name without aliases. Raises UsageError for one that there is no budget of."""
    if AT in metric:
        return check_aim(metric)
    metric = ALIASES.get(metric, metric)
    if metric.removesuffix(WEIGHTS).removesuffix(MACS) not in budgeted():
        known = ", ".join((*budgeted(), *ALIASES))
        raise UsageError(
            f"no budget of '{metric}': use one of {known}, with .weights for those of parameters, "
            "or a machine's, as cycles@maki"
        )
    return metric


def unit(metric: str) -> int:
    """How many of the integers here make 1 of the metric: ESNa is counted in quarters."""
    return _entry(metric).unit


def by_weights(metric: str) -> bool:
    """Whether the metric counts parameters, of which layers may share some, and not MACs."""
    return check_metric(metric).endswith(WEIGHTS)


def of_filters(quantized: QuantizedLayer, metric: str) -> Ints:
    """What each filter (M,) costs, times `unit`."""
    filters = _entry(metric).filters
    assert filters is not None
    return filters(quantized.sums) * (1 if by_weights(metric) else quantized.layer.macs_per_weight)


def _entry(metric: str) -> Metric:
    return METRICS[check_metric(metric).partition(".")[0]]
