"""A compressed model as a file: codes in standard operators, in QONNX's, or floats."""

import json
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, helper, numpy_helper, version_converter

from esnsim.compression.export.formats import FORMATS
from esnsim.compression.export.stored import Parts, Stored, arrange, before, stored
from esnsim.errors import ModelError, check_known
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, Slot
from esnsim.graph.substitute import (
    Changes,
    complete,
    copied,
    dequantized_at,
    dtype_of,
    renamed,
    replace_nodes,
    with_weights,
)
from esnsim.importer.midrise import HALF_STEPS
from esnsim.quantization.quantizer import QuantizedNetwork

IR_OF_INT4 = 10


def exported(
    graph: Model,
    sites: Sequence[Site],
    quantized: QuantizedNetwork,
    form: str = "qdq",
    changes: Changes | None = None,
) -> ModelProto:
    """The model with the codes of `quantized` for the weights at `sites`, complete in memory.

    `form` is one of FORMATS. `changes` are other constants: corrected biases, statistics, and
    weights that differ from Δ·W_int by a factor a filter. ModelError where the graph's opset is
    too old for the form: see `upgrade_opset`; WidthError for widths that a form does not hold.
    """
    changes = dict(changes or {})
    check_known("format", form, FORMATS)
    add = FORMATS[form].add
    if add is None:
        return with_weights(graph, dequantized_at(sites, quantized) | changes)
    opset, least = opset_of(graph.proto), FORMATS[form].least_opset
    if opset < least:
        raise ModelError(f"opset {opset} has no scale for each filter: raise it to {least}")
    model = copied(graph)
    here = {site.slot: np.empty(0) for site in sites}
    names = renamed(graph, model, changes | here)
    parts = Parts(taken=names_of(model) | set(names.values()), titles=titles_of(model))
    for slot in changes.keys() - here.keys():
        array = np.ascontiguousarray(changes[slot], dtype_of(graph, slot))
        parts.tensors.append(numpy_helper.from_array(array, names[slot]))
    for weight in _shared(graph, model, sites, quantized, changes, names):
        value = before(weight, parts)
        add(weight, value, parts, opset)
        arrange(weight, value, parts)
    _insert(graph, model, parts)
    return model


def upgraded(model: Model, form: str = "qdq") -> Model:
    """The opened model, opened anew at a higher opset where a format needs one."""
    if opset_of(model.proto) >= FORMATS[form].least_opset:
        return model
    return model.reopened(upgrade_opset(with_weights(model, {}), form))


def upgrade_opset(model: ModelProto, form: str = "qdq") -> ModelProto:
    """The model at an opset that a format can do with. Raises ModelError where that fails."""
    least = FORMATS[form].least_opset
    if opset_of(model) >= least:
        return model
    try:
        return version_converter.convert_version(model, least)
    except Exception as error:  # the converter raises RuntimeError and its own
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        raise ModelError(
            f"opset {opset_of(model)} has no scale for each filter, and onnx cannot raise it to "
            f"{least} ({reason}): export the model anew, or give --format float or qonnx"
        ) from None


def opset_of(model: ModelProto) -> int:
    """The version of the standard operators."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)


def titles_of(model: ModelProto) -> set[str]:
    """The names of the nodes of a model's graph, which may be those of values too."""
    return {node.name for node in model.graph.node}


def names_of(model: ModelProto) -> set[str]:
    """The names of all values of a model's graph."""
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    names |= {info.name for info in (*model.graph.input, *model.graph.output)}
    return names | {tensor.name for tensor in model.graph.initializer}


def _shared(
    graph: Model,
    model: ModelProto,
    sites: Sequence[Site],
    quantized: QuantizedNetwork,
    changes: Changes,
    names: Mapping[Slot, str],
) -> list[Stored]:
    """The weights to store: those that are the same in several operators once."""
    kept: dict[tuple[object, ...], list[Stored]] = {}
    for site in sites:
        weight = stored(
            site, quantized.layers[site.index], changes.get(site.slot), names[site.slot],
            dtype_of(graph, site.slot),
        )  # fmt: skip
        alike = kept.setdefault((site.layer.weight.origin, site.shape, weight.axis), [])
        twin = next((w for w in alike if _same(w, weight)), None)
        if twin is None:
            alike.append(weight)
        else:
            model.graph.node[site.place].input[site.input] = twin.name
    return [weight for alike in kept.values() for weight in alike]


def _same(a: Stored, b: Stored) -> bool:
    geometry = a.site.layer.geometry.groups == b.site.layer.geometry.groups
    return geometry and np.array_equal(a.q, b.q) and np.array_equal(a.steps, b.steps)


def _insert(graph: Model, model: ModelProto, parts: Parts) -> None:
    """Put nodes and tensors into a copy of the graph's model, and what they need beside it."""
    replace_nodes(model.graph, [*parts.nodes, *model.graph.node])
    model.graph.initializer.extend(parts.tensors)
    domains = {node.domain for node in parts.nodes} - {o.domain for o in model.opset_import} - {""}
    model.opset_import.extend(helper.make_opsetid(domain, 1) for domain in sorted(domains))
    int4 = any(tensor.data_type == tensor.INT4 for tensor in parts.tensors)
    model.ir_version = max(IR_OF_INT4 if int4 else 0, model.ir_version)
    if parts.half_steps:
        _mark(model, parts.half_steps)
    complete(graph, model)


def _mark(model: ModelProto, filters: Mapping[str, Sequence[int]]) -> None:
    """Name filters in the metadata beside those of codes that the model had before."""
    kept = [p for p in model.metadata_props if p.key != HALF_STEPS]
    old = [json.loads(p.value) for p in model.metadata_props if p.key == HALF_STEPS]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    known = {name: value for found in old for name, value in found.items()}
    model.metadata_props.add(key=HALF_STEPS, value=json.dumps(known | dict(filters)))
