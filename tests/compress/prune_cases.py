"""Networks that pruning has to understand."""

from collections.abc import Callable

import numpy as np
from onnx import ModelProto

from tests.execute.models import model, normal

F = np.float32
X = "float[N,3,6,5] x"


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def head(channels: int) -> dict[str, np.ndarray]:
    """The classifier's weight."""
    return {"wz": normal(channels, 4, seed=9)}


HEAD = "p = GlobalAveragePool(z) f = Flatten(p) y = MatMul(f, wz)"


def net(
    nodes: str, channels: int, inputs: str = X, opset: int = 18, **arrays: object
) -> ModelProto:
    """A model that ends in a classifier of `z`, its outputs' shape declared."""
    return ended(model(f"{nodes} {HEAD}", inputs, opset=opset, **arrays, **head(channels)))


def ended(proto: ModelProto) -> ModelProto:
    """The model, its output declared as 4 classes."""
    proto.graph.output[0].type.tensor_type.elem_type = 1
    proto.graph.output[0].type.tensor_type.shape.dim.add()
    proto.graph.output[0].type.tensor_type.shape.dim.add(dim_value=4)
    return proto


def folded() -> ModelProto:
    """BatchNormalization folded to Mul and Add, a layer scale, and a division."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) b = Mul(a, s) c = Add(t, b) d = Relu(c) "
        "e = Conv<pads=[0,0,0,0]>(d, v) g = Mul(u, e) h = Div(g, q) z = Sub(h, r)",
        6, w=normal(4, 3, 3, 2), s=normal(4, 1, 1), t=normal(1, 4, 1, 1), v=normal(6, 4, 1, 1),
        u=normal(6, 1, 1), q=np.abs(normal(6, 1, 1)) + F(1), r=normal(6, 1, 1, seed=3),
    )  # fmt: skip


def not_zero_at_zero() -> ModelProto:
    """Activations that make something of a masked channel, read near zero padding."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w, b) c = Sigmoid(a) d = Conv<pads=[1,1,1,0]>(c, v) "
        "e = BatchNormalization(d, s, t, m, q) z = Exp(e)",
        4, w=normal(6, 3, 3, 2), b=normal(6), v=normal(4, 6, 3, 2), s=normal(4),
        t=normal(4, seed=1), m=normal(4, seed=2), q=np.abs(normal(4, seed=3)),
    )  # fmt: skip


def unet() -> ModelProto:
    """Down, up by ConvTranspose and by Resize, a skip concatenated."""
    return net(
        "a = Conv<pads=[1,1,1,1]>(x, w0, b0) r = Relu(a) "
        "p0 = MaxPool<kernel_shape=[2,1], strides=[2,1]>(r) "
        "c = Conv<pads=[1,1,1,1]>(p0, w1) q = Relu(c) "
        "u = ConvTranspose<strides=[2,1]>(q, w2, b2) "
        "up = Resize<mode=\"nearest\">(q, none, scales) "
        "cat = Concat<axis=1>(r, u, up) z = Conv<pads=[1,1,1,1]>(cat, w3)",
        6, none=np.zeros(0, F), scales=np.array([1, 1, 2, 1], F), w0=normal(4, 3, 3, 3),
        b0=normal(4), w1=normal(6, 4, 3, 3), w2=normal(6, 4, 2, 1), b2=normal(4, seed=1),
        w3=normal(6, 14, 3, 3),
    )  # fmt: skip


def squeezed() -> ModelProto:
    """Squeeze and excitation as torch exports `view`, its sizes computed from Shape."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) m = GlobalAveragePool(a) sh = Shape(a) "
        "n = Gather<axis=0>(sh, i0) c = Gather<axis=0>(sh, i1) "
        "nu = Unsqueeze(n, i00) cu = Unsqueeze(c, i00) t2 = Concat<axis=0>(nu, cu) "
        "f2 = Reshape(m, t2) h = Gemm<transB=1>(f2, w1, b1) r = Relu(h) "
        "g = Gemm<transB=1>(r, w2, b2) o = Sigmoid(g) ones = Concat<axis=0>(nu, cu, i11, i11) "
        "v = Reshape(o, ones) e = Expand(v, sh) z = Mul(a, e)",
        6, w=normal(6, 3, 3, 2), i0=np.int64(0).reshape(()), i1=np.int64(1).reshape(()),
        i00=ints(0), i11=ints(1), w1=normal(4, 6), b1=normal(4), w2=normal(6, 4), b2=normal(6),
    )  # fmt: skip


def chunked() -> ModelProto:
    """`chunk` of an old export: halves sliced at a size computed from Shape."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) sh = Shape(a) c = Gather<axis=0>(sh, i1) "
        "h = Div(c, two) lo = Slice(a, i0, h, ax) c2 = Mul(h, two) hi = Slice(a, h, c2, ax) "
        "s = Conv(lo, v) z = Add(s, hi)",
        4, w=normal(8, 3, 3, 2), i0=ints(0), i1=ints(1), two=ints(2), ax=ints(1),
        v=normal(4, 4, 1, 1),
    )  # fmt: skip


def batch_folded() -> ModelProto:
    """The shuffle of the authors of ShuffleNetV2, that folds channels into the batch."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) r1 = Reshape(a, s1) t = Transpose<perm=[1,0,2]>(r1) "
        "r2 = Reshape(t, s2) l = Gather<axis=0>(r2, i0) r = Gather<axis=0>(r2, i1) "
        "b = Conv(r, v) z = Concat<axis=1>(l, b)",
        7, "float[1,3,6,5] x", w=normal(8, 3, 3, 2), s1=ints(4, 2, 30), s2=ints(2, -1, 4, 6, 5),
        i0=np.int64(0).reshape(()), i1=np.int64(1).reshape(()), v=normal(3, 4, 1, 1),
    )  # fmt: skip


def old_opset() -> ModelProto:
    """Split, Slice and Squeeze with attributes, as opset 9 has them."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) l, r = Split<axis=1, split=[3,5]>(a) "
        "s = Slice<axes=[1,2], starts=[1,0], ends=[4,6]>(r) c = Conv(l, v) "
        "d = Add(c, s) k = Conv(r, u) z = Concat<axis=1>(d, k)",
        5, opset=9, w=normal(8, 3, 3, 2), v=normal(3, 3, 1, 1), u=normal(2, 5, 1, 1),
    )  # fmt: skip


def behind() -> ModelProto:
    """Weights behind Transpose, Identity, Cast and a Constant node."""
    return net(
        "wt = Transpose<perm=[3,2,0,1]>(w) bi = Identity(b) a = Conv<pads=[1,0,1,1]>(x, wt, bi) "
        "vc = Cast<to=1>(v) c = Conv(a, vc, bi) m = Constant<value=float[4] {1,2,3,4}>() "
        "d = BatchNormalization(c, m, bi, m, m) z = Relu(d)",
        4, w=normal(3, 2, 3, 4), b=normal(4), v=normal(4, 4, 1, 1, dtype=np.float64),
    )  # fmt: skip


def shared() -> ModelProto:
    """One convolution on two levels of a pyramid, one linear layer on both."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) q = MaxPool<kernel_shape=[2,2]>(a) "
        "h = Conv(a, v, b) k = Conv(q, v, b) hp = GlobalAveragePool(h) kp = GlobalAveragePool(k) "
        "z = Add(hp, kp)",
        6, w=normal(4, 3, 3, 2), v=normal(6, 4, 1, 1), b=normal(6),
    )  # fmt: skip


def flat() -> ModelProto:
    """Flattened by a Reshape to named sizes; matrix products from both sides, and Gemm."""
    return ended(model(
        "a = Conv<pads=[1,0,1,1]>(x, w) c = Reshape(a, s) d = Gemm(c, w1, b1) e = LeakyRelu(d) "
        "t = Transpose(e) g = MatMul(w2, t) k = Gemm<transA=1, alpha=0.5>(g, w3, b3) "
        "l = Tanh(k) y = MatMul(l, w4)",
        "float[2,3,6,5] x", w=normal(4, 3, 3, 2), s=ints(2, 120), w1=normal(120, 6), b1=normal(6),
        w2=normal(4, 6, seed=2), w3=normal(4, 8), b3=normal(8), w4=normal(8, 4),
    ))  # fmt: skip


def channels_last() -> ModelProto:
    """Convolutions between Transposes, a matrix product over channels, PRelu, Resize to sizes."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) t = Transpose<perm=[0,2,3,1]>(a) m = MatMul(t, w1) "
        "n = Add(m, b1) p0 = PRelu(n, sl) b = Transpose<perm=[0,3,1,2]>(p0) "
        "q = Resize<mode=\"linear\">(b, none, none, sizes) g = InstanceNormalization(q, s, h) "
        "r3 = Reshape(g, three) sq = Unsqueeze(r3, i3) z = Softplus(sq)",
        4, "float[2,3,6,5] x", w=normal(6, 3, 3, 2), w1=normal(6, 4), b1=normal(4),
        sl=normal(1, 1, 4), none=np.zeros(0, F), sizes=ints(2, 4, 3, 7), s=normal(4),
        h=normal(4, seed=1), three=ints(0, 4, 21), i3=ints(3),
    )  # fmt: skip


def padded() -> ModelProto:
    """Shortcut A of He et al. 2016: every other pixel, and channels of zeros."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) s = Slice(a, lo, hi, ax, by) sc = Pad(s, pads) "
        "c = Conv<pads=[1,1,1,1], strides=[2,2]>(a, v) z = Add(c, sc)",
        8, w=normal(4, 3, 3, 2), lo=ints(0, 0), hi=ints(6, 5), ax=ints(2, 3), by=ints(2, 2),
        pads=ints(0, 1, 0, 0, 0, 3, 0, 0), v=normal(8, 4, 3, 3),
    )  # fmt: skip


def groups() -> ModelProto:
    """Few groups, many groups, depthwise with a multiplier; the same transposed."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) b = Conv<group=2, pads=[1,1,1,1]>(a, w1) r = Relu(b) "
        "c = Conv<group=4, pads=[1,0,1,1]>(r, w2, b2) s = Relu(c) "
        "d = Conv<group=8>(s, w3) e = ConvTranspose<group=2>(d, w4, b4) k = Sigmoid(e) "
        "z = ConvTranspose<group=6>(k, w5, b5)",
        12, w=normal(8, 3, 3, 2), w1=normal(8, 4, 3, 3), w2=normal(8, 2, 3, 2), b2=normal(8),
        w3=normal(16, 1, 2, 1), w4=normal(16, 3, 2, 1), b4=normal(6), w5=normal(6, 2, 1, 2),
        b5=normal(12),
    )  # fmt: skip


def computed_sizes() -> ModelProto:
    """A Reshape to sizes that follow from Shape, and one to a size that does not."""
    return ended(model(
        "a = Conv<pads=[1,0,1,1]>(x, w) sh = Shape(a) front = Slice(sh, i0, i2, i0) "
        "h = Gather<axis=0>(sh, i2) k = Gather<axis=0>(sh, i3) hk = Mul(h, k) "
        "t1 = Concat<axis=0>(front, hk) r = Reshape(a, t1) t = Transpose<perm=[0,2,1]>(r) "
        "m = MatMul(t, v) sm = Shape<end=2>(m) t2 = Concat<axis=0>(sm, i8) f = Reshape(m, t2) "
        "g = ReduceMax<keepdims=0>(f, i1) y = MatMul(g, wz)",
        "float[N,3,H,W] x", opset=18, w=normal(6, 3, 3, 2), i0=ints(0), i1=ints(1), i2=ints(2),
        i3=ints(3), i8=ints(8), v=normal(6, 8), **head(8),
    ))  # fmt: skip


def picked() -> ModelProto:
    """Channels by index, some twice and from the end, and a run of them."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) g = Gather<axis=1>(a, i) s = Slice(a, lo, hi, ax) "
        "z = Concat<axis=1>(g, s)",
        9, w=normal(6, 3, 3, 2), i=ints(-1, 0, 3, 3, 2), lo=ints(-5), hi=ints(5), ax=ints(1),
    )  # fmt: skip


def equal_parts() -> ModelProto:
    """Split into equal parts, which are unequal after pruning: their number gives way to sizes."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) l, m, r = Split<axis=1, num_outputs=3>(a) "
        "k = Conv(m, v) u, o = Split<axis=-3, num_outputs=2>(k) t = Tanh(u) "
        "z = Concat<axis=1>(l, r, t, o)",
        8, w=normal(6, 3, 3, 2), v=normal(4, 2, 1, 1),
    )  # fmt: skip


def heads() -> ModelProto:
    """Attention of two heads of three channels, queries scaled, and what heads give joined."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) fl = Reshape(a, flat) s = Transpose<perm=[0,2,1]>(fl) "
        "q0 = MatMul(s, wq) q1 = Add(q0, bq) q2 = Mul(q1, scale) q3 = Reshape(q2, split) "
        "q = Transpose<perm=[0,2,1,3]>(q3) k0 = MatMul(s, wk) k1 = Reshape(k0, split) "
        "k = Transpose<perm=[0,2,3,1]>(k1) v0 = MatMul(s, wv) v1 = Reshape(v0, wide) "
        "v = Transpose<perm=[0,2,1,3]>(v1) l = MatMul(q, k) m = Softmax<axis=-1>(l) "
        "o = MatMul(m, v) t = Transpose<perm=[0,2,1,3]>(o) c = Reshape(t, join) "
        "h = MatMul(c, wo) u = Transpose<perm=[0,2,1]>(h) z = Unsqueeze(u, i3)",
        5, w=normal(6, 3, 3, 2), flat=ints(0, 6, -1), wq=normal(6, 6), bq=normal(6), scale=F(0.1),
        split=ints(0, 0, 2, 3), wk=normal(6, 6, seed=1), wv=normal(6, 8, seed=2),
        wide=ints(0, 0, 2, 4), join=ints(0, 0, 8), wo=normal(8, 5), i3=ints(3),
    )  # fmt: skip


def packed_heads() -> ModelProto:
    """Queries, keys and values of one product, as the recogniser of PP-OCR has them."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) fl = Reshape(a, flat) s = Transpose<perm=[0,2,1]>(fl) "
        "pk = MatMul(s, wp) b = Add(pk, bp) r = Reshape(b, split) "
        "t = Transpose<perm=[2,0,3,1,4]>(r) qs = Slice(t, i0, i1, i0) qn = Squeeze(qs, i0) "
        "q = Mul(qn, scale) kn = Gather<axis=0>(t, one) k = Transpose<perm=[0,1,3,2]>(kn) "
        "vs = Slice(t, i2, i3, i0) v = Squeeze(vs, i0) l = MatMul(q, k) m = Softmax<axis=-1>(l) "
        "o = MatMul(m, v) e = Transpose<perm=[0,2,1,3]>(o) sh = Shape<end=2>(s) "
        "jn = Concat<axis=0>(sh, i12) c = Reshape(e, jn) h = MatMul(c, wo) "
        "u = Transpose<perm=[0,2,1]>(h) z = Unsqueeze(u, i3)",
        5, w=normal(6, 3, 3, 2), flat=ints(0, 6, -1), wp=normal(6, 36), bp=normal(36),
        split=ints(0, 0, 3, 2, 6), scale=F(0.1), i0=ints(0), i1=ints(1), i2=ints(2), i3=ints(3),
        one=np.int64(1).reshape(()), i12=ints(12), wo=normal(12, 5),
    )  # fmt: skip


def values_first() -> ModelProto:
    """One head on channels that stay first: values times weights, turned."""
    return net(
        "a = Conv<pads=[1,0,1,1]>(x, w) fl = Reshape(a, flat) q0 = Conv(a, wq) "
        "q1 = Reshape(q0, fq) "
        "q = Transpose<perm=[0,2,1]>(q1) k0 = Conv(a, wk) k = Reshape(k0, fq) l = MatMul(q, k) "
        "m = Softmax<axis=1>(l) o = MatMul(fl, m) e = Add(o, fl) z = Unsqueeze(e, i3)",
        6, w=normal(6, 3, 3, 2), flat=ints(0, 6, -1), wq=normal(4, 6, 1, 1), fq=ints(0, 4, -1),
        wk=normal(4, 6, 1, 1, seed=1), i3=ints(3),
    )  # fmt: skip


def half() -> ModelProto:
    return net(
        "h = Cast<to=10>(x) a = Conv<pads=[1,0,1,1]>(h, w, b) r = Relu(a) k = Conv(r, v) "
        "z = Cast<to=1>(k)",
        6, w=normal(4, 3, 3, 2, dtype=np.float16), b=normal(4, dtype=np.float16),
        v=normal(6, 4, 1, 1, dtype=np.float16),
    )  # fmt: skip


def double() -> ModelProto:
    return net(
        "a = MatMul(x, w) r = Relu(a) k = MatMul(r, v) t = Transpose<perm=[0,3,1,2]>(k) "
        "z = Cast<to=1>(t)",
        6, "double[N,6,5,3] x", w=normal(3, 4, dtype=np.float64), v=normal(4, 6, dtype=np.float64),
    )  # fmt: skip


#: Model, and the filters that stay in each layer when half of the units that can go are gone.
CASES: dict[str, tuple[Callable[[], ModelProto], list[int]]] = {
    "folded BatchNormalization": (folded, [2, 3, 4]),
    "activations that are not zero at zero": (not_zero_at_zero, [3, 2, 4]),
    "U-Net": (unet, [2, 3, 2, 3, 4]),
    "squeeze and excitation by Shape": (squeezed, [3, 2, 3, 4]),
    "halves at a computed size": (chunked, [4, 2, 4]),
    "shuffle that folds channels into the batch": (batch_folded, [4, 2, 4]),
    "attributes of opset 9": (old_opset, [5, 2, 1, 4]),
    "constants behind other nodes": (behind, [2, 2, 4]),
    "shared weights": (shared, [2, 3, 3, 4]),
    "flattened, and products from both sides": (flat, [2, 3, 2, 4, 4]),
    "channels last": (channels_last, [3, 2, 4]),
    "padded shortcut": (padded, [2, 4, 4]),
    "groups": (groups, [4, 4, 4, 8, 4, 8, 4]),
    "picked channels": (picked, [3, 4]),
    "equal parts": (equal_parts, [3, 2, 4]),
    "attention in heads": (heads, [3, 4, 4, 4, 3, 4]),
    "attention of one product": (packed_heads, [3, 18, 3, 4]),
    "attention of one head, channels first": (values_first, [3, 2, 2, 4]),
    "half": (half, [2, 3, 4]),
    "double": (double, [2, 3, 4]),
}
