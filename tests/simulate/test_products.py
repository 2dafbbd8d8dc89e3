"""Sums of products of halves of words are those of the integers that the halves are."""

import numpy as np
import pytest
from esnsim_kernels import products, vectors
from hypothesis import given
from hypothesis import strategies as st
from numba import njit, types
from numba.extending import intrinsic

from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.products import Products
from esnsim.machines.array.spec import ArraySpec
from esnsim.model.network import Codes, Geometry
from esnsim.quantization.quantizer import quantize
from tests.engines import exact
from tests.networks import layer, network


@intrinsic
def multiply_halves(typing, total, a, b):
    def generate(context, builder, signature, arguments):
        total, *factors = arguments
        halves = [builder.bitcast(factor, vectors.HALVES) for factor in factors]
        return vectors.multiply_halves(builder, total, halves)

    return total(total, a, b), generate


def over_all(multiply):
    @njit
    def run(total, a, b):
        for i in range(0, total.size, vectors.LANES):
            at = types.uint64(i)
            found = multiply(vectors.load(total, at), vectors.load(a, at), vectors.load(b, at))
            vectors.store(total, at, found)

    return run


@pytest.mark.parametrize("multiply", [vectors.add_products, multiply_halves])
def test_products_of_halves_add_up_with_and_without_an_instruction_for_it(multiply):
    rng = np.random.default_rng(0)
    a, b = rng.integers(-(1 << 15), 1 << 15, (2, 80, 2), np.int16)
    total = rng.integers(-(1 << 31), 1 << 31, 80, np.int32)
    wanted = total + (a.astype(np.int64) * b).sum(axis=1)
    over_all(multiply)(total, a.view(np.int32).ravel(), b.view(np.int32).ravel())
    assert np.array_equal(total, wanted.astype(np.int32))


@given(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3),
    st.sampled_from([1, 8, 9, 15]), st.booleans(), st.data(),
)  # fmt: skip
def test_windows_and_quads_in_any_shares_are_the_naive_sums(
    groups, channels, filters, images, taps, bits, flip, data
):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    per_image = int(rng.integers(1, 40))
    pixels = images * per_image + taps + int(rng.integers(0, 9))
    kind = np.uint8 if bits <= 8 else np.uint16
    values = rng.integers(0, 1 << bits, (groups, channels + 1, pixels), kind)
    base = np.sort(rng.permutation(pixels - taps + 1)[: images * per_image])
    flipped, offsets = flip << bits - 1, np.arange(taps)
    inputs = products.Inputs(values, channels, base, offsets, flipped)
    rows, quads = channels * taps, -(-filters // 4)
    codes = np.zeros((groups, 4 * quads, rows + rows % 2), np.int16)
    codes[:, :filters, :rows] = rng.integers(-(1 << 15) + 1, 1 << 15, (groups, filters, rows))
    words = codes.view(np.int32).reshape(groups, quads, 4, -1).transpose(0, 1, 3, 2).copy()
    ones = np.zeros((groups, rows + rows % 2), np.int64)
    ones[:, :rows] = rng.integers(0, 99, (groups, rows))
    constants = rng.integers(-9, 9, (groups, quads, 4)).astype(np.int32)
    weights = products.Weights(words, constants, ones, filters)

    size = data.draw(st.integers(1, len(base)))
    panels = -(-size // vectors.PANEL)
    block = np.empty((panels, words.shape[2], vectors.PANEL), np.int32)
    sums = np.empty((4, panels * vectors.PANEL), np.int32)
    out = np.full((images, groups * filters, per_image), -1, np.int32)
    cut = data.draw(st.integers(0, groups * quads))
    pairs = sum(
        products.convolve(
            inputs, weights, (first, min(first + size, len(base))), mine, block, sums, out
        )
        for first in range(0, len(base), size)
        for mine in ((0, cut), (cut, groups * quads))
    )

    found = 0
    for g in range(groups):
        seen = [values[g, k % channels][base + k // channels] for k in range(rows)]
        for k, x in enumerate(seen):
            found += int(ones[g, k]) * sum(int(v ^ flipped).bit_count() for v in x.tolist())
        for f in range(filters):
            total = int(constants[g].ravel()[f]) + sum(
                int(codes[g, f, k]) * x.astype(np.int64) for k, x in enumerate(seen)
            )
            ours = out[:, g * filters + f].ravel()
            assert np.array_equal(ours, total.astype(np.int32))
    assert pairs == found


@pytest.mark.parametrize(
    ("code", "bits", "fits"),
    [(32_767, 15, True), (-32_767, 15, True), (-32_768, 15, False), (32_767, 16, False)],
)
def test_what_does_not_fit_16_bits_is_multiplied_plane_by_plane(code, bits, fits):
    stored = Codes(16, False, False, lambda: np.ones((1, 1)))
    made = layer(np.full((1, 1), code, np.int32), Geometry(2), codes=stored)
    chosen, highest = quantize(network([made])).layers[0], (1 << bits) - 1
    engine = DigitalEngine(ArraySpec(activation_bits=bits))
    assert isinstance(engine.prepare(chosen).weights, Products) is fits
    for signed, x in ((False, [[highest], [1]]), (True, [[-(1 << bits - 1)], [highest >> 1]])):
        found = engine.run(chosen, np.array(x), 0, signed).outputs
        assert np.array_equal(found, exact(chosen, np.array(x), 0))
