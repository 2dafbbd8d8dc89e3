"""MACs of the paper's networks from the tables of their papers, layer by layer."""

from collections.abc import Iterator

Row = tuple[int, int, int, int]  # channels, filters, kernel, height and width of the output

#: Appendix F of the paper, Table 1: channels, filters and size of conv1 to conv6; inputs of fc
VGG7 = {
    "vgg7": ([(3, 128, 32), (128, 128, 32), (128, 256, 16), (256, 256, 16), (256, 512, 8),
              (512, 512, 8)], 8192),
    "vgg7-0.5x": ([(3, 64, 32), (64, 64, 32), (64, 128, 16), (128, 128, 16), (128, 256, 8),
                   (256, 256, 8)], 4096),
    "vgg7-0.25x": ([(3, 32, 32), (32, 32, 32), (32, 64, 16), (64, 64, 16), (64, 128, 8),
                    (128, 128, 8)], 2048),
}  # fmt: skip


def macs(name: str) -> int:
    """MACs for one image of a network of the catalogue."""
    return sum(c * m * k * k * size * size for c, m, k, size in rows(name))


def rows(name: str) -> Iterator[Row]:
    kind, _, width = name.partition("-")
    scale = float(width.rstrip("x")) if width.endswith("x") else 1.0
    if kind.startswith("vgg"):
        convolutions, inputs = VGG7[name]
        yield from ((c, m, 3, size) for c, m, size in convolutions)
        yield inputs, 10, 1, 1
    elif kind == "densenet":
        yield from densenet()
    elif kind == "resnet50":
        yield from bottlenecks(round(64 * scale))
    elif kind == "resnet18":
        stages = [(round(64 * scale) * 2**i, 56 // 2**i) for i in range(4)]
        yield 3, stages[0][0], 7, 112
        yield from basic_blocks(stages, 2, first_is_identity=True)
        yield stages[-1][0], 1000, 1, 1
    else:  # He et al. 2016, Section 4.2: 6n + 2 layers
        yield 3, 16, 3, 32
        depth = int(kind.removeprefix("resnet"))
        yield from basic_blocks([(16, 32), (32, 16), (64, 8)], (depth - 2) // 6)
        yield 64, 10, 1, 1


def basic_blocks(
    stages: list[tuple[int, int]], blocks: int, first_is_identity: bool = False
) -> Iterator[Row]:
    """Two 3×3 a block, a 1×1 projection at the start of each stage."""
    before = stages[0][0]
    for index, (filters, size) in enumerate(stages):
        if index or not first_is_identity:
            yield before, filters, 1, size
        yield before, filters, 3, size
        yield from [(filters, filters, 3, size)] * (2 * blocks - 1)
        before = filters


def bottlenecks(width: int) -> Iterator[Row]:
    """ResNet-50 of He et al. 2016, Table 1, the stride in the 3×3 as torchvision has it."""
    yield 3, width, 7, 112
    before, size = width, 56
    for stage, blocks in enumerate((3, 4, 6, 3)):
        filters = width * 2**stage
        for block in range(blocks):
            halved = size // 2 if stage and not block else size
            yield before, filters, 1, size
            yield filters, filters, 3, halved
            yield filters, 4 * filters, 1, halved
            if not block:
                yield before, 4 * filters, 1, halved
            before, size = 4 * filters, halved
    yield before, 1000, 1, 1


def densenet() -> Iterator[Row]:
    """DenseNet-BC, k = 12, 100 layers, 100 classes (Huang et al. 2017, Section 3)."""
    width, size = 24, 32
    yield 3, width, 3, size
    for block in range(3):
        for _ in range(16):
            yield width, 48, 1, size
            yield 48, 12, 3, size
            width += 12
        if block < 2:
            yield width, width // 2, 1, size
            width, size = width // 2, size // 2
    yield width, 100, 1, 1
