"""The float model in a cut graph: its own results, its activations, and the scales for them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from esnsim.machines.activations import ActivationScale, Calibration
from esnsim.model.network import Array
from esnsim.run.cut import Compute, CutGraph
from esnsim.run.macs import MacNode
from esnsim.run.session import open_session, to_array, to_runtime

#: Is shown a MAC operator and its activation.
See = Callable[[MacNode, Array], None]


def float_compute(cut_graph: CutGraph) -> Compute:
    """Each MAC operator in ONNX Runtime with optimisation off, a session each, opened once."""
    sessions = cut_graph.sessions

    def compute(mac: MacNode, activation: Array, others: Mapping[int, Array]) -> Array:
        arrays = {mac.activation: activation, **others}
        values = {mac.node.input[place]: to_runtime(a) for place, a in arrays.items()}
        if mac.index not in sessions:
            types = {name: value.data_type() for name, value in values.items()}
            graph = cut_graph.graph
            place = graph.producers[mac.result]
            sessions[mac.index] = open_session(
                graph, [place], types, [mac.result], cut_graph.threads, arena=False
            )
        return to_array(sessions[mac.index].run(values)[mac.result])

    return compute


def watched(compute: Compute, see: See) -> Compute:
    """`compute`, each activation being shown to `see` first."""

    def shown(mac: MacNode, activation: Array, others: Mapping[int, Array]) -> Array:
        see(mac, activation)
        return compute(mac, activation, others)

    return shown


def trace(cut_graph: CutGraph, feeds: Mapping[str, Array]) -> list[tuple[MacNode, Array]]:
    """The float model's activation of every MAC operator, in the order in which they run."""
    found: list[tuple[MacNode, Array]] = []
    compute = watched(float_compute(cut_graph), lambda *pair: found.append(pair))
    cut_graph.run(feeds, compute)
    return found


def activation_scales(
    cut_graph: CutGraph,
    batches: Iterable[Mapping[str, Array]],
    bits: int = 8,
    percentile: float | None = None,
    signed: bool = False,
) -> dict[int, ActivationScale]:
    """Scales of the activations of the float model over `batches`, by index of the layer.

    Where the model has its own scale none is made. See `Calibration.scale` for the rest.
    """
    seen: dict[int, Calibration] = defaultdict(Calibration)

    def see(mac: MacNode, activation: Array) -> None:
        if mac.own is None:
            seen[mac.index].add(activation)

    compute = watched(float_compute(cut_graph), see)
    for feeds in batches:
        cut_graph.run(feeds, compute)
    return {index: found.scale(bits, percentile, signed) for index, found in seen.items()}
