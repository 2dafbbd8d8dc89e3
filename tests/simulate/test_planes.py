"""Packing into bit planes is what it is bit by bit, for any sizes and signs."""

import numpy as np
from esnsim_kernels import planes
from hypothesis import given
from hypothesis import strategies as st

from tests.naive import planes as naive


@st.composite
def activations(draw: st.DrawFn) -> tuple[np.ndarray, int, np.random.Generator]:
    """Values (G, C, pixels), C whole octets, of so many bits."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bits = draw(st.integers(1, 16))
    shape = draw(st.integers(1, 3)), 8 * draw(st.integers(1, 18)), draw(st.integers(1, 20))
    return rng.integers(0, 1 << bits, shape, np.uint8 if bits <= 8 else np.uint16), bits, rng


@given(activations(), st.integers(1, 9), st.integers(1, 7))
def test_pixels_are_packed_bit_by_bit(drawn, block, part) -> None:
    values, bits, _ = drawn
    groups, channels, pixels = values.shape
    out = np.full((groups, bits, -(-channels // 64), pixels), 7, np.uint64)
    sums = np.full((groups, pixels), -1)
    for first in range(0, pixels, part):
        octets = np.empty(block, np.uint64)
        planes.pack_pixels(values, first, min(first + part, pixels), octets, out, sums)
    assert out.tolist() == naive.pixels(values, bits)
    assert sums.tolist() == values.sum(axis=1).tolist()


@given(activations(), st.data())
def test_patches_are_packed_bit_by_bit(drawn, data) -> None:
    values, bits, rng = drawn
    groups, _, pixels = values.shape
    channels = data.draw(st.integers(1, min(9, values.shape[1])))
    offsets = rng.integers(0, pixels, data.draw(st.integers(1, 12)))
    base = rng.integers(0, pixels - offsets.max(), data.draw(st.integers(1, 10)))
    if data.draw(st.booleans()):  # windows side by side
        base = np.arange(base[0], pixels - offsets.max())
    n = -(-len(base) // 8) * 8
    out = np.full((groups, bits, -(-len(offsets) * channels // 64), n), 7, np.uint64)
    planes.pack_patches(values, channels, base, offsets, np.empty((8, n), np.uint64), out)
    wanted = naive.patches(values, channels, base.tolist(), offsets.tolist(), bits)
    assert out[..., : len(base)].tolist() == wanted
    assert not out[..., len(base) :].any()


@given(activations(), st.data())
def test_gathered_words_are_those_of_the_pixels_of_each_tap(drawn, data) -> None:
    values, bits, rng = drawn
    groups, _, pixels = values.shape
    packed = np.array(naive.pixels(values, bits), np.uint64)
    offsets = rng.integers(0, pixels, data.draw(st.integers(1, 6)))
    base = rng.integers(0, pixels - offsets.max(), data.draw(st.integers(1, 10)))
    words, n = packed.shape[2], -(-len(base) // 8) * 8
    out = np.full((groups, bits, len(offsets) * words, n), 7, np.uint64)
    planes.gather(packed, base, offsets, out)
    for tap, offset in enumerate(offsets):
        seen = out[:, :, tap * words : (tap + 1) * words]
        assert np.array_equal(seen[..., : len(base)], packed[..., base + offset])
    assert not out[..., len(base) :].any()
    sums, totals = values.sum(axis=1, dtype=np.int64), np.full((groups, n), -1)
    planes.add_taps(sums, base, offsets, totals)
    assert np.array_equal(totals[:, : len(base)], sum(sums[:, base + o] for o in offsets))


@given(st.integers(1, 5), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_rows_of_bytes_are_cut_into_planes(rows: int, octets: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 256, (rows, 8 * octets), np.uint8)
    out = np.full((rows, 8, octets), 7, np.uint8)
    planes.pack_rows(values.view(np.uint64), out)
    for j in range(8):
        bits = np.unpackbits(out[:, j], axis=1, bitorder="little")
        assert np.array_equal(bits, values >> j & 1)
