"""Random small graphs of everything that pruning goes through.

Sizes are 5×4 throughout and filters differ by layer; every graph ends in a classifier.
"""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.execute.models import normal

HEIGHT, WIDTH = 5, 4
ACTIVATIONS = ("Relu", "Sigmoid", "HardSwish", "Exp", "LeakyRelu", "Tanh", "Softplus", "Erf")


@dataclass
class Builder:
    """A graph under construction: `channels` of each activation that may be read on."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=lambda: {"x": 3})

    def node(self, op: str, *inputs: str, channels: int, **attributes: object) -> str:
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        self.channels[name] = channels
        return name

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def weight(self, *shape: int) -> str:
        seed = len(self.constants)
        return self.constant(normal(*shape, seed=seed) / np.float32(np.sqrt(np.prod(shape[1:]))))

    def conv(self, x: str, filters: int, kernel: tuple[int, int] = (1, 1), groups: int = 1) -> str:
        w = self.weight(filters, self.channels[x] // groups, *kernel)
        pads = [
            kernel[0] // 2,
            kernel[1] - 1 - kernel[1] // 2,
            (kernel[0] - 1) // 2,
            kernel[1] // 2,
        ]
        more = [self.weight(filters)] if filters % 2 else []
        return self.node("Conv", x, w, *more, channels=filters, group=groups, pads=pads)

    def model(self, outputs: list[str]) -> ModelProto:
        tensors = [numpy_helper.from_array(a, n) for n, a in self.constants.items()]
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, HEIGHT, WIDTH])
        infos = [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["N", 4]) for y in outputs]
        graph = helper.make_graph(self.nodes, "random", [x], infos, tensors)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def conv(draw: st.DrawFn, b: Builder, x: str) -> str:
    kernel = draw(st.sampled_from([(1, 1), (3, 2), (1, 3)]))
    return b.conv(x, draw(st.integers(1, 6)), kernel)


def grouped(draw: st.DrawFn, b: Builder, x: str) -> str:
    divisors = [g for g in range(2, b.channels[x] + 1) if b.channels[x] % g == 0]
    if not divisors:
        return conv(draw, b, x)
    groups = draw(st.sampled_from(divisors))
    return b.conv(x, groups * draw(st.integers(1, 2)), (3, 2), groups)


def transposed(draw: st.DrawFn, b: Builder, x: str) -> str:
    channels = b.channels[x]
    groups = draw(st.sampled_from([g for g in range(1, channels + 1) if channels % g == 0]))
    each = draw(st.integers(1, 3))
    w = b.weight(channels, each, 3, 2)
    filters = each * groups
    return b.node(
        "ConvTranspose", x, w, b.weight(filters), channels=filters, group=groups, pads=[1, 0, 1, 1]
    )


def norm(draw: st.DrawFn, b: Builder, x: str) -> str:
    c = b.channels[x]
    given = [b.weight(c), b.weight(c)]
    if draw(st.booleans()):
        return b.node("InstanceNormalization", x, *given, channels=c)
    statistics = [b.weight(c), b.constant(np.abs(normal(c)) + 1)]
    return b.node("BatchNormalization", x, *given, *statistics, channels=c)


def activation(draw: st.DrawFn, b: Builder, x: str) -> str:
    return b.node(draw(st.sampled_from(ACTIVATIONS)), x, channels=b.channels[x])


def per_channel(draw: st.DrawFn, b: Builder, x: str) -> str:
    c, op = b.channels[x], draw(st.sampled_from(["Add", "Mul", "Sub", "Div", "PRelu", "Max"]))
    array = np.abs(normal(c, 1, 1, seed=len(b.constants))) + np.float32(0.5)
    shape = draw(st.sampled_from([(c, 1, 1), (1, c, 1, 1), (1, 1, 1)]))
    operand = b.constant(np.resize(array, shape))
    if op in ("Sub", "Add") and draw(st.booleans()):
        return b.node(op, operand, x, channels=c)
    return b.node(op, x, operand, channels=c)


def met(draw: st.DrawFn, b: Builder, x: str) -> str:
    """Element by element with another activation of as many channels, or of one."""
    same = [v for v, c in b.channels.items() if c in (1, b.channels[x])]
    other, op = draw(st.sampled_from(same)), draw(st.sampled_from(["Add", "Mul", "Max", "Sub"]))
    return b.node(op, *draw(st.permutations([x, other])), channels=b.channels[x])


def residual(draw: st.DrawFn, b: Builder, x: str) -> str:
    return b.node("Add", x, b.conv(x, b.channels[x], (3, 1)), channels=b.channels[x])


def gate(draw: st.DrawFn, b: Builder, x: str) -> str:
    """Squeeze and excitation, by convolutions or by a matrix product."""
    c, before = b.channels[x], dict(b.channels)
    y = b.node("GlobalAveragePool", x, channels=c)
    if draw(st.booleans()):
        y = b.conv(b.node("Relu", b.conv(y, 2), channels=2), c)
    else:
        y = b.node("Reshape", y, b.constant(np.array([0, c])), channels=c)
        y = b.node("MatMul", y, b.weight(c, c), channels=c)
        y = b.node("Unsqueeze", y, b.constant(np.array([2, 3])), channels=c)
    y = b.node(draw(st.sampled_from(["Sigmoid", "HardSigmoid"])), y, channels=c)
    b.channels = before
    return b.node("Mul", *draw(st.permutations([x, y])), channels=c)


def joined(draw: st.DrawFn, b: Builder, x: str) -> str:
    other = draw(st.sampled_from([*b.channels]))
    total = b.channels[x] + b.channels[other]
    return b.node("Concat", x, other, channels=total, axis=1) if total < 16 else x


def part(draw: st.DrawFn, b: Builder, x: str) -> str:
    c = b.channels[x]
    if c < 3:
        return x
    at, kind = draw(st.integers(1, c - 1)), draw(st.sampled_from(["Split", "Slice", "Gather"]))
    if kind == "Split":
        names = [f"Split_{len(b.nodes)}", f"Split_{len(b.nodes)}_rest"]
        sizes = b.constant(np.array([at, c - at]))
        b.nodes.append(helper.make_node("Split", [x, sizes], names, axis=1))
        b.channels |= {names[0]: at, names[1]: c - at}
        return draw(st.sampled_from(names))
    if kind == "Slice":
        first = draw(st.integers(0, at - 1))
        bounds = [np.array([first - c * draw(st.booleans())]), np.array([at]), np.array([1])]
        return b.node("Slice", x, *map(b.constant, bounds), channels=at - first)
    picked = draw(st.lists(st.integers(-c, c - 1), min_size=2, max_size=5))
    return b.node("Gather", x, b.constant(np.array(picked)), channels=len(picked), axis=1)


def shuffled(draw: st.DrawFn, b: Builder, x: str) -> str:
    c = b.channels[x]
    divisors = [g for g in range(2, c) if c % g == 0]
    if not divisors:
        return x
    groups = draw(st.sampled_from(divisors))
    grid = np.array([-1, groups, c // groups, HEIGHT, WIDTH])
    y = b.node("Reshape", x, b.constant(grid), channels=0)
    z = b.node("Transpose", y, channels=0, perm=[0, 2, 1, 3, 4])
    del b.channels[y], b.channels[z]
    return b.node("Reshape", z, b.constant(np.array([0, c, HEIGHT, WIDTH])), channels=c)


def padded(draw: st.DrawFn, b: Builder, x: str) -> str:
    """Channels of zeros before and after (the shortcut A of He et al. 2016), and added ones."""
    before, after = draw(st.integers(0, 2)), draw(st.integers(1, 2))
    c = b.channels[x] + before + after
    pads = b.constant(np.array([0, before, 0, 0, 0, after, 0, 0]))
    y = b.node("Pad", x, pads, channels=c)
    return b.node("Add", b.conv(x, c), y, channels=c)


def pooled(draw: st.DrawFn, b: Builder, x: str) -> str:
    kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    return b.node(kind, x, channels=b.channels[x], **pads)


def resampled(draw: st.DrawFn, b: Builder, x: str) -> str:
    """To twice the size or more and back, the channels named among the sizes."""
    c = b.channels[x]
    for size in ((2 * HEIGHT, 3 * WIDTH), (HEIGHT, WIDTH)):
        sizes = b.constant(np.array([c, *size]))
        x = b.node("Resize", x, "", "", sizes, channels=c, axes=[1, 2, 3])
        del b.channels[x]
    b.channels[x] = c
    return x


def last(draw: st.DrawFn, b: Builder, x: str) -> str:
    """A linear layer on channels that were moved last, and back."""
    filters = draw(st.integers(1, 5))
    y = b.node("Transpose", x, channels=0, perm=[0, 2, 3, 1])
    z = b.node("MatMul", y, b.weight(b.channels[x], filters), channels=0)
    z = b.node("Add", z, b.weight(filters), channels=0)
    result = b.node("Transpose", z, channels=filters, perm=[0, 3, 1, 2])
    for name in [n for n, c in b.channels.items() if c == 0]:
        del b.channels[name]
    return result


def attended(draw: st.DrawFn, b: Builder, x: str) -> str:
    """Attention of the places of an image, in heads of channels that lie first."""
    heads, before = draw(st.integers(1, 2)), dict(b.channels)
    depth, each = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def split(size: int, *through: str) -> str:
        y = b.conv(x, heads * size)
        for op in through:
            y = b.node(op, y, channels=b.channels[y])
        to = b.constant(np.array([0, heads, size, HEIGHT * WIDTH]))
        return b.node("Reshape", y, to, channels=0)

    q = split(depth, draw(st.sampled_from(ACTIVATIONS)))
    k, v = split(depth, *draw(st.sampled_from([[], ["Sigmoid"]]))), split(each)
    turned = b.node("Transpose", q, channels=0, perm=[0, 1, 3, 2])
    scores = b.node("Softmax", b.node("MatMul", turned, k, channels=0), channels=0, axis=2)
    o, to = b.node("MatMul", v, scores, channels=0), np.array([0, heads * each, HEIGHT, WIDTH])
    b.channels = before
    return b.node("Reshape", o, b.constant(to), channels=heads * each)


STEPS = [
    conv, conv, conv, grouped, transposed, norm, norm, activation, activation, per_channel, met,
    residual, gate, attended, joined, joined, part, shuffled, padded, pooled, resampled, last,
]  # fmt: skip


@st.composite
def prunable(draw: st.DrawFn) -> ModelProto:
    """2 to 9 steps after a convolution, each on one of the last values; then a classifier."""
    b = Builder()
    conv(draw, b, "x")
    for _ in range(draw(st.integers(2, 9))):
        x = draw(st.sampled_from([*b.channels][-3:]))
        draw(st.sampled_from(STEPS))(draw, b, x)
    x = draw(st.sampled_from([*b.channels][-2:]))
    if draw(st.booleans()):
        x = b.node("GlobalAveragePool", x, channels=b.channels[x])
        size = b.channels[x]
    else:
        size = b.channels[x] * HEIGHT * WIDTH
    flat = b.node("Flatten", x, channels=0)
    transposed = draw(st.booleans())
    w = b.weight(4, size) if transposed else b.weight(size, 4)
    y = b.node("Gemm", flat, w, b.weight(4), channels=0, transB=int(transposed))
    return b.model([y])
