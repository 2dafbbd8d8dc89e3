"""Geometry, layers, and who reads whose channels."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from esnsim import Geometry
from esnsim.model.liveness import Liveness
from esnsim.model.network import CONSTANT, LIVE, Ids, Merge, Network
from tests.networks import layer, network
from tests.strategies import geometries

PLAIN = Geometry(
    batch=1, input_size=(5, 4), kernel=(3, 2), strides=(1, 2), dilations=(1, 1),
    pads=((0, 0), (1, 0)),
)  # fmt: skip


@given(geometries(min_rank=1))
def test_the_output_has_as_many_elements_as_the_kernel_has_places(geometry: Geometry) -> None:
    g = geometry
    for axis, size in enumerate(g.output_size):
        n, stride = g.input_size[axis], g.strides[axis]
        extent = g.dilations[axis] * (g.kernel[axis] - 1) + 1
        before, after = g.pads[axis]
        if g.transposed:  # what the kernels cover, less the padding
            covered = {p * stride + t for p in range(n) for t in range(extent)}
            assert size == max(covered) + 1 - before - after + g.output_padding[axis]
        else:
            places = range(-before, n + after - extent + 1, stride)
            assert size == len(places)


@given(geometries())
def test_a_weight_is_used_once_for_each_place_of_its_kernel(geometry: Geometry) -> None:
    places = geometry.input_size if geometry.transposed else geometry.output_size
    assert geometry.windows == sum(1 for _ in np.ndindex(geometry.batch, *places))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": (1,)}, "input, kernel, strides, dilations and pads differ in rank"),
        ({"pads": ((0, 0),)}, "input, kernel, strides, dilations and pads differ in rank"),
        ({"output_padding": (1,)}, "input, kernel, strides, dilations and pads differ in rank"),
        ({"strides": (0, 1)}, "batch, groups, sizes, strides, dilations must be positive"),
        ({"groups": 0}, "batch, groups, sizes, strides, dilations must be positive"),
        ({"kernel": (6, 2)}, "the kernel does not fit into the padded input"),
    ],
)
def test_a_geometry_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **change)


@pytest.mark.parametrize(
    ("filters", "channels", "groups", "message"),
    [
        (4, 5, 1, "4 filters of 3 channels in 1 groups cannot read 5 channels"),
        (4, 3, 2, "4 filters of 3 channels in 2 groups cannot read 3 channels"),
        (3, 6, 2, "3 filters of 3 channels in 2 groups cannot read 6 channels"),
    ],
)
def test_a_layer_whose_channels_do_not_fit_is_refused(
    filters: int, channels: int, groups: int, message: str
) -> None:
    weights = np.zeros((filters, 3, 3, 2), np.float32)
    with pytest.raises(ValueError, match=message):
        layer(weights, replace(PLAIN, groups=groups), "layer", np.zeros(channels, np.int32))


def live_channels(net: Network, alive: dict[str, list[bool]]) -> dict[str, list[bool]]:
    """The liveness of the channels that each layer reads, where `alive` are the live filters."""
    seen, liveness = {}, Liveness(net)
    for one in net.layers:
        seen[one.name] = liveness.channels(one).tolist()
        liveness.decide(one, np.array(alive[one.name]))
    return seen


def test_a_layer_sees_the_live_filters_of_those_it_reads() -> None:
    square = np.ones((2, 2, 1), np.float32)
    a = layer(square, name="a", channels=[LIVE, CONSTANT], first_filter=2)
    b = layer(square, name="b", channels=[3, 2], first_filter=4)
    seen = live_channels(network([a, b]), {"a": [True, False], "b": [True, True]})
    assert seen == {"a": [True, False], "b": [False, True]}


@pytest.mark.parametrize("alive", [(True, False), (False, True), (True, True), (False, False)])
def test_a_merge_is_live_where_either_side_is(alive: tuple[bool, bool]) -> None:
    """Ids 2 and 3 are filters, 4 their sum, 5 the sum of that and of a constant."""
    one = np.ones((1, 1, 1), np.float32)
    a, b = (layer(one, name=name, first_filter=i) for i, name in [(2, "a"), (3, "b")])
    sums = [Merge(4, ids(2), ids(3)), Merge(5, ids(4), ids(CONSTANT))]
    c = layer(one, name="c", channels=[5], first_filter=6)
    seen = live_channels(network([a, b, c], sums), {"a": [alive[0]], "b": [alive[1]], "c": [True]})
    assert seen["c"] == [any(alive)]


def ids(*values: int) -> Ids:
    return np.array(values, np.int32)
