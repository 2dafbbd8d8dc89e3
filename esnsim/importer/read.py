"""A parsed model walked: its network, and what is known of its values."""

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

import onnx
from onnx import ModelProto, inliner

from esnsim.errors import ModelError
from esnsim.importer.batch import images_of, one_image
from esnsim.importer.inputs import Resolved, Shapes, given_values, resolve
from esnsim.importer.midrise import half_steps
from esnsim.importer.record import Record
from esnsim.importer.scope import Scope, opsets
from esnsim.importer.values import Value, type_shape
from esnsim.importer.walk import Walker
from esnsim.model.network import Network, Source
from esnsim.onnxfile.damage import reading
from esnsim.onnxfile.load import Loaded, load
from esnsim.onnxfile.nodes import graphs_of, repeated
from esnsim.onnxfile.tensors import Store


def read_onnx(
    model: str | PathLike[str] | ModelProto,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
    input_values: Mapping[str, float] | None = None,
) -> Network:
    """The network of an ONNX file, of `builtin:NAME`, or of a ModelProto (left unchanged).

    `input_shapes` gives the free sizes of inputs by name, `input_values` the value of inputs of one
    number, which chooses the branch of an If. Weights are read from the file layer
    by layer, when they are asked for. Raises ModelError for what cannot be read.
    """
    loaded = load(model)
    with reading(loaded.title):
        return _network(loaded, input_shapes or {}, input_values or {})[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a walk finds: the network, and the graph that its layers stand in (see Model)."""

    network: Network
    proto: ModelProto
    scope: Scope
    layer_at: Mapping[int, int]


def read(loaded: Loaded, given: Shapes, values: Mapping[str, float]) -> Found:
    """Walk a parsed model with these shapes, or values, of its inputs."""
    with reading(loaded.title):
        network, scope = _network(loaded, given, values)
        proto = loaded.proto
        if proto.functions:
            proto = inliner.inline_local_functions(_with_defaults(proto))
            scope, _, _ = explore(proto, loaded.store, dict(network.source.inputs), values)
        places = {}
        for place, node in enumerate(proto.graph.node):
            index = scope.get(node.output[0]).producer if node.output else None
            if index is not None and node.op_type == network.layers[index].op:
                places[place] = index
        return Found(network=network, proto=proto, scope=scope, layer_at=places)


def explore(
    proto: ModelProto, store: Store, given: Shapes, fixed: Mapping[str, float]
) -> tuple[Scope, Record, Resolved]:
    """Walk a model: what is known of its values, what was recorded, its inputs' shapes."""
    resolved = resolve(proto.graph, given)
    versions = opsets(proto.opset_import)
    versions.setdefault("", 1 if proto.ir_version < 3 else onnx.defs.onnx_opset_version())
    functions = {(f.domain, f.name, f.overload): f for f in proto.functions}
    values = {n: Value(name=n, type=t) for n, t in resolved.types.items()}
    values |= given_values(values, fixed)
    scope = Scope(opsets=versions, values=values, half_steps=half_steps(proto))
    walker = Walker(store=store, functions=functions, dimensions=resolved.dimensions)
    walker.graph(proto.graph, scope)
    return scope, walker.record, resolved


def _network(loaded: Loaded, given: Shapes, values: Mapping[str, float]) -> tuple[Network, Scope]:
    proto, name = loaded.proto, loaded.title
    scope, record, resolved = explore(proto, loaded.store, given, values)
    if not record.layers:
        why = f"its operators are {', '.join(sorted({n.op_type for n in proto.graph.node})[:8])}"
        if record.uncounted:
            first = record.uncounted[0]
            why = f"{first.op} '{first.name}' is not counted: {first.reason}"
        raise ModelError(
            f"{name} has no layer with weights that esnsim can count ({why}): "
            "give a network with convolutions or matrix products by constants"
        )
    inputs = tuple((n, type_shape(t) or ()) for n, t in resolved.types.items())
    outputs = [scope.get(output.name).shape for output in proto.graph.output]
    images = images_of([shape for _, shape in inputs], outputs, record)
    source = Source(
        path=loaded.path, size_bytes=loaded.size_bytes, ir_version=proto.ir_version,
        opsets=tuple(scope.opsets.items()),
        producer=proto.producer_name, inputs=inputs, batchnorms=record.batchnorms, images=images,
        input_values=tuple(values.items()),
    )  # fmt: skip
    layers, products = one_image(record, images)
    note = f"the inputs hold {images:,} images: figures are of one"
    network = Network(
        source,
        layers,
        tuple(record.channels.merges),
        record.channels.used,
        products,
        tuple(record.uncounted),
        (*repeated(proto.graph), *resolved.notes, *([note] if images > 1 else []), *record.notes),
        record.endless,
    )
    return network, scope


def _with_defaults(proto: ModelProto) -> ModelProto:
    """The model with the defaults of functions at their calls, where the inliner forgets them."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    functions = {(f.domain, f.name, f.overload): f.attribute_proto for f in proto.functions}
    graphs = [copy.graph.node, *(f.node for f in copy.functions)]
    while graphs:
        for node in graphs.pop():
            graphs += [graph.node for graph in graphs_of(node)]
            given = {item.name for item in node.attribute}
            defaults = functions.get((node.domain, node.op_type, node.overload), ())
            node.attribute.extend(item for item in defaults if item.name not in given)
    return copy
