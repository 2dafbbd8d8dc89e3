"""Networks of depthwise convolutions as `Net`s, in the form of their torchvision definitions."""

from onnx import ModelProto

from tests.nets import Net


def mobilenet_v1(width: float) -> ModelProto:
    """Howard et al. 2017, table 1."""
    n = Net(3, 224, 224)
    x = n.conv_bn("x", int(32 * width), 3, 2)
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5,
              (1024, 2), (1024, 1)]  # fmt: skip
    for filters, stride in blocks:
        x = n.conv_bn(x, n.channels[x], 3, stride, groups=n.channels[x])
        x = n.conv_bn(x, int(filters * width))
    return n.model(n.linear(n.mean(x), 1000))


def mobilenet_v2() -> ModelProto:
    n = Net(3, 224, 224)
    x = n.conv_bn("x", 32, 3, 2)
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
              (6, 160, 3, 2), (6, 320, 1, 1)]  # fmt: skip
    for expand, filters, depth, stride in stages:
        for block in range(depth):
            x = inverted(n, x, filters, n.channels[x] * expand, 3, 1 if block else stride, "Relu")
    return n.model(n.linear(n.mean(n.conv_bn(x, 1280)), 1000))


def inverted(
    n: Net, x: str, filters: int, inner: int, kernel: int, stride: int, act: str, squeeze: int = 0
) -> str:
    """Expansion, depthwise convolution, squeeze and excitation, projection, residual."""
    y = x if inner == n.channels[x] else n.conv_bn(x, inner, act=act)
    y = n.conv_bn(y, inner, kernel, stride, groups=inner, act=act)
    if squeeze:
        gate = n.conv(n.relu(n.conv(n.mean(y), squeeze)), inner)
        y = n.node("Mul", y, n.node("Sigmoid", gate))
    y = n.conv_bn(y, filters, act=None)
    return n.node("Add", x, y) if stride == 1 and filters == n.channels[x] else y


# kernel, expanded filters, filters, squeeze and excitation, activation, stride
SMALL = [
    (3, 16, 16, 1, "Relu", 2), (3, 72, 24, 0, "Relu", 2), (3, 88, 24, 0, "Relu", 1),
    (5, 96, 40, 1, "HardSwish", 2), *[(5, 240, 40, 1, "HardSwish", 1)] * 2,
    (5, 120, 48, 1, "HardSwish", 1), (5, 144, 48, 1, "HardSwish", 1),
    (5, 288, 96, 1, "HardSwish", 2), *[(5, 576, 96, 1, "HardSwish", 1)] * 2,
]  # fmt: skip
LARGE = [
    (3, 16, 16, 0, "Relu", 1), (3, 64, 24, 0, "Relu", 2), (3, 72, 24, 0, "Relu", 1),
    (5, 72, 40, 1, "Relu", 2), *[(5, 120, 40, 1, "Relu", 1)] * 2,
    (3, 240, 80, 0, "HardSwish", 2), (3, 200, 80, 0, "HardSwish", 1),
    *[(3, 184, 80, 0, "HardSwish", 1)] * 2, (3, 480, 112, 1, "HardSwish", 1),
    (3, 672, 112, 1, "HardSwish", 1), (5, 672, 160, 1, "HardSwish", 2),
    *[(5, 960, 160, 1, "HardSwish", 1)] * 2,
]  # fmt: skip


def mobilenet_v3(blocks: list[tuple[int, int, int, int, str, int]], features: int) -> ModelProto:
    n = Net(3, 224, 224)
    x = n.conv_bn("x", 16, 3, 2, act="HardSwish")
    for kernel, inner, filters, squeeze, act, stride in blocks:
        x = inverted(n, x, filters, inner, kernel, stride, act, squeeze * divisible(inner // 4))
    x = n.mean(n.conv_bn(x, 6 * n.channels[x], act="HardSwish"))
    return n.model(n.linear(n.node("HardSwish", n.linear(x, features)), 1000))


def divisible(channels: int) -> int:
    """The nearest multiple of 8 that is at least nine tenths of it."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def efficientnet_b0() -> ModelProto:
    n = Net(3, 224, 224)
    x = n.conv_bn("x", 32, 3, 2, act="Mish")
    stages = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3),
              (6, 5, 1, 112, 3), (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)]  # fmt: skip
    for expand, kernel, stride, filters, depth in stages:
        for block in range(depth):
            channels = n.channels[x]
            x = inverted(
                n, x, filters, channels * expand, kernel, 1 if block else stride, "Mish",
                channels // 4,
            )  # fmt: skip
    return n.model(n.linear(n.mean(n.conv_bn(x, 1280, act="Mish")), 1000))


def shufflenet_v2() -> ModelProto:
    n = Net(3, 224, 224)
    x = n.pool(n.conv_bn("x", 24, 3, 2), 3, 2, 1)
    for filters, depth, size in [(116, 4, 28), (232, 8, 14), (464, 4, 7)]:
        for block in range(depth):
            left, right = (x, x) if not block else n.split(x)
            if not block:
                left = n.conv_bn(left, n.channels[x], 3, 2, groups=n.channels[x], act=None)
                left = n.conv_bn(left, filters // 2)
            y = n.conv_bn(right, filters // 2)
            y = n.conv_bn(y, filters // 2, 3, 1 if block else 2, groups=filters // 2, act=None)
            x = n.shuffle(n.concat(left, n.conv_bn(y, filters // 2)), 2, size, size)
    return n.model(n.linear(n.mean(n.conv_bn(x, 1024)), 1000))
