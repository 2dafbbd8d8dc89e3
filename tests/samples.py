"""Small valid models, together most of what esnsim reads: raw material for damage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, SparseTensorProto, TensorProto, helper, numpy_helper

from tests.importer.models import model, ramp

OPSETS = '<domain: "local", opset_import: ["": 21, "local": 1]>'
EMBEDDED = Path(__file__).parents[1] / "esnsim" / "embedded"


def saved(proto: ModelProto, folder: Path) -> Path:
    """The model as a file, whatever is wrong with it."""
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def one_layer(folder: Path) -> Path:
    """The file of a model with a layer `conv` of four filters."""
    return saved(model("[conv] y = Conv(x, w)", w=weights(4, 3, 3, 3)), folder)


def two_layers() -> ModelProto:
    """Two 1×1 convolutions over 2×3 pixels: 6 MACs a weight.

    With 2 bits a layer the step is ½ in both: `first` has |q| = 3, 3, 1 and a pruned filter, whose
    channel `y` reads; what is left of `y` has |q| = 3, 3, 1.
    """
    first = np.array([1.0, 0.5, 0.3, 0.1], np.float32).reshape(4, 1, 1, 1)
    second = np.array([1.0, -1.0, 0.25, 0.75], np.float32).reshape(1, 4, 1, 1)
    nodes = "[first] h = Conv(x, w) y = Conv(h, v)"
    return model(nodes, "float[1,1,2,3] x", w=first, v=second)


def weights(*shape: int) -> Any:
    """Distinct weights, some of them negative, none of them zero."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 37 % 101 - 50.5) / 64).reshape(shape).astype(np.float32)


def convolutions() -> ModelProto:
    return model(
        """h = Conv<pads=[1,0,1,2], strides=[2,1], dilations=[1,2]>(x, w, b)
           n = BatchNormalization(h, g, b, b, g)
           d = Conv<group=4, auto_pad="SAME_UPPER">(n, depth)
           r = Relu(d) s = Add(n, r) p = GlobalAveragePool(s)
           t = ConvTranspose<strides=[2,3], output_padding=[1,1]>(p, up)
           f = Flatten(t) y = Gemm<transB=1, alpha=2.0>(f, fc, b)""",
        "float[N,3,8,9] x",
        w=weights(4, 3, 3, 2), b=weights(4), g=np.abs(weights(4)), depth=weights(4, 1, 3, 3),
        up=weights(4, 2, 2, 2), fc=weights(4, 18),
    )  # fmt: skip


def functions() -> ModelProto:
    body = f"""
      {OPSETS} block <strides> (a, w) => (b)
        {{ c = local.step<s: ints = @strides>(a, w) b = Relu(c) }}
      {OPSETS} step <s, group: int = 1> (a, w) => (b)
        {{ v = Constant<value = float[1] {{2.0}}>() m = Mul(w, v)
           b = Conv<strides: ints = @s, group: int = @group>(a, m) }}"""
    return model(
        "h = local.block<strides=[2,1]>(x, w) y = local.block<strides=[1,1]>(h, v)",
        "float[1,3,6,5] x", body, w=weights(4, 3, 2, 2), v=weights(2, 4, 1, 1),
    )  # fmt: skip


def control() -> ModelProto:
    return model(
        """h = If(c) <
             then_branch = a () => (float[1,4,6,5] p) { p = Conv(x, w) },
             else_branch = b () => (float[1,4,6,5] q) { q = Conv<pads=[1,1,1,1]>(x, v) }
           >
           y = Loop(trips, go, h) <body = s (int64 i, bool k, float[1,4,6,5] z)
             => (bool k, float[1,4,6,5] o) { o = Conv(z, u) }>
           last = Scan<num_scan_inputs=1, body = t (float[4,6,5] e) => (float[4,6,5] m)
             { m = MatMul(e, j) }>(y)""",
        "float[1,3,6,5] x, bool c",
        w=weights(4, 3, 1, 1), v=weights(4, 3, 3, 3), u=weights(4, 4, 1, 1), j=weights(5, 5),
        trips=np.int64(3), go=np.array(True),
    )  # fmt: skip


def dequantised() -> ModelProto:
    nibbles = helper.make_tensor("n", TensorProto.INT4, (6, 4), [*range(-8, 8), *range(-4, 4)])
    return model(
        """w = DequantizeLinear<axis=0>(q, s, z) h = Conv(x, w)
           f = Flatten(h) u = DequantizeLinear<axis=0, block_size=2>(n, t) g = MatMul(f, u)
           c = QuantizeLinear(r, one, zero) k = Clip(c, low, high)
           e = DequantizeLinear(k, one, zero) y = Gemm(g, e)""",
        "float[1,2,3,4] x",
        q=ramp(3, 2, 3, 3, dtype=np.int8), s=np.abs(weights(3)), z=np.array([1, 0, -3], np.int8),
        n=nibbles, t=np.abs(weights(3, 4)), r=weights(4, 2) * 30, one=np.float32(1),
        zero=np.int8(0), low=np.int8(-7), high=np.int8(7),
    )  # fmt: skip


def integer() -> ModelProto:
    return model(
        """h = QLinearConv<pads=[1,1,1,1]>(x, s, zu, q, s, zi, s, zu)
           i = ConvInteger(h, q2, zu, zi) f = Flatten(i) g = Cast<to=2>(f)
           m = MatMulInteger(g, b, zu, zi) c = Cast<to=1>(m)
           y = com.microsoft.MatMulNBits<N=3, K=16, bits=4, block_size=16>(c, packed, steps)""",
        "uint8[1,2,4,3] x",
        s=np.float32(0.5), zu=np.uint8(7), zi=np.int8(0), q=ramp(4, 2, 3, 3, dtype=np.int8),
        q2=ramp(2, 4, 2, 1, dtype=np.int8), b=ramp(18, 16, dtype=np.int8),
        packed=ramp(3, 1, 8, dtype=np.uint8), steps=np.abs(weights(3)),
    )  # fmt: skip


def constants() -> ModelProto:
    return model(
        """a = Constant<value = float[2,3] {1.0, -2.0, 3.0, 4.0, 5.0, 6.0}>()
           t = Transpose<perm=[1,0]>(a) p = Concat<axis=1>(t, t) h = MatMul(x, p)
           shape = Constant<value_ints=[4,2,1]>() r = Reshape(c, shape)
           s = Squeeze(r, last) e = Identity(s) k = Cast<to=10>(e) l = Cast<to=1>(k)
           g = MatMul(h, l) o = ConstantOfShape<value = float[1] {0.5}>(dims)
           v = Slice(o, zero, two, one) i = Expand(v, dims2) y = MatMul(g, i)""",
        "float[1,5,3] x",
        c=weights(8), last=np.array([2]), dims=np.array([4, 3]), zero=np.array([0]),
        two=np.array([2]), one=np.array([0]), dims2=np.array([1, 2, 3]),
    )  # fmt: skip


def products() -> ModelProto:
    return model(
        """h, last = LSTM<hidden_size=3>(x, w, r) s = Squeeze(h, axis)
           t = Transpose<perm=[0,2,1]>(s) m = MatMul(s, t)
           e = Einsum<equation="bij,jk->bik">(m, k) y = MatMul(v, e)""",
        "float[5,2,4] x",
        w=weights(1, 12, 4), r=weights(1, 12, 3), axis=np.array([1]), k=weights(2, 3),
        v=weights(4, 2),
    )  # fmt: skip


def qonnx() -> ModelProto:
    return model(
        """q = qonnx.custom_op.general.Quant<signed=1, narrow=1, rounding_mode="ROUND">
             (w, s, z, four) h = Conv(x, q)
           b = qonnx.custom_op.general.BipolarQuant(v, s) y = Conv(h, b)""",
        w=weights(4, 3, 3, 3), v=weights(2, 4, 1, 1), s=np.float32(0.125), z=np.float32(0),
        four=np.float32(4),
    )  # fmt: skip


def midrise() -> ModelProto:
    """As `esnsim compress` writes codes, in both forms; the second filter of each has a zero."""
    steps = np.array([0.25, 0.5, 1], np.float32)
    proto = model(
        """d = DequantizeLinear<axis=0>(k, s) w = Add(d, o) h = Conv(x, w)
           a = qonnx.custom_op.general.Quant<signed=1, rounding_mode="ROUND">(v, s1, half, three)
           b = qonnx.custom_op.general.Quant<signed=1, narrow=1>(u, s2, zero, four)
           c = Concat<axis=0>(a, b, n) t = Gather<axis=0>(c, order) y = Conv(h, t)""",
        "float[1,2,3,4] x",
        k=np.array([[-4, 3], [5, 0], [0, 0]], np.int8).reshape(3, 2, 1, 1), s=steps,
        o=np.array([0.125, 0, 0], np.float32).reshape(3, 1, 1, 1),
        v=np.array([[1.75, -0.25, 0.75]], np.float32).reshape(1, 3, 1, 1),
        u=np.array([[0.75, 0, -0.25]], np.float32).reshape(1, 3, 1, 1),
        n=np.zeros((1, 3, 1, 1), np.float32), order=np.array([2, 0, 1]), s1=np.float32(0.5),
        s2=np.float32(0.25), half=np.float32(-0.5), zero=np.float32(0),
        three=np.float32(3), four=np.float32(4),
    )  # fmt: skip
    proto.metadata_props.add(key="esnsim.half_steps", value='{"b": [1]}')
    return proto


def sparse() -> ModelProto:
    proto = model(
        "h = Conv(x, w) p = GlobalMaxPool(h) f = Flatten(p) y = MatMul(f, s)", w=weights(4, 3, 2, 2)
    )
    values = numpy_helper.from_array(weights(3), "s")
    indices = numpy_helper.from_array(np.array([[0, 1], [2, 0], [3, 1]]), "")
    proto.graph.sparse_initializer.append(
        SparseTensorProto(values=values, indices=indices, dims=[4, 2])
    )
    return proto


def large() -> ModelProto:
    """Weights that the scan of the file leaves out."""
    return model("h = Conv(x, w) y = Conv(h, v)", w=weights(40, 3, 3, 3), v=weights(30, 40, 1, 1))


def embedded() -> ModelProto:
    return onnx.load(EMBEDDED / "resnet8.onnx")


SAMPLES: dict[str, Callable[[], ModelProto]] = {
    make.__name__: make
    for make in (
        convolutions, functions, control, dequantised, integer, constants, products, qonnx, midrise,
        sparse, large, embedded,
    )
}  # fmt: skip
