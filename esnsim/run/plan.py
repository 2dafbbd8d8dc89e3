"""The order in which a cut graph runs: by depth, the MAC operators on the longest path before."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from esnsim.graph.model import Model
from esnsim.graph.nodes import reads

Needs = Mapping[int, frozenset[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One depth: a segment's nodes (places), what it reads and gives, then the MAC operators.

    `last` are the values that nothing reads afterwards.
    """

    nodes: tuple[int, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: tuple[int, ...]
    last: frozenset[str]


def plan_of(graph: Model, macs: Collection[int], inputs: Iterable[str]) -> tuple[Step, ...]:
    """The steps of a graph with these inputs whose nodes at the places `macs` are taken out."""
    results = [output.name for output in graph.proto.graph.output]
    needs = needed(graph, macs, results)
    depths = _depths(graph, macs, needs)
    last = dict.fromkeys(inputs, 0)  # the last step that reads a value from outside its segment
    last |= {name: depths[place] for place in macs for name in graph.nodes[place].output if name}
    for place, names in needs.items():
        for name in names:
            maker = graph.producers.get(name)
            if place in macs or maker in macs or maker is None or depths[maker] != depths[place]:
                last[name] = max(last.get(name, 0), depths[place])
    kept = dict.fromkeys(results)
    steps = []
    for depth in range(max(depths.values(), default=0) + 1):
        at = [place for place in needs if depths[place] == depth]
        nodes = [place for place in at if place not in macs]
        made = [name for place in nodes for name in graph.nodes[place].output if name]
        if depth == 0:
            made += [name for name in kept if name in graph.constants]
        outer = {name: None for place in nodes for name in sorted(needs[place] - {*made})}
        steps.append(
            Step(
                nodes=tuple(nodes), inputs=tuple(outer),
                outputs=tuple(n for n in made if n in last or n in kept),
                macs=tuple(place for place in at if place in macs),
                last=frozenset(n for n, step in last.items() if step == depth and n not in kept),
            )
        )  # fmt: skip
    return tuple(steps)


def needed(graph: Model, macs: Collection[int], results: Iterable[str]) -> Needs:
    """What each node reads that is not constant: for MAC operators, and what leads to results."""
    needs: dict[int, frozenset[str]] = {}
    wanted = set(results)
    for place in reversed(range(len(graph.nodes))):
        outputs = set(graph.nodes[place].output)
        if outputs & graph.constants or not (place in macs or outputs & wanted):
            continue
        needs[place] = frozenset(reads(graph.nodes[place]) - graph.constants)
        wanted |= needs[place]
    return dict(sorted(needs.items()))


def _depths(graph: Model, macs: Collection[int], needs: Needs) -> dict[int, int]:
    """How many MAC operators lie on the longest path from the inputs to each node."""
    depths: dict[int, int] = {}
    for place, names in needs.items():
        makers = [graph.producers[name] for name in names if name in graph.producers]
        depths[place] = max((depths[m] + (m in macs) for m in makers), default=0)
    return depths
