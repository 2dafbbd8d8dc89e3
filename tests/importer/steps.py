"""Steps of random graphs: each appends an operator or a few, and gives the value that goes on."""

import numpy as np

from tests.importer.graphs import Graph, Step


def conv(g: Graph, x: str) -> str:
    return g.conv(x, int(g.rng.integers(1, 7)), int(g.rng.choice([1, 3])))


def grouped(g: Graph, x: str) -> str:
    c = g.shapes[x][1]
    groups = int(g.rng.choice([d for d in range(1, c + 1) if c % d == 0]))
    return g.conv(x, groups * int(g.rng.integers(1, 3)), 3, groups)


def depthwise(g: Graph, x: str) -> str:
    c = g.shapes[x][1]
    return g.conv(x, c, 3, c)


def transposed_conv(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    weights = g.floats(c, 3, 2, 2)
    weights[:, g.rng.random(3) < 0.35] = 0
    kernels, bias = g.constant(weights), g.constant(g.floats(3))
    return g.add("ConvTranspose", x, kernels, bias, shape=(n, 3, h + 1, w + 1))


def batchnorm(g: Graph, x: str) -> str:
    c = g.shapes[x][1]
    parameters = [g.floats(c), g.floats(c), g.floats(c), abs(g.floats(c))]
    return g.add("BatchNormalization", x, *map(g.constant, parameters), shape=g.shapes[x])


def shifted(op: str, *limits: float) -> Step:
    """An operator that saturates, far from where it does."""

    def step(g: Graph, x: str) -> str:
        up = g.add("Add", x, g.constant(np.float32(1e3)), shape=())
        inputs = [g.constant(np.float32(limit)) for limit in limits]
        y = g.add(op, up, *inputs, shape=())
        return g.add("Sub", y, g.constant(np.float32(1e3)), shape=g.shapes[x])

    return step


def leaky(g: Graph, x: str) -> str:
    return g.add("LeakyRelu", x, shape=g.shapes[x], alpha=0.5)


def prelu(g: Graph, x: str) -> str:
    return g.add("PRelu", x, g.constant(g.floats(g.shapes[x][1], 1, 1)), shape=g.shapes[x])


def pool(op: str) -> Step:
    def step(g: Graph, x: str) -> str:
        n, c, h, w = g.shapes[x]
        return g.add(op, x, shape=(n, c, h + 1, w + 1), kernel_shape=[2, 2], pads=[1] * 4)

    return step


def global_pool(op: str) -> Step:
    """Pooled to one place, and spread out again by an addition to a constant."""

    def step(g: Graph, x: str) -> str:
        n, c, h, w = g.shapes[x]
        mean = g.add(op, x, shape=(n, c, 1, 1))
        return g.add("Add", mean, g.constant(g.floats(1, 1, h, w)), shape=g.shapes[x])

    return step


def reduce_mean(g: Graph, x: str) -> str:
    n, c, _, _ = g.shapes[x]
    flat = g.add("ReduceMean", x, g.ints(2, 3), shape=(n, c), keepdims=0)
    return g.add("Unsqueeze", flat, g.ints(2, 3), shape=(n, c, 1, 1))


def other(g: Graph, x: str) -> str:
    """Another value of the same shape, or a convolution that has it."""
    same = [n for n, s in g.shapes.items() if s == g.shapes[x] and n != x]
    return str(g.rng.choice(same)) if same else g.conv(x, g.shapes[x][1])


def add(g: Graph, x: str) -> str:
    return g.add("Add", x, other(g, x), shape=g.shapes[x])


def gate(g: Graph, x: str) -> str:
    """Squeeze and excitation."""
    n, c, _, _ = g.shapes[x]
    inner = g.conv(g.add("GlobalAveragePool", x, shape=(n, c, 1, 1)), 2)
    return g.add("Mul", x, g.conv(inner, c), shape=g.shapes[x])


def where(g: Graph, x: str) -> str:
    """A choice between two channels, of which the importer takes either to be possible."""
    condition = g.constant(g.rng.random((1, g.shapes[x][1], 1, 1)) < 0.5)
    return g.add("Where", condition, x, other(g, x), shape=g.shapes[x])


def concat(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    constant = g.constant(np.ones((n, 1, h, w), "f"))
    return g.add("Concat", x, other(g, x), constant, shape=(n, 2 * c + 1, h, w), axis=1)


def concat_below(g: Graph, x: str) -> str:
    """A constant row in each channel: a later layer's output is then constant in places."""
    n, c, h, w = g.shapes[x]
    return g.add(
        "Concat", x, g.constant(np.ones((n, c, 1, w), "f")), shape=(n, c, h + 1, w), axis=2
    )


def split(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    if c == 1:
        return x
    first = int(g.rng.integers(1, c))
    y = g.add("Split", x, g.ints(first, c - first), outputs=2, shape=(n, first, h, w), axis=1)
    g.shapes[f"{y}_1"] = (n, c - first, h, w)
    return y if g.rng.random() < 0.5 else f"{y}_1"


def slice_(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    start, step = int(g.rng.integers(0, c)), int(g.rng.choice([1, 2]))
    bounds = [g.ints(start, 0), g.ints(c, h), g.ints(1, 2), g.ints(step, 1)]
    return g.add("Slice", x, *bounds, shape=(n, -(-(c - start) // step), h, w))


def gather(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    order = g.rng.integers(0, c, c + 1)
    return g.add("Gather", x, g.constant(order), shape=(n, c + 1, h, w), axis=1)


def pad_channels(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    value = g.constant(np.float32(3))  # not 0, which would stay 0 if an activation scaled it
    return g.add("Pad", x, g.ints(0, 1, 0, 0, 0, 2, 0, 0), value, shape=(n, c + 3, h, w))


def pad_space(g: Graph, x: str) -> str:
    """Edges that are constant in a live channel: for the importer they are part of it."""
    n, c, h, w = g.shapes[x]
    value, axes = g.constant(np.float32(3)), g.ints(2, 3)
    return g.add("Pad", x, g.ints(1, 0, 0, 1), value, axes, shape=(n, c, h + 1, w + 1))


def resize(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    scales = g.constant(np.array([1, 1, 2, 1], np.float32))
    return g.add("Resize", x, "", scales, shape=(n, c, 2 * h, w), mode="linear")


def fake_quantize(g: Graph, x: str) -> str:
    c = g.shapes[x][1]
    scale, zero = g.constant(np.full(c, 1 / 16, "f")), g.constant(np.zeros(c, np.int16))
    q = g.add("QuantizeLinear", x, scale, zero, shape=(), axis=1)
    return g.add("DequantizeLinear", q, scale, zero, shape=g.shapes[x], axis=1)


def shuffle(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    groups = 2 if c % 2 == 0 else 1
    y = g.add("Reshape", x, g.ints(n, groups, c // groups, h, w), shape=())
    y = g.add("Transpose", y, shape=(), perm=[0, 2, 1, 3, 4])
    return g.add("Reshape", y, g.ints(n, c, h, w), shape=g.shapes[x])


def channels_last(g: Graph, x: str) -> str:
    """There and back, with an operator in between."""
    y = g.add("Transpose", x, shape=(), perm=[0, 2, 3, 1])
    y = g.add("Mul", y, g.constant(g.floats(g.shapes[x][1])), shape=())
    return g.add("Transpose", y, shape=g.shapes[x], perm=[0, 3, 1, 2])


def flat(g: Graph, x: str) -> str:
    y = g.add("Flatten", x, shape=())
    return g.add("Reshape", y, g.ints(*g.shapes[x]), shape=g.shapes[x])


def tile(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    return g.add("Tile", x, g.ints(1, 2, 1, 1), shape=(n, 2 * c, h, w))


def expand(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    mean = g.add("GlobalMaxPool", x, shape=(n, c, 1, 1))
    return g.add("Expand", mean, g.ints(1, 1, h, w), shape=g.shapes[x])


def instance_norm(g: Graph, x: str) -> str:
    c = g.shapes[x][1]
    parameters = [g.constant(g.floats(c)) for _ in range(2)]
    return g.add("InstanceNormalization", x, *parameters, shape=g.shapes[x])


#: Operators that keep channels apart: a channel is live exactly where it can change.
EXACT: list[Step] = [
    conv, conv, grouped, depthwise, transposed_conv, batchnorm, shifted("Relu"),
    shifted("Clip", 0, 2e3), leaky, prelu, pool("MaxPool"), pool("AveragePool"),
    global_pool("GlobalAveragePool"), global_pool("GlobalMaxPool"), reduce_mean, add, gate,
    concat, split, slice_, gather, pad_channels, resize, fake_quantize,
    shuffle, channels_last, flat, tile, expand,
]  # fmt: skip


def softmax(g: Graph, x: str) -> str:
    return g.add("Softmax", x, shape=g.shapes[x], axis=1)


def lrn(g: Graph, x: str) -> str:
    return g.add("LRN", x, shape=g.shapes[x], size=3)


def layer_norm(g: Graph, x: str) -> str:
    scale = g.constant(g.floats(g.shapes[x][3]))
    return g.add("LayerNormalization", x, scale, shape=g.shapes[x])


def attention(g: Graph, x: str) -> str:
    n, c, h, _ = g.shapes[x]
    turned = g.add("Transpose", x, shape=(), perm=[0, 1, 3, 2])
    return g.add("MatMul", x, turned, shape=(n, c, h, h))


def channel_mean(g: Graph, x: str) -> str:
    n, _, h, w = g.shapes[x]
    mean = g.add("ReduceMean", x, g.ints(1), shape=(n, 1, h, w))
    return g.add("Sub", x, mean, shape=g.shapes[x])


def running_sum(g: Graph, x: str) -> str:
    return g.add("CumSum", x, g.constant(np.int64(1)), shape=g.shapes[x])


def depth_to_space(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    if c % 4:
        return x
    return g.add("DepthToSpace", x, shape=(n, c // 4, 2 * h, 2 * w), blocksize=2)


def dead_relu(g: Graph, x: str) -> str:
    down = g.add("Sub", x, g.constant(np.float32(1e4)), shape=())
    return g.add("Relu", down, shape=g.shapes[x])


def turned_pad(g: Graph, x: str) -> str:
    n, c, h, w = g.shapes[x]
    if c == 1:
        return x
    shape = (n, c + 1, h, w)
    return g.add("Pad", x, g.ints(0, 1, 0, 0, 0, 0, 0, 0), shape=shape, mode="reflect")


def moved_pad(g: Graph, x: str) -> str:
    """As many channels as before, each in another place."""
    return g.add("Pad", x, g.ints(0, 1, 0, 0, 0, -1, 0, 0), shape=g.shapes[x])


def difference(g: Graph, x: str) -> str:
    return g.add("Sub", x, x, shape=g.shapes[x])


#: Operators that mix channels, that stop what reaches them, or that the importer follows only
#: roughly: a channel that it calls live may be constant.
MIXING: list[Step] = [
    softmax, lrn, layer_norm, attention, channel_mean, running_sum, depth_to_space, dead_relu,
    instance_norm, concat_below, pad_space, turned_pad, moved_pad, difference, where,
]  # fmt: skip
