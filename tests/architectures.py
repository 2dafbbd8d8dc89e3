"""Well-known networks as `Net`s, in the form of their torchvision definitions."""

from onnx import ModelProto

from tests.nets import Net


def alexnet() -> ModelProto:
    n = Net(3, 224, 224)
    x = n.pool(n.relu(n.conv("x", 64, 11, 4, 2)), 3, 2)
    x = n.pool(n.relu(n.conv(x, 192, 5)), 3, 2)
    for filters in (384, 256, 256):
        x = n.relu(n.conv(x, filters, 3))
    x = n.relu(n.linear(n.pool(x, 3, 2), 4096, 36))
    return n.model(n.linear(n.relu(n.linear(x, 4096)), 1000))


def vgg(*depths: int) -> ModelProto:
    """`depths`: convolutions in each of the five stages."""
    n, x = Net(3, 224, 224), "x"
    for stage, depth in enumerate(depths):
        for _ in range(depth):
            x = n.relu(n.conv(x, 64 << min(stage, 3), 3))
        x = n.pool(x, 2, 2)
    x = n.relu(n.linear(x, 4096, 49))
    return n.model(n.linear(n.relu(n.linear(x, 4096)), 1000))


def resnet(*depths: int, bottleneck: bool = True, groups: int = 1, width: int = 64) -> ModelProto:
    """`depths`: blocks of each stage; `width`: filters per group of the first stage."""
    n = Net(3, 224, 224)
    x = n.pool(n.conv_bn("x", 64, 7, 2), 3, 2, 1)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            filters = (256 if bottleneck else 64) << stage
            if bottleneck:
                inner = width * groups << stage
                y = n.conv_bn(n.conv_bn(x, inner), inner, 3, stride, groups=groups)
                y = n.conv_bn(y, filters, act=None)
            else:
                y = n.conv_bn(n.conv_bn(x, filters, 3, stride), filters, 3, act=None)
            if n.channels[x] != filters:
                x = n.conv_bn(x, filters, 1, stride, act=None)
            x = n.relu(n.node("Add", y, x))
    return n.model(n.linear(n.mean(x), 1000))


def cifar_resnet20() -> ModelProto:
    """The paper's: 32×32×3, a projection shortcut in all three stages."""
    n = Net(3, 32, 32)
    x = n.conv_bn("x", 16, 3)
    for stage in range(3):
        for block in range(3):
            filters, stride = 16 << stage, 2 if stage and not block else 1
            y = n.conv_bn(n.conv_bn(x, filters, 3, stride), filters, 3, act=None)
            x = x if block else n.conv_bn(x, filters, 1, stride, act=None)
            x = n.relu(n.node("Add", y, x))
    return n.model(n.linear(n.mean(x), 10))


def vgg7(width: float) -> ModelProto:
    """Appendix F of the paper."""
    n, x = Net(3, 32, 32), "x"
    for filters in (128, 256, 512):
        for _ in range(2):
            x = n.conv_bn(x, int(filters * width), 3)
        x = n.pool(x, 2, 2)
    return n.model(n.linear(x, 10, 16))


def densenet121() -> ModelProto:
    n = Net(3, 224, 224)
    x = n.pool(n.conv_bn("x", 64, 7, 2), 3, 2, 1)
    for stage, depth in enumerate((6, 12, 24, 16)):
        for _ in range(depth):
            y = n.conv(n.relu(n.bn(x)), 128, bias=False)
            x = n.concat(x, n.conv(n.relu(n.bn(y)), 32, 3, bias=False))
        x = n.relu(n.bn(x))
        if stage < 3:
            x = n.pool(n.conv(x, n.channels[x] // 2, bias=False), 2, 2, op="AveragePool")
    return n.model(n.linear(n.mean(x), 1000))


def googlenet() -> ModelProto:
    """torchvision's, whose 5×5 branches are 3×3."""
    n = Net(3, 224, 224)
    x = n.pool(n.conv_bn("x", 64, 7, 2), 3, 2, ceil=1)
    x = n.pool(n.conv_bn(n.conv_bn(x, 64), 192, 3), 3, 2, ceil=1)
    stages = [
        [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)],
        [(192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
         (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)],
        [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)],
    ]  # fmt: skip
    for stage, blocks in enumerate(stages):
        x = n.pool(x, 4 - stage, 2, ceil=1) if stage else x
        for a, b, bb, c, cc, d in blocks:
            x = n.concat(
                n.conv_bn(x, a), n.conv_bn(n.conv_bn(x, b), bb, 3),
                n.conv_bn(n.conv_bn(x, c), cc, 3), n.conv_bn(n.pool(x, 3, 1, 1), d),
            )  # fmt: skip
    return n.model(n.linear(n.mean(x), 1000))


def squeezenet1_1() -> ModelProto:
    n = Net(3, 224, 224)
    x = n.relu(n.conv("x", 64, 3, 2, 0))
    for squeeze, expand in [(16, 64), (32, 128), (48, 192), (64, 256)]:
        x = n.pool(x, 3, 2, ceil=1) if squeeze != 64 else x
        for _ in range(2):
            y = n.relu(n.conv(x, squeeze))
            x = n.concat(n.relu(n.conv(y, expand)), n.relu(n.conv(y, expand, 3)))
    return n.model(n.mean(n.relu(n.conv(x, 1000))))


def inception_v3() -> ModelProto:
    n = Net(3, 299, 299)
    x = n.conv_bn(n.conv_bn(n.conv_bn("x", 32, 3, 2, 0), 32, 3, 1, 0), 64, 3)
    x = n.pool(n.conv_bn(n.conv_bn(n.pool(x, 3, 2), 80), 192, 3, 1, 0), 3, 2)

    def chain(x: str, *layers: tuple[object, ...]) -> str:
        for layer in layers:
            x = n.conv_bn(x, *layer)  # type: ignore[arg-type]
        return x

    def average(x: str, filters: int) -> str:
        return n.conv_bn(n.pool(x, 3, 1, 1, op="AveragePool"), filters)

    for filters in (32, 64, 64):
        x = n.concat(
            chain(x, (64,)), chain(x, (48,), (64, 5)), chain(x, (64,), (96, 3), (96, 3)),
            average(x, filters),
        )  # fmt: skip
    x = n.concat(chain(x, (384, 3, 2, 0)), chain(x, (64,), (96, 3), (96, 3, 2, 0)), n.pool(x, 3, 2))
    row, column = (1, 7), (7, 1)
    for c in (128, 160, 160, 192):
        x = n.concat(
            chain(x, (192,)), chain(x, (c,), (c, row), (192, column)),
            chain(x, (c,), (c, column), (c, row), (c, column), (192, row)), average(x, 192),
        )  # fmt: skip
    x = n.concat(
        chain(x, (192,), (320, 3, 2, 0)),
        chain(x, (192,), (192, row), (192, column), (192, 3, 2, 0)), n.pool(x, 3, 2),
    )  # fmt: skip
    for _ in range(2):
        y, z = chain(x, (384,)), chain(x, (448,), (384, 3))
        forks = [n.conv_bn(v, 384, kernel) for v in (y, z) for kernel in ((1, 3), (3, 1))]
        x = n.concat(chain(x, (320,)), *forks, average(x, 192))
    return n.model(n.linear(n.mean(x), 1000))


def convnext_tiny() -> ModelProto:
    n = Net(3, 224, 224)

    def norm(x: str) -> str:
        return n.node("LayerNormalization", x, n.filled(n.channels[x]), n.filled(n.channels[x]))

    def last(x: str) -> str:
        return n.node("Transpose", x, perm=[0, 2, 3, 1])

    def first(x: str) -> str:
        return n.node("Transpose", x, perm=[0, 3, 1, 2])

    x = "x"
    for filters, depth in [(96, 3), (192, 3), (384, 9), (768, 3)]:
        stem = x == "x"
        x = n.conv(
            x if stem else first(norm(last(x))), filters, 4 if stem else 2, 4 if stem else 2, 0
        )
        x = first(norm(last(x))) if stem else x
        for _ in range(depth):
            y = norm(last(n.conv(x, filters, 7, groups=filters)))
            y = n.matmul(n.node("Gelu", n.matmul(y, 4 * filters)), filters)
            x = n.node("Add", first(y), x)
    return n.model(n.linear(n.mean(x), 1000))
