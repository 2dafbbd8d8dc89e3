"""Networks of which pruning has to leave a part whole."""

from collections.abc import Callable

from onnx import ModelProto

from tests.compress.prune_cases import F, ints, net
from tests.execute.models import integers, normal


def attention() -> ModelProto:
    """Channels that meet in a Softmax, in a LayerNormalization, in a product of activations."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) s = Softmax<axis=1>(a) b = Conv(s, v) "
        "r = Reshape(b, to) t = Transpose<perm=[0,2,1]>(r) n = LayerNormalization(t, g) "
        "q = MatMul(n, wq) k = MatMul(n, wk) kt = Transpose<perm=[0,2,1]>(k) "
        "l = MatMul(q, kt) m = Softmax<axis=-1>(l) o = MatMul(m, n) h = MatMul(o, wh) "
        "e = Gelu(h) u = MatMul(e, wu) ut = Transpose<perm=[0,2,1]>(u) z = Unsqueeze(ut, i3)",
        4, opset=20, w=normal(4, 3, 3, 2), v=normal(4, 4, 1, 1), to=ints(0, 4, -1), g=normal(4),
        wq=normal(4, 4), wk=normal(4, 4, seed=1), wh=normal(4, 8), wu=normal(8, 4), i3=ints(3),
    )  # fmt: skip


def positive() -> ModelProto:
    """Queries and keys that are not 0 where their filters are masked."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) r = Reshape(a, to) t = Transpose<perm=[0,2,1]>(r) "
        "q = MatMul(t, wq) qp = Exp(q) k = MatMul(t, wk) ks = Sigmoid(k) "
        "kt = Transpose<perm=[0,2,1]>(ks) l = MatMul(qp, kt) m = ReduceMean(l, i1) z = Mul(a, one)",
        4, w=normal(4, 3, 3, 2), to=ints(0, 4, -1), wq=normal(4, 4), wk=normal(4, 4, seed=1),
        i1=ints(1), one=F(1),
    )  # fmt: skip


def arithmetic() -> ModelProto:
    """A number of channels that goes into the values, not only into shapes."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) sh = Shape(a) c = Gather<axis=0>(sh, i1) "
        "cf = Cast<to=1>(c) rt = Sqrt(cf) z = Div(a, rt)",
        4, w=normal(4, 3, 3, 2), i1=ints(1),
    )  # fmt: skip


def captured() -> ModelProto:
    """A value that a branch reads."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) m = ReduceMax<keepdims=0>(x) k = Greater(m, zero) "
        "z = If (k) <then_branch = yes () => (float[N,4,6,5] u) { u = Relu(a) }, "
        "else_branch = no () => (float[N,4,6,5] v) { v = Identity(a) }>",
        4, w=normal(4, 3, 3, 2), zero=F(0),
    )  # fmt: skip


def spread() -> ModelProto:
    """Filters that become pixels, and pixels that become channels."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) d = DepthToSpace<blocksize=2>(a) c = Conv(d, v) "
        "e = SpaceToDepth<blocksize=2>(c) k = Conv(e, u) z = Relu(k)",
        4, w=normal(8, 3, 3, 2), v=normal(4, 2, 1, 1), u=normal(4, 16, 1, 1),
    )  # fmt: skip


def divided() -> ModelProto:
    """Divided by what would be 0 in a masked model."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) b = Conv<pads=[1,0,1,1]>(x, v) e = Exp(b) z = Div(a, e)",
        4, w=normal(4, 3, 3, 2), v=normal(4, 3, 3, 2, seed=1),
    )  # fmt: skip


def unpooled() -> ModelProto:
    """Places of the largest elements, counted through all channels."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) m, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(a) "
        "b = Conv(m, v) z = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(b, i)",
        4, "float[1,3,6,4] x", w=normal(4, 3, 3, 2), v=normal(4, 4, 1, 1),
    )  # fmt: skip


def turned() -> ModelProto:
    """A shuffle that turns the image too."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) r = Reshape(a, grid) t = Transpose<perm=[0,2,1,4,3]>(r) "
        "z = Reshape(t, back)",
        6, w=normal(6, 3, 3, 2), grid=ints(0, 2, 3, 6, 5), back=ints(0, 6, 5, 6),
    )  # fmt: skip


def quantised() -> ModelProto:
    return net(
        "wd = DequantizeLinear(w, sw) a = Conv<pads=[1,0,1,1]>(x, wd) r = Relu(a) z = Conv(r, v)",
        4, w=integers(4, 3, 3, 2), sw=F(0.1), v=normal(4, 4, 1, 1),
    )  # fmt: skip


def gated() -> ModelProto:
    """A gate of one channel, as spatial attention has it: what it multiplies can go by itself."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) g = Conv<pads=[1,1,1,1]>(a, v) s = Sigmoid(g) "
        "z = Mul(a, s)",
        6, w=normal(6, 3, 3, 2), v=normal(1, 6, 3, 3),
    )  # fmt: skip


#: Model, the filters that stay as before, and a part of a reason that is given.
WHOLE: dict[str, tuple[Callable[[], ModelProto], list[int], str]] = {
    "attention": (attention, [4, 4, 2, 2, 4, 2, 4], "Softmax 's' reads what they make"),
    "queries and keys of positive features": (positive, [2, 4, 4, 4], "reads what is not 0"),
    "a number of channels in arithmetic": (arithmetic, [4, 4], "computes with their number"),
    "a value that a branch reads": (captured, [4, 4], "If 'z' reads what they make"),
    "filters that become pixels": (spread, [8, 2, 2, 4], "'c' does not read channel by channel"),
    "a division by an activation": (divided, [4, 4, 4], "Div 'z' reads what they make"),
    "places of a pooling": (unpooled, [4, 4, 4], "MaxPool 'm' reads what they make"),
    "a shuffle that turns the image": (turned, [6, 4], "'r' lie along several axes"),
    "a gate of one channel": (gated, [3, 1, 4], "Mul 'z' meets several channels with this one"),
    "quantised already": (quantised, [4, 2, 4], "it is quantised already"),
}
