"""Costs in the metadata and the doc strings of a model's nodes, put in and taken out.

Nothing that runs is touched: weights, external data and outputs stay bit for bit.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from onnx import ModelProto, NodeProto

import esnsim
from esnsim.costs.cost import Cost, LayerCost
from esnsim.costs.cost import total as summed
from esnsim.costs.figures import Metrics
from esnsim.errors import UsageError
from esnsim.importer.scope import first_output
from esnsim.onnxfile.damage import reading
from esnsim.onnxfile.external import external_files
from esnsim.onnxfile.load import find, load
from esnsim.units import human

PREFIX = "esnsim."  # of the keys, which Netron shows 16 characters of
#: Those of annotations: compress writes others.
KEYS = {
    f"{PREFIX}{name}" for name in (
        "version", "quantizer", "inputs", "macs", "mac_bits", "esn_a", "filters", "pruned",
        "widths",
    )
}  # fmt: skip
LINE = "esnsim cost: "  # what our line of a doc string begins with

Annotated = ModelProto | NodeProto


def annotate(proto: ModelProto, cost: Cost) -> int:
    """Put the cost of a model into its `proto`, in place of what is there; how many nodes have it.

    Nodes of branches, loops and functions too: one in a function has the sum of all calls.
    """
    remove(proto)
    layers: dict[str, list[LayerCost]] = {}
    for row in cost.layers:
        layers.setdefault(row.layer.at, []).append(row)
    found = [(node, layers[at]) for at, node in _nodes(proto) if at in layers]
    for node, rows in found:
        _write(node, summed(rows), _widths(rows))
    _write(proto, cost.total, _widths(cost.layers), _basis(cost))
    return len(found)


def remove(proto: ModelProto) -> bool:
    """Take all annotations out of a model; whether there were some."""
    nodes = [_clear(node) for _, node in _nodes(proto)]
    return _clear(proto) or any(nodes)


def annotation_notes(model: str, cost: Cost) -> tuple[str, ...]:
    """What annotations say that a fresh cost does not, in a sentence; they are never believed."""
    proto = load(model).proto
    ours = (item for item in proto.metadata_props if item.key in KEYS)
    stated = {item.key.removeprefix(PREFIX): item.value for item in ours}
    if not stated or len(cost.layers) < len(cost.network.layers):
        return ()
    basis, figures = _basis(cost), _figures(cost.total, _widths(cost.layers))
    version = stated.get("version")
    if version != esnsim.__version__:
        return (
            f"the model's annotations are by esnsim {version}, and not compared: annotate anew",
        )
    if any(stated.get(key) != value for key, value in basis.items()):
        return ("the model's annotations are of other codes or inputs, and not compared",)
    wrong = [key for key, value in figures.items() if stated.get(key) != value]
    if not wrong:
        return ()
    return (
        f"the model's annotations say {wrong[0]} = {stated.get(wrong[0])}, and it is "
        f"{figures[wrong[0]]}: the model has changed, annotate anew",
    )


def read_whole(model: str) -> ModelProto:
    """A model with all that its own file holds; external data stays where it is."""
    path = find(model)
    with reading(f"'{path}'"):
        return ModelProto.FromString(path.read_bytes())


def check_place(proto: ModelProto, model: str, output: Path) -> None:
    """Raise UsageError where external data would not lie beside the model that is written."""
    path = find(model)
    beside = external_files(proto, path.parent, path.resolve().parent)
    if beside and os.path.realpath(output.parent) != os.path.realpath(path.parent):
        raise UsageError(
            f"the weights lie in '{beside[0].name}' beside '{path}': give -o a file in that folder"
        )


def _nodes(proto: ModelProto) -> Iterator[tuple[str, NodeProto]]:
    """The nodes of a file, also in functions and in graphs that nodes hold, by their place."""
    yield from _inside(proto.graph.node, "")
    for function in proto.functions:
        home = f"{function.domain}:{function.name}:{function.overload}/"
        yield from _inside(function.node, home)


def _inside(nodes: Iterable[NodeProto], home: str) -> Iterator[tuple[str, NodeProto]]:
    for node in nodes:
        yield home + first_output(node), node
        for item in node.attribute:
            for graph in (*item.graphs, *([item.g] if item.HasField("g") else [])):
                yield from _inside(graph.node, f"{home}{first_output(node)}.{item.name}/")


def _basis(cost: Cost) -> dict[str, str]:
    """What figures depend on."""
    document = cost.to_dict()
    return {
        "version": esnsim.__version__,
        "quantizer": json.dumps(document["quantizer"]),
        "inputs": json.dumps(document["model"]["inputs"]),
    }


def _figures(metrics: Metrics, widths: dict[int, int]) -> dict[str, str]:
    return {
        "macs": str(metrics.macs),
        "mac_bits": str(metrics.esn_d_tilde.macs),
        "esn_a": f"{metrics.esn_a_x4.macs / 4:.12g}",
        "filters": str(metrics.filters),
        "pruned": str(metrics.pruned_filters),
        "widths": " ".join(f"{bits}:{count}" for bits, count in widths.items()),
    }


def _widths(rows: Sequence[LayerCost]) -> dict[int, int]:
    """How many filters have each width."""
    counts: Counter[int] = Counter()
    for row in rows:
        counts.update(row.bits.tolist())
    return dict(sorted(counts.items()))


def _write(
    to: Annotated, metrics: Metrics, widths: dict[int, int], more: dict[str, str] | None = None
) -> None:
    for key, value in {**(more or {}), **_figures(metrics, widths)}.items():
        to.metadata_props.add(key=PREFIX + key, value=value)
    told = ", ".join(f"{count:,} of {bits} bits" for bits, count in widths.items())
    line = (
        f"{LINE}{human(metrics.macs)} MACs, {human(metrics.esn_d_tilde.macs)} MAC×bit, ESNa "
        f"{human(metrics.esn_a_x4.macs / 4)}; filters: {told}; {metrics.pruned_filters:,} of "
        f"{metrics.filters:,} pruned"
    )
    to.doc_string = f"{to.doc_string}\n{line}" if to.doc_string else line


def _clear(of: Annotated) -> bool:
    """Take annotations out of a node or a model; whether there were some."""
    lines = of.doc_string.split("\n")
    kept = [line for line in lines if not line.startswith(LINE)]
    if len(kept) == len(lines) and not KEYS.intersection(i.key for i in of.metadata_props):
        return False
    for place in reversed(range(len(of.metadata_props))):
        if of.metadata_props[place].key in KEYS:
            del of.metadata_props[place]
    of.doc_string = "\n".join(kept)
    if not kept:
        of.ClearField("doc_string")
    return True
