"""The opened model: a file's network, and the graph that its layers stand in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike

from onnx import ModelProto, NodeProto

from esnsim.graph.nodes import constant_names, reads
from esnsim.importer.read import read
from esnsim.importer.scope import Scope
from esnsim.model.network import Network
from esnsim.onnxfile.load import Loaded, load
from esnsim.onnxfile.tensors import Store

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model as it was opened: what is known of its layers, its nodes and its values.

    `proto` has its local functions inlined; large tensors lie in `store`. `scope` gives what is
    known of each value, `layer_at` the index of the network's layer that a node is, by the
    node's place. Layers that `layer_at` does not give are inside an If, a Loop or a Scan.
    """

    proto: ModelProto
    store: Store
    network: Network
    scope: Scope
    layer_at: Mapping[int, int]
    edits: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """How messages name the model."""
        path = self.network.source.path
        return f"'{path}'" if path else "the model"

    @property
    def nodes(self) -> Sequence[NodeProto]:
        """The nodes by their place."""
        return self.proto.graph.node

    @property
    def input_shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes that the model was opened with."""
        return dict(self.network.source.inputs)

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """The place of the node that gives each value."""
        return {name: i for i, node in enumerate(self.nodes) for name in node.output if name}

    @cached_property
    def readers(self) -> Mapping[str, Sequence[int]]:
        """The places of the nodes that read each value, in the graphs that they hold too."""
        readers: dict[str, list[int]] = {}
        for place, node in enumerate(self.nodes):
            for name in reads(node):
                readers.setdefault(name, []).append(place)
        return readers

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """The names of the network's outputs."""
        return tuple(output.name for output in self.proto.graph.output)

    @cached_property
    def constants(self) -> frozenset[str]:
        """What does not depend on the network's inputs, initialisers included."""
        return frozenset(constant_names(self.proto.graph))

    def reopened(self, proto: ModelProto) -> "Model":
        """An edited model, complete in memory, opened with the same input shapes."""
        values = dict(self.network.source.input_values)
        return replace(open_model(proto, self.input_shapes, values), edits=self.edits)


def open_model(
    source: str | PathLike[str] | ModelProto | Loaded,
    input_shapes: Shapes | None = None,
    input_values: Mapping[str, float] | None = None,
) -> Model:
    """Open an ONNX file, `builtin:NAME`, or a ModelProto (left unchanged).

    `input_shapes` gives the free sizes of inputs by name, `input_values` the value of inputs of one
    number, which chooses the branch of an If. Weights are read from the file when
    they are asked for. Raises ModelError for what cannot be read.
    """
    loaded = source if isinstance(source, Loaded) else load(source)
    found = read(loaded, input_shapes or {}, input_values or {})
    return Model(
        proto=found.proto, store=loaded.store, network=found.network, scope=found.scope,
        layer_at=found.layer_at,
    )  # fmt: skip
