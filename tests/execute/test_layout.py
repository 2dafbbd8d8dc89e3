"""Layouts: an operator is the convolution of its columns by its layer's weights, laid out again.

- for every operator and any operands that MatMul broadcasts
- a value a filter is placed where the filter's outputs lie
"""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim.run import MacNode
from tests.execute.cases import LINEAR
from tests.execute.models import Array, cut_model, feeds_of, model, normal, whole
from tests.naive.convolution import convolve


def by_definition(mac: MacNode, activation: Array, others: Mapping[int, Array]) -> Array:
    """The operator's output from its layer alone, in float64."""
    weight = mac.layer.weight
    values = weight.load() * (weight.codes.scale() if weight.codes else 1.0)
    y = convolve(mac.layout.to_columns(activation), values.astype(float), mac.layer.geometry)
    out = mac.alpha * mac.layout.from_outputs(y, activation.shape)
    return np.asarray(out if mac.bias is None else out + mac.bias).astype(activation.dtype)


@pytest.mark.parametrize("name", LINEAR)
def test_operator_is_the_convolution_of_its_columns(name: str) -> None:
    proto = LINEAR[name]()
    feeds = feeds_of(proto)
    got = cut_model(proto).run(feeds, by_definition)["y"]
    np.testing.assert_allclose(got, whole(proto, feeds)["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LINEAR)
def test_value_of_a_filter_is_placed_at_its_outputs(name: str) -> None:
    proto = LINEAR[name]()
    (mac, *_) = cut_model(proto).macs
    shape = feeds_of(proto)["x"].shape
    rows = len(mac.layout.to_columns(np.zeros(shape)))
    y = normal(rows, mac.layer.filters, *mac.layer.geometry.output_size)
    values = normal(mac.layer.filters)
    scaled = y * values.reshape(-1, *[1] * (y.ndim - 2))
    placed = mac.layout.from_outputs(y, shape) * mac.layout.place(values, shape)
    np.testing.assert_array_equal(mac.layout.from_outputs(scaled, shape), placed)


@st.composite
def operands(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of two operands that MatMul multiplies: vectors, matrices, broadcast stacks."""
    k, sizes = draw(st.integers(1, 4)), st.integers(1, 3)
    outer = draw(st.lists(sizes, max_size=3))

    def stack() -> tuple[int, ...]:
        kept = outer[draw(st.integers(0, len(outer))) :]
        return tuple(draw(st.sampled_from([1, n])) for n in kept)

    left = draw(st.one_of(st.just((k,)), st.builds(lambda m: (*stack(), m, k), sizes)))
    right = draw(st.one_of(st.just((k,)), st.builds(lambda n: (*stack(), k, n), sizes)))
    return left, right


@settings(max_examples=60)
@given(operands(), st.booleans())
def test_matmul_of_any_shapes_is_the_convolution_of_its_columns(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], left: bool
) -> None:
    w_shape, x_shape = shapes if left else shapes[::-1]
    sides = "w, x" if left else "x, w"
    sizes = ",".join(map(str, x_shape))
    proto = model(f"y = MatMul({sides})", f"float[{sizes}] x", w=normal(*w_shape))
    feeds = feeds_of(proto)
    got = cut_model(proto).run(feeds, by_definition)["y"]
    np.testing.assert_allclose(got, whole(proto, feeds)["y"], rtol=1e-4, atol=1e-5, strict=True)
