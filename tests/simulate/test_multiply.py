"""Planes against planes are the sums that they stand for, whatever their numbers."""

import numpy as np
from esnsim_kernels import bitserial
from hypothesis import given
from hypothesis import strategies as st

from esnsim.machines.array.bitplanes import cut
from tests.naive import planes as naive


@given(
    st.lists(st.integers(0, 17), min_size=1, max_size=6), st.integers(1, 16), st.integers(1, 3),
    st.integers(1, 2), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_filters_of_any_widths_are_multiplied_plane_by_plane(widths, bits, words, images, seed):
    rng = np.random.default_rng(seed)
    number, per_image, first = len(widths), int(rng.integers(1, 12)), int(rng.integers(0, 3))
    groups = rng.integers(0, 2, number)
    full = np.iinfo(np.uint64).max
    planes = rng.integers(0, full, (sum(widths), words), np.uint64, endpoint=True)
    starts, exponents = np.cumsum([0, *widths]), rng.integers(0, 2, number)
    factors, constants = rng.integers(-9, 9, (2, number))
    windows = images * per_image
    x = rng.integers(0, full, (2, bits, words, first + windows), np.uint64, endpoint=True)
    block = bitserial.Block(x, rng.integers(-9, 9, (2, first + windows)), first, windows)
    out, sums = np.full((images, number, per_image), -1, np.int32), np.empty(windows, np.uint64)
    filters = bitserial.Filters(planes, starts, exponents, factors, groups)
    for part in ((0, number // 2), (number // 2, number)):
        bitserial.multiply(filters, block, constants, part, sums, out, 0)
    for (image, f, place), found in np.ndenumerate(out):
        v, g = first + image * per_image + place, groups[f]
        seen = x[g, :, :, v].tolist()
        mine = planes[starts[f] : starts[f + 1]].tolist()
        products = naive.products(mine, seen) << int(exponents[f])
        wanted = constants[f] + factors[f] * block.totals[g, v] + products
        assert (found - wanted) % (1 << 32) == 0


@given(
    st.integers(0, 600), st.integers(1, 16), st.integers(1, 3), st.integers(1, 9),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_pairs_of_ones_are_those_of_every_plane_with_every_other(planes, bits, words, n, seed):
    """Bilinear: 600 planes of a group, so that more than a byte holds are 1 at a place."""
    rng = np.random.default_rng(seed)
    full, groups = np.iinfo(np.uint64).max, rng.integers(0, 2, planes)
    weights = rng.integers(0, full, (planes, words), np.uint64, endpoint=True)
    weights |= full << np.uint64(60)
    x = rng.integers(0, full, (2, bits, words, n), np.uint64, endpoint=True)
    block = bitserial.Block(x, np.zeros((2, n), np.int64), 1, n - 1)
    places = np.unpackbits(weights.view(np.uint8), axis=1, bitorder="little").astype(np.int64)
    ones = np.stack([places[groups == g].sum(axis=0) for g in (0, 1)])
    found = bitserial.count_pairs(cut(ones), block)
    shared = np.bitwise_count(weights[:, None, :, None] & x[groups][..., 1:])
    assert found.tolist() == shared.sum(axis=(0, 2, 3)).tolist()
