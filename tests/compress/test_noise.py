"""Units pruned by the noise at the output: `esnsim.compression.prune.noise`, and as many as pay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.compression.compress import compress
from esnsim.compression.paying import held_back
from esnsim.compression.prune.noise import order
from esnsim.compression.prune.prune import live_macs
from esnsim.compression.prune.shrink import shrink
from esnsim.compression.recipe import Recipe
from esnsim.compression.round.inputs import Setting
from esnsim.compression.round.layers import refit_layers
from esnsim.compression.search import MissedError
from esnsim.costs.metric import metric_value
from esnsim.errors import UsageError, WidthError
from esnsim.evaluate.evaluator import Evaluator
from esnsim.graph.model import Model, open_model
from esnsim.graph.substitute import with_weights
from esnsim.images.sets import ImageSet
from tests.compress.prune_cases import heads
from tests.execute.models import model, normal

CHAIN = """
    t = Conv<pads = [1, 1, 1, 1]>(x, w)
    r = Relu(t)
    s = Conv<strides = [1, 2]>(r, w2)
    q = Relu(s)
    y = Conv(q, w3)
"""


def network() -> Model:
    """Three convolutions; of the first, one filter is twice another, and one is not read."""
    w, w2 = normal(6, 3, 3, 3), normal(8, 6, 2, 2, seed=1)
    w[1] = 2 * w[0]
    w2[:, 5] = 0
    return open_model(model(CHAIN, w=w, w2=w2, w3=normal(4, 8, 1, 1, seed=2)))


def images(count: int = 60) -> ImageSet:
    x = normal(count, 3, 6, 5, seed=3) + 2 * normal(count, 1, 1, 1, seed=4)
    return ImageSet(name="made", count=count, read=lambda start, stop: x[start:stop])


def gains(opened: Model) -> list[np.ndarray]:
    return [np.ones((layer.filters, 2)) for layer in opened.network.layers]


def test_what_others_make_up_for_goes_first() -> None:
    opened = network()
    first = opened.network.layers[0]
    units = order(opened, images(), gains(opened)).units.tolist()
    own = [u for u in units if first.first_filter <= u < first.first_filter + first.filters]
    assert own[0] == first.first_filter + 5
    assert own[1] in (first.first_filter, first.first_filter + 1)


@pytest.mark.parametrize("share", [0.9, 0.7, 0.5])
def test_as_many_macs_stay_as_are_asked_for(share: float) -> None:
    opened = network()
    going = order(opened, images(), gains(opened))
    macs = live_macs(opened.network, going.kept(1.0))
    kept = going.kept(share)
    assert macs == sum(layer.macs for layer in opened.network.layers)
    assert live_macs(opened.network, kept) <= share * macs
    assert all((~mask).sum() <= len(mask) / 2 for mask in kept)


def test_the_noise_of_a_removal_is_that_of_the_refitted_model() -> None:
    opened, some = network(), images(200)
    kept = order(opened, some, gains(opened)).kept(0.97)
    assert sum(int((~mask).sum()) for mask in kept) == 1  # the channel that nothing reads
    smaller = shrink(opened, kept)
    setting = Setting(whole=opened, model=smaller, images=some, kept=kept)
    smaller = smaller.reopened(with_weights(smaller, refit_layers(setting)))
    reference = Evaluator(opened, some).reference
    assert Evaluator(smaller, some, reference)({}).sqnr_db > 60


def test_of_queries_and_keys_none_goes_and_of_values_some() -> None:
    opened = open_model(heads())
    x = normal(40, 3, 6, 5, seed=3)
    some = ImageSet(name="made", count=40, read=lambda start, stop: x[start:stop])
    _, queries, keys, values, _, _ = order(opened, some, gains(opened)).kept(0.5)
    assert queries.all()
    assert keys.all()
    assert values.reshape(2, 4).sum(axis=1).tolist() == [values.sum() / 2] * 2
    assert not values.all()


@pytest.mark.parametrize("aim", [{"budget": 1500.0}, {"sqnr": 10.0}])
def test_as_many_filters_go_as_pay(aim: dict[str, float]) -> None:
    opened, some = network(), images(96)
    plain = compress(opened, Recipe(**aim, ratio=0.0), some, some, threads=1)
    found = compress(opened, Recipe(**aim, ratio=None), some, some, threads=1)
    spent = metric_value(found.after.total, "esn_d_tilde")
    assert found.removed > 0
    assert found.evaluation is not None
    assert plain.evaluation is not None
    if "budget" in aim:
        assert found.workspace.calibration is not None
        assert found.workspace.calibration.count == 72  # the other 24 judged
        assert spent <= aim["budget"]
        assert found.evaluation.sqnr_db > plain.evaluation.sqnr_db
    else:
        assert found.evaluation.sqnr_db >= aim["sqnr"]
        assert spent < plain.spent[1]


def test_where_nothing_tells_what_filters_are_worth_none_go() -> None:
    """The float model gives 0 for the images that are held back."""
    pixels = normal(40, 3, 6, 5, seed=3)
    pixels[30:] = 0
    dark = ImageSet(name="dark", count=40, read=lambda start, stop: pixels[start:stop])
    found = compress(network(), Recipe(budget=1500.0, ratio=None), images(), dark, threads=1)
    assert found.removed == 0


@given(count=st.integers(1, 3000), most=st.integers(1, 2048))
def test_images_that_judge_do_not_calibrate(count: int, most: int) -> None:
    every = ImageSet(name="made", count=count, read=lambda a, b: np.arange(a, b))
    calibrate, held = held_back(every, most)
    seen, judging = (set(each.read(0, each.count).tolist()) for each in (calibrate, held))
    assert 1 <= len(seen) <= most
    if count < 4:
        assert seen == judging
    else:
        assert not seen & judging
        assert len(judging) == min(512, count // 4)
        assert len(seen) == min(most, count - len(judging))


def test_as_many_as_pay_needs_an_aim_and_images() -> None:
    with pytest.raises(UsageError, match="as many filters as pay go for an aim"):
        Recipe(ratio=None, budget=9.0, policy="uniform")
    with pytest.raises(UsageError, match="measured on images: give --data"):
        compress(network(), Recipe(ratio=None, budget=2000.0))
    with pytest.raises(WidthError, match="is below the least"):
        compress(network(), Recipe(ratio=None, budget=10.0), images(), images(), threads=1)
    with pytest.raises(MissedError, match="at 8 bits the SQNR is"):
        compress(network(), Recipe(ratio=None, sqnr=90.0), images(), images(), threads=1)
