"""Types and shapes of a node's outputs, by onnx's own inference, one node at a time.

Walking node by node lets constants that shapes depend on be folded on the way, and never shows
the weights to the inference. Operators that onnx has no schema for are inferred through the
standard operator that they stand for.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import onnx
from onnx import NodeProto, TensorProto, TypeProto, defs, helper, numpy_helper
from onnx.shape_inference import InferenceError, infer_node_outputs

from esnsim.errors import ModelError
from esnsim.importer.values import SMALL, Constant, Value

STANDARD = ("", "ai.onnx")
QONNX = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
OPENVINO = "org.openvinotoolkit"
STAND_IN_DOMAINS = ("com.microsoft", OPENVINO, *QONNX)
NEWEST = defs.onnx_opset_version()
SCALES = 8  # floats that a shape can depend on: the scales of a Resize

# (domain-less) operator -> standard operator, and which inputs it takes.
STAND_INS: dict[str, tuple[str, Sequence[int] | slice]] = {
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearWhere": ("Where", (0, 1, 4)),
    "QLinearConcat": ("Concat", slice(2, None, 3)),
    "QLinearSigmoid": ("Identity", (0,)),
    "QLinearLeakyRelu": ("Identity", (0,)),
    "QLinearSoftmax": ("Softmax", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearReduceMean": ("ReduceMean", (0,)),
    "BiasGelu": ("Add", (0, 1)),
    "FastGelu": ("Identity", (0,)),
    "QuickGelu": ("Identity", (0,)),
    "Gelu": ("Identity", (0,)),
    "BiasSoftmax": ("Softmax", (0,)),
    "SkipLayerNormalization": ("LayerNormalization", (0, 2)),
    "EmbedLayerNormalization": ("", ()),
    "LayerNormalization": ("LayerNormalization", (0, 1)),
    "SimplifiedLayerNormalization": ("LayerNormalization", (0, 1)),
    "SkipSimplifiedLayerNormalization": ("LayerNormalization", (0, 2)),
    "GroupNorm": ("Softmax", (0,)),
    "Quant": ("Identity", (0,)),
    "IntQuant": ("Identity", (0,)),
    "BipolarQuant": ("Identity", (0,)),
    "FloatQuant": ("Identity", (0,)),
    "Trunc": ("Identity", (0,)),
    "QuantizeLinear": ("QuantizeLinear", slice(None)),
    "DequantizeLinear": ("DequantizeLinear", slice(None)),
    "DynamicQuantizeLSTM": ("LSTM", (0, 1, 2)),
    "Pad": ("Pad", slice(None)),
    "RotaryEmbedding": ("Softmax", (0,)),
    "GatherBlockQuantized": ("", ()),
    "FakeQuantize": ("Identity", (0,)),
}
"""Operators of other domains that neither multiply and accumulate weights nor are unknown."""


def standard(node: NodeProto) -> NodeProto:
    """The standard operator that a node of another domain stands for, or the node itself."""
    if node.domain not in STAND_IN_DOMAINS or node.op_type not in STAND_INS:
        return node
    op_type, chosen = STAND_INS[node.op_type]
    inputs = list(node.input)
    if isinstance(chosen, slice):
        taken = inputs[chosen]
    else:
        taken = [inputs[i] for i in chosen if i < len(inputs)]
    copy = NodeProto(op_type=op_type, name=node.name, input=taken, output=node.output[:1])
    schema = _schema(op_type, "", NEWEST)
    if schema is not None:
        copy.attribute.extend(a for a in node.attribute if a.name in schema.attributes)
    return copy


def check_arity(node: NodeProto, opsets: Mapping[str, int]) -> None:
    """Raise ModelError for a standard operator with more or fewer inputs or outputs than it has."""
    if node.domain not in STANDARD:
        return
    schema = _schema(node.op_type, "", opsets.get("", NEWEST))
    if schema is None:
        return
    for what, names, least, most in (
        ("inputs", [*node.input], schema.min_input, schema.max_input),
        ("outputs", [*filter(None, node.output)], schema.min_output, schema.max_output),
    ):
        if not least <= len(names) <= most:
            raise ModelError(
                f"{node.op_type} '{node.name or next(iter(node.output), '')}' has {len(names)} "
                f"{what}, and needs {least}{f' to {most}' if most > least else ''}: the model is "
                "damaged; export it again"
            )


def infer(
    node: NodeProto, inputs: Sequence[Value | None], opsets: Mapping[str, int]
) -> dict[str, TypeProto]:
    """Types of the outputs as far as onnx can tell; nothing where it cannot."""
    domain = "" if node.domain in STANDARD else node.domain
    schema = _schema(node.op_type, domain, opsets.get(domain, NEWEST))
    if schema is None:
        return {}
    values = {value.name: value for value in inputs if value is not None}
    types = {name: value.type or TypeProto() for name, value in values.items()}
    data = {
        name: numpy_helper.from_array(value.constant.read())
        for name, value in values.items()
        if value.constant is not None and _shapes_depend_on(value.constant)
    }
    imports = [helper.make_opsetid(*item) for item in opsets.items()]

    def attempt(types: dict[str, TypeProto]) -> dict[str, TypeProto]:
        try:
            return infer_node_outputs(schema, node, types, data, None, imports)
        except (InferenceError, onnx.checker.ValidationError, ValueError, KeyError):
            return {}

    found = attempt(types)
    if found or not types:
        return found
    # onnx refuses integers where the operators that stand in for com.microsoft's take them.
    elem_type = next(iter(types.values())).tensor_type.elem_type
    floats = {name: _typed(t, TensorProto.FLOAT) for name, t in types.items()}
    return {name: _typed(t, elem_type) for name, t in attempt(floats).items()}


def _typed(proto: TypeProto, elem_type: int) -> TypeProto:
    """A tensor's type with other elements."""
    typed = TypeProto()
    typed.CopyFrom(proto)
    if typed.HasField("tensor_type"):
        typed.tensor_type.elem_type = elem_type
    return typed


def _shapes_depend_on(constant: Constant) -> bool:
    """Whether inference needs the values: small integers, and the few scales of a Resize."""
    return constant.size <= (SMALL if constant.bits is not None else SCALES)


@lru_cache(4096)
def _schema(op_type: str, domain: str, version: int) -> defs.OpSchema | None:
    try:
        return defs.get_schema(op_type, version, domain)
    except defs.SchemaError:
        return None
