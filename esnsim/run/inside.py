"""Values inside a graph, run whole in ONNX Runtime: what operators that are not cut out read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from esnsim.model.network import Array
from esnsim.run.cut import CutGraph
from esnsim.run.plan import needed
from esnsim.run.session import Session, open_session, to_array


@dataclass(frozen=True, slots=True)
class Inside:
    """A session that gives values by name, and those of them that are constant or inputs."""

    session: Session | None
    constants: Mapping[str, Array]
    inputs: frozenset[str]

    def run(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """The values for these inputs of the graph. Raises ModelError where it can't run."""
        found = {name: feed[name] for name in self.inputs} | dict(self.constants)
        if self.session is not None:
            found |= {name: to_array(x) for name, x in self.session.run(feed).items()}
        return found


def inside(graph: CutGraph, names: Sequence[str]) -> Inside:
    """The values of these names. Raises ModelError where ONNX Runtime can't load the graph."""
    model = graph.graph
    inputs = frozenset(name for name in names if name in graph.inputs)
    constants = {}
    for name in names:
        known = model.scope.get(name).constant if name in model.constants else None
        if known is not None:
            constants[name] = known.read()
    others = [name for name in dict.fromkeys(names) if name not in inputs | constants.keys()]
    session = None
    if others:
        session = open_session(
            model, needed(model, (), others), graph.inputs, others, graph.threads
        )
    return Inside(session, constants, inputs)
