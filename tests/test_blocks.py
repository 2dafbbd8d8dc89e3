"""Filters as matrices: any layout, any number of blocks, the same sums."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from esnsim.costs.cost import cost
from esnsim.costs.figures import Metrics
from esnsim.model.network import Geometry, Network
from esnsim.quantization import blocks
from esnsim.quantization.quantizer import quantize
from esnsim.quantization.scheme import Scheme
from tests.networks import chain, layer
from tests.strategies import networks, steps

Array = NDArray[Any]
VALUES = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)


def unaligned(values: Array, folder: Path) -> Array:
    """A read-only map of a file whose floats start at an odd byte."""
    path = folder / "weights.bin"
    path.write_bytes(b"\0" + values.tobytes())
    mapped = np.memmap(path, values.dtype, "r", offset=1, shape=values.shape)
    assert not mapped.flags.aligned
    return mapped


LAYOUTS: dict[str, Callable[[Array, Path], Array]] = {
    "float16": lambda values, _: values.astype(np.float16),
    "bfloat16": lambda values, _: values.astype(ml_dtypes.bfloat16),
    "float64": lambda values, _: values.astype(np.float64) / 3,
    "big endian": lambda values, _: values.astype(">f4"),
    "integers": lambda values, _: (values * 50).astype(np.int8),
    "transposed": lambda values, _: values.T,
    "reversed": lambda values, _: values[::-1, :, ::-2],
    "Fortran order": lambda values, _: np.asfortranarray(values),
    "unaligned": unaligned,
    "unaligned float64": lambda values, folder: unaligned(values.astype(np.float64), folder),
    "one filter": lambda values, _: values[:1],
    "one weight a filter": lambda values, _: values[:, :1, :1],
    "a vector a filter": lambda values, _: values[:, :, 0],
}


def total(network: Network, scheme: Scheme | None = None) -> Metrics:
    """The totals under 5 bits unless told."""
    return cost(quantize(network, scheme or Scheme(bits=5))).total


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("rule", ["layer-max", "filter-max", "mse", "aciq", "filter-sigma"])
def test_every_layout_has_the_sums_of_a_plain_copy(
    layout: Callable[[Array, Path], Array], rule: str, tmp_path: Path
) -> None:
    array, scheme = layout(VALUES, tmp_path), Scheme(rule, 5)
    assert total(chain(array), scheme) == total(chain(np.array(array, np.float64)), scheme)


@given(networks(), st.integers(1, 40), st.data())
def test_the_size_of_a_block_changes_nothing(
    network: Network, size: int, data: st.DataObject
) -> None:
    scheme = Scheme(given_steps=data.draw(steps(network)))
    whole = total(network, scheme)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", size)
        assert total(network, scheme) == whole


@pytest.mark.parametrize("shape", [(3, blocks.BLOCK + 1), (blocks.BLOCK // 64 + 3, 2, 150)])
def test_more_than_a_block_is_summed_whole(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    step = 2 * np.abs(weights).max() / 32
    q = 2 * np.clip(np.floor(weights / np.float64(step)), -16, 15).astype(np.int64) + 1
    counted = total(chain(weights))
    assert counted.esn_a_x4.weights == (q * q).sum()
    assert counted.esn_d.weights == np.frexp(np.abs(q))[1].sum()
    assert counted.live_weights == weights.size


def test_groups_without_a_live_channel_are_left_out() -> None:
    """Three groups of two filters of two channels, of which the second has none alive."""
    geometry = Geometry(1, (1,), (1,), (1,), (1,), ((0, 0),), groups=3)
    grouped = layer(np.arange(12.0).reshape(6, 2, 1), geometry)
    seen: dict[int, list[list[float]]] = {}
    live = np.array([True, True, False, False, False, True])
    blocks.each_live(grouped, live, lambda rows, m: seen.update({rows.start: m.tolist()}))
    assert seen == {0: [[0, 1], [2, 3]], 4: [[9], [11]]}


def test_a_gain_multiplies_each_filter() -> None:
    plain, gain = chain(VALUES), np.linspace(-1, 2, len(VALUES))
    layer = plain.layers[0]
    folded = replace(layer, weight=replace(layer.weight, gain=gain))
    scaled = VALUES * gain[:, None, None]
    assert total(replace(plain, layers=(folded,))) == total(chain(scaled))


def test_a_transposed_matrix_has_its_filters_in_order() -> None:
    values = np.random.default_rng(1).normal(size=(2 * blocks.TILE + 3, 5)).astype(np.float32)
    rows: dict[int, Array] = {}
    weight = chain(values.T).layers[0].weight
    assert weight.load().strides[0] < weight.load().strides[1]
    blocks.each_filters(weight, lambda at, block: rows.update({at.start: block}))
    np.testing.assert_array_equal(np.concatenate([rows[at] for at in sorted(rows)]), values.T)
    assert all(block.flags.c_contiguous for block in rows.values())
