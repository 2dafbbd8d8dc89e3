"""Which layer of one model is which of another: every layer once, by name, then by shape."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from esnsim import cost, quantize, read_onnx
from esnsim.comparison.match import match
from esnsim.comparison.reported import Row, reported
from tests.samples import two_layers

ROW = reported(cost(quantize(read_onnx(two_layers())))).layers[0]


def row(name: str, *shape: int) -> Row:
    return replace(ROW, name=name, weight_shape=shape)


rows = st.lists(st.builds(row, st.sampled_from("abc"), st.integers(1, 3)), max_size=6)


@given(rows, rows)
def test_every_layer_of_both_models_is_there_once(first: list[Row], second: list[Row]) -> None:
    pairs = match(first, second)
    assert [p.before for p in pairs if p.before] == first
    found = [p.after for p in pairs if p.after]
    assert sorted(map(id, found)) == sorted(map(id, second))
    assert all((p.by is None) == (p.before is None or p.after is None) for p in pairs)


@given(rows, rows)
def test_what_is_left_alone_shares_neither_name_nor_shape(
    first: list[Row], second: list[Row]
) -> None:
    pairs = match(first, second)
    gone = [p.before for p in pairs if p.before and not p.after]
    new = [p.after for p in pairs if p.after and not p.before]
    assert not {r.name for r in gone} & {r.name for r in new}
    assert not {r.weight_shape for r in gone} & {r.weight_shape for r in new}


@given(rows)
def test_a_model_is_itself(layers: list[Row]) -> None:
    assert all(p.before is p.after and p.by == "name" for p in match(layers, layers))


def test_names_come_before_shapes_and_shapes_go_by_order() -> None:
    first = [row("a", 4, 3), row("b", 4, 3), row("c", 2, 3)]
    second = [row("x", 4, 3), row("b", 5, 3), row("y", 4, 3)]
    pairs = match(first, second)
    assert [(p.before and p.before.name, p.after and p.after.name, p.by) for p in pairs] == [
        ("a", "x", "shape"), ("b", "b", "name"), ("c", None, None), (None, "y", None),
    ]  # fmt: skip
