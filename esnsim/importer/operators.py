"""The operators that multiply and accumulate, and how each is read: three explicit sets.

READERS are counted. STAND_INS (shapes.py) and the standard operators outside MULTIPLYING hold no
multiply-accumulates of weights. All others are listed as uncounted.
"""

from collections.abc import Callable
from dataclasses import replace
from math import prod

import numpy as np
import onnx
from onnx import NodeProto, TypeProto, helper

from esnsim.importer.attention import (
    Attention,
    attention,
    group_query,
    multi_head,
    projected,
    self_attention,
)
from esnsim.importer.constants import attribute
from esnsim.importer.convolutions import convolution, transposed_convolution
from esnsim.importer.einsum import einsum_product, equation_of, weighted_einsum
from esnsim.importer.packed import gathered, unpack_bnb4, unpack_nbits
from esnsim.importer.products import (
    CannotCountError,
    Finding,
    Inputs,
    ShapeUnknownError,
    Unweighted,
    Weighted,
    at,
    multiply,
    need,
    shape_of,
    weight_right,
)
from esnsim.importer.quantized import dequantize
from esnsim.importer.recurrent import recurrent, turned
from esnsim.importer.shapes import STAND_IN_DOMAINS, STAND_INS, STANDARD
from esnsim.importer.values import Constant, Value

Reader = Callable[[NodeProto, Inputs, str], list[Finding]]

#: Standard operators that multiply and accumulate (other domains: everything not known).
MULTIPLYING = {
    "AffineGrid", "Attention", "CausalConvWithState", "Conv", "ConvInteger", "ConvTranspose", "DFT",
    "DeformConv", "Det", "Einsum", "GRU", "Gemm", "LSTM", "LinearAttention", "MatMul",
    "MatMulInteger", "QLinearConv", "QLinearMatMul", "RNN", "STFT",
}  # fmt: skip
LAID_OUT = "com.microsoft.nchwc"
ML = "ai.onnx.ml"
FREE_ML = {
    "ArrayFeatureExtractor", "Binarizer", "CastMap", "CategoryMapper", "DictVectorizer",
    "FeatureVectorizer", "Imputer", "LabelEncoder", "Normalizer", "OneHotEncoder", "Scaler",
    "TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "ZipMap",
}  # fmt: skip


def _conv(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    return _convolve(node, need(inputs, 0), need(inputs, 1), name, inputs[2:])


def _deformable_conv(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    x = need(inputs, 0)  # a dead channel differs from place to place, and the places are moved
    return _convolve(node, replace(x, channels=None), need(inputs, 1), name, inputs[2:])


def _conv_integer(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    x, w = need(inputs, 0), need(inputs, 1)
    return _convolve(node, x, _coded(w, None, at(inputs, 3), 0, name), name)


def _qlinear_conv(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    x, w = need(inputs, 0), need(inputs, 3)
    coded = _coded(w, at(inputs, 4), at(inputs, 5), 0, name)
    return _convolve(node, x, coded, name)


def _convolve(node: NodeProto, x: Value, w: Value, name: str, extra: Inputs = ()) -> list[Finding]:
    transposed = node.op_type == "ConvTranspose"
    if w.constant is None:
        return [_dynamic_convolution(node, x, w, transposed, name)]
    read = transposed_convolution if transposed else convolution
    return [_beside(read(node, x, w.constant, name), extra)]


def _dynamic_convolution(
    node: NodeProto, x: Value, w: Value, transposed: bool, name: str
) -> Unweighted:
    shape = shape_of(w, name)
    stand_in = Constant(
        shape=shape, dtype=np.dtype(np.float32), origin="", read=lambda: np.zeros(0)
    )
    read = transposed_convolution if transposed else convolution
    geometry = read(node, x, stand_in, name).geometry
    return Unweighted(prod(shape) * geometry.windows, geometry.batch)


def _beside(weighted: Weighted, others: Inputs) -> Weighted:
    """Further inputs that are activations (a bias, a residual) make every channel live."""
    if any(v is not None and v.constant is None for v in others):
        return replace(weighted, output=None)
    return weighted


def _matmul(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    return multiply(need(inputs, 0), need(inputs, 1), name)


def _fused_matmul(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    a, b = need(inputs, 0), need(inputs, 1)
    flags = ("transA", "transB", "transBatchA", "transBatchB")
    trans_a, trans_b, *batches = (bool(attribute(node, flag, 0)) for flag in flags)
    if any(batches):
        raise CannotCountError("transposed batch axes")
    return multiply(a, b, name, trans_a, trans_b)


def _gemm(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    trans_a, trans_b = bool(attribute(node, "transA", 0)), bool(attribute(node, "transB", 0))
    found = multiply(need(inputs, 0), need(inputs, 1), name, trans_a, trans_b)
    return [_beside(f, inputs[2:3]) if isinstance(f, Weighted) else f for f in found]


def _qgemm(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    trans_a, trans_b = bool(attribute(node, "transA", 0)), bool(attribute(node, "transB", 0))
    axis = 0 if trans_b else 1
    b = _coded(need(inputs, 3), at(inputs, 4), at(inputs, 5), axis, name)
    return multiply(need(inputs, 0), b, name, trans_a, trans_b)


def _matmul_integer(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    a, b = need(inputs, 0), need(inputs, 1)
    if b.constant is not None:
        return multiply(a, _coded(b, None, at(inputs, 3), -1, name), name)
    return multiply(_coded(a, None, at(inputs, 2), -2, name), b, name)


def _qlinear_matmul(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    a, b = need(inputs, 0), need(inputs, 3)
    if b.constant is not None:
        return multiply(a, _coded(b, at(inputs, 4), at(inputs, 5), -1, name), name)
    return multiply(_coded(a, at(inputs, 1), at(inputs, 2), -2, name), b, name)


def _integer_to_float(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    a, b = need(inputs, 0), need(inputs, 1)
    found = multiply(a, _coded(b, at(inputs, 3), at(inputs, 5), -1, name), name)
    return [_beside(f, inputs[6:7]) if isinstance(f, Weighted) else f for f in found]


def _dynamic_quantize_matmul(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    a, b = replace(need(inputs, 0), channels=None), need(inputs, 1)  # one step for all channels
    return multiply(a, _coded(b, at(inputs, 2), at(inputs, 3), -1, name), name)


def _matmul_packed(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    four_bit_floats = node.op_type == "MatMulBnb4"
    count, unpack = (3, unpack_bnb4) if four_bit_floats else (5, unpack_nbits)
    given = [at(inputs, index) for index in range(1, count)]
    if any(v is not None and v.constant is None for v in given):
        raise CannotCountError("its weights are not constant")
    w = unpack(node, [v.constant if v is not None else None for v in given], name)
    found = weight_right(need(inputs, 0), w, name, transposed=True)
    return [_beside(found, inputs[5:6])]


def _recurrent(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    batch_first = bool(attribute(node, "layout", 0))
    return recurrent(need(inputs, 0), need(inputs, 1), need(inputs, 2), name, batch_first)


def _dynamic_quantize_lstm(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    x = replace(need(inputs, 0), channels=None)  # one step for all channels
    w = turned(need(inputs, 1), at(inputs, 8), at(inputs, 9), name)
    r = turned(need(inputs, 2), at(inputs, 10), at(inputs, 11), name)
    return recurrent(x, w, r, name)


def _einsum(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    text = equation_of(node)
    operands = [need(inputs, i) for i in range(len(inputs))]
    constants = [i for i, v in enumerate(operands) if v.constant is not None]
    if len(constants) == 1 and len(operands) == 2:
        found = weighted_einsum(text, operands, constants[0], name)
        if found is None:
            raise CannotCountError(f"the equation '{text}' is no matrix product with its constant")
        return [found]
    if len(operands) == 1:
        return []  # moved, summed or cut: nothing is multiplied
    if constants:
        raise CannotCountError(f"the equation '{text}' has more than two operands and a constant")
    product = einsum_product(text, operands, name)
    if product is None:
        raise CannotCountError(f"the equation '{text}' has other than two operands")
    return [product]


def _attend(read: Callable[[NodeProto, Inputs, str], Attention]) -> Reader:
    """A reader of an attention without weights."""
    return lambda node, inputs, name: [read(node, inputs, name).product]


def _self_attention(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    return projected(node, inputs, need(inputs, 1), name)


def _quantized_attention(node: NodeProto, inputs: Inputs, name: str) -> list[Finding]:
    coded = _coded(need(inputs, 1), at(inputs, 4), at(inputs, 7), -1, name)
    return projected(node, inputs, coded, name)


def _coded(w: Value, scale: Value | None, zero: Value | None, axis: int, name: str) -> Value:
    """A constant integer operand with its scale and zero point; activations as they are."""
    if w.constant is None:
        return w
    if any(v is not None and v.constant is None for v in (scale, zero)):
        raise CannotCountError("the scale or zero point of its weights is not constant")
    scales, zeros = (v.constant if v is not None else None for v in (scale, zero))
    return replace(w, constant=dequantize(w.constant, scales, zeros, axis, 0, name))


READERS: dict[str, Reader] = {
    "Conv": _conv,
    "ConvTranspose": _conv,
    "DeformConv": _deformable_conv,
    "ConvInteger": _conv_integer,
    "QLinearConv": _qlinear_conv,
    "MatMul": _matmul,
    "Gemm": _gemm,
    "MatMulInteger": _matmul_integer,
    "QLinearMatMul": _qlinear_matmul,
    "Einsum": _einsum,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Attention": attention,
}
CONTRIB: dict[str, Reader] = {
    "QLinearConv": _qlinear_conv,
    "FusedConv": _conv,
    "FusedMatMul": _fused_matmul,
    "TransposeMatMul": _fused_matmul,
    "FusedGemm": _gemm,
    "QGemm": _qgemm,
    "MatMulIntegerToFloat": _integer_to_float,
    "DynamicQuantizeLSTM": _dynamic_quantize_lstm,
    "DynamicQuantizeMatMul": _dynamic_quantize_matmul,
    "MatMulBnb4": _matmul_packed,
    "MatMulNBits": _matmul_packed,
    "Attention": _self_attention,
    "QAttention": _quantized_attention,
    "GroupQueryAttention": _attend(group_query),
    "MultiHeadAttention": _attend(multi_head),
}
#: What com.microsoft's operators attend to, for the shapes that no standard operator gives.
ATTENTION: dict[str, Callable[[NodeProto, Inputs, str], Attention]] = {
    "Attention": self_attention,
    "QAttention": self_attention,
    "GroupQueryAttention": group_query,
    "MultiHeadAttention": multi_head,
}


def reader_of(node: NodeProto) -> Reader | None:
    """The reader of a node's operator, None where esnsim has none."""
    if node.domain in STANDARD:
        return READERS.get(node.op_type)
    return CONTRIB.get(node.op_type) if node.domain == "com.microsoft" else None


def contributed(node: NodeProto, inputs: Inputs) -> dict[str, TypeProto]:
    """Types of the outputs of com.microsoft's operators that no standard one stands in for."""
    of, read = 0, ATTENTION.get(node.op_type)
    if node.domain != "com.microsoft":
        return {}
    try:
        if node.op_type == "GatherBlockQuantized":
            of, shapes = 2, [gathered(node, [need(inputs, i) for i in range(2)])]
        else:
            shapes = read(node, inputs, "").shapes if read is not None else []
        kind = need(inputs, of).elem_type
    except (ShapeUnknownError, CannotCountError):
        return {}
    pairs = zip(node.output, shapes, strict=False)
    return {name: helper.make_tensor_type_proto(kind, shape) for name, shape in pairs}


def why_uncounted(node: NodeProto) -> str | None:
    """Why an operator may hide multiply-accumulates; None where it is read or has none."""
    if reader_of(node) is not None or (node.domain == ML and node.op_type in FREE_ML):
        return None
    if node.domain in STAND_IN_DOMAINS and node.op_type in STAND_INS:
        return None
    if node.domain == LAID_OUT:
        return "ONNX Runtime laid the model out for one machine: give it as it was before"
    if node.domain not in STANDARD:
        return f"esnsim does not know this operator of domain '{node.domain}'"
    if node.op_type in MULTIPLYING:
        return "esnsim has no reader for this operator"
    known = onnx.defs.has(node.op_type)
    return None if known else f"onnx {onnx.__version__} does not know this operator"
