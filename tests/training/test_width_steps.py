"""Laws of a step of widths: bounds, prices, and the budget that a price keeps."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from esnsim.quantization.scheme import WIDEST
from esnsim.training.width_steps import SHARE, Filters


@st.composite
def filters(draw: st.DrawFn) -> Filters:
    """A few filters of crooked widths, costs and worths."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.integers(1, 9))
    least = torch.randint(0, 2, (count,), generator=generator).float()
    share = torch.rand(count, generator=generator)
    return Filters(
        bits=least + share * draw(st.sampled_from([0.0, 0.01, 3.0, WIDEST - 1.0])),
        least=least,
        costs=torch.randint(1, 10**6, (count,), generator=generator).float(),
        worth=torch.randn(count, generator=generator) * draw(st.sampled_from([1.0, 1e-9])),
        rate=draw(st.sampled_from([0.01, 0.3])),
    )


@given(filters(), st.floats(0, 1e-3))
def test_widths_move_by_at_most_the_rate_and_stay_in_their_bounds(f: Filters, price: float) -> None:
    moved = f.moved(price)
    assert ((moved - f.bits).abs() <= f.rate + 1e-5).all()
    assert (moved >= f.least).all()
    assert (moved <= WIDEST).all()


@given(filters(), st.floats(0, 1e-3), st.floats(0, 1e-3))
def test_a_higher_price_never_widens(f: Filters, one: float, other: float) -> None:
    assert (f.moved(max(one, other)) <= f.moved(min(one, other)) + 1e-5).all()


@given(filters())
def test_a_bit_that_is_worth_more_at_the_same_cost_moves_no_lower(f: Filters) -> None:
    even = Filters(
        bits=torch.full_like(f.bits, 5), least=f.least, costs=torch.full_like(f.costs, 7),
        worth=f.worth, rate=f.rate,
    )  # fmt: skip
    order = even.worth.argsort()
    moved = even.moved(0.01)[order]
    assert (moved.diff() >= 0).all()


@given(filters(), st.floats(-0.5, 2))
def test_the_price_of_a_budget_brings_the_cost_as_near_as_a_step_may(f: Filters, by: float) -> None:
    """Above it at least a share of what could be saved is; below it, no more is spent than that."""
    over = by * float(f.costs @ f.bits)
    price = f.price(over)
    change = float(f.costs @ (f.moved(price) - f.bits))
    saved = float(f.costs @ (f.bits - (f.bits - f.rate).clamp(min=0).maximum(f.least)))
    slack = 1e-4 * float(f.costs.sum()) * f.rate + 1e-5 * float(f.costs @ f.bits)
    assert price >= 0
    assert change <= max(-over, -SHARE * saved) + slack


def test_without_a_need_to_save_bits_are_free() -> None:
    f = Filters(
        bits=torch.tensor([2.0, 2.0]), least=torch.zeros(2), costs=torch.tensor([10.0, 10.0]),
        worth=torch.tensor([1.0, 3.0]), rate=0.1,
    )  # fmt: skip
    assert f.price(-1e9) < 1e-6
    assert (f.moved(f.price(-1e9)) > f.bits).all()
