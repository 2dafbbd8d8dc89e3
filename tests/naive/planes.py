"""Bit planes, bit by bit."""


def bit(value, j):
    """Bit j of an integer in two's complement."""
    return int(value) >> j & 1


def word(bits):
    """A word whose bit i is bits[i]."""
    return sum(b << i for i, b in enumerate(bits))


def pixels(values, planes):
    """out[g][j][w][pixel]: bit j of 64 channels of a pixel, from values (G, C, pixels)."""
    return [
        [
            [
                [word(bit(v, j) for v in group[w : w + 64, p]) for p in range(group.shape[1])]
                for w in range(0, len(group), 64)
            ]
            for j in range(planes)
        ]
        for group in values
    ]


def patches(values, channels, base, offsets, planes):
    """out[g][j][w][v]: bit j of what window v sees, (tap, channel) by (tap, channel)."""
    return [
        [
            [
                [
                    word(
                        [bit(group[c, b + o], j) for o in offsets for c in range(channels)][
                            w : w + 64
                        ]
                    )
                    for b in base
                ]
                for w in range(0, len(offsets) * channels, 64)
            ]
            for j in range(planes)
        ]
        for group in values
    ]


def products(weights, activations):
    """Σ 2^(i + j) · (1 bits that planes i of weights and j of activations share), word by word."""
    return sum(
        (w & x).bit_count() << i + j
        for i, plane in enumerate(weights)
        for j, other in enumerate(activations)
        for w, x in zip(plane, other, strict=True)
    )
