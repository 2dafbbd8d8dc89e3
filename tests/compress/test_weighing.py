"""Of several allocations the one that measures best: `esnsim.compression.allocate.weighing`."""

from dataclasses import replace

import numpy as np
import pytest

from esnsim.compression.allocate.allocate import allocate
from esnsim.compression.allocate.weighing import allocator, evened
from esnsim.compression.workspace import prepare
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.errors import WidthError
from esnsim.graph.model import open_model
from esnsim.images.sets import load
from esnsim.quantization.quantizer import quantize


@pytest.fixture(scope="module", params=["nearest", "compensated"])
def workspace(request, place):
    images = load(place / "images.npz").first(24)
    model = open_model(place / "model.onnx")
    return prepare(model, images, images, rounding=request.param, threads=1)


@pytest.fixture(scope="module")
def best(workspace):
    return allocator(workspace, workspace.calibration, threads=1, effort=10**10)


@pytest.mark.parametrize("bits", [1.2, 2.5])
def test_no_weighing_measures_better_than_the_one_that_is_kept(best, workspace, bits):
    budget = bits * sum(layer.macs for layer in workspace.network.layers)
    found = best(budget)
    each = [allocate(offer, budget) for offer in best.offers]
    assert len({str(allocation.widths) for allocation in each}) > 1  # they weigh differently
    assert best.judge(found) == max(best.judge(allocation) for allocation in each)
    assert (
        metric_value(cost(quantize(workspace.network, found.scheme)).total, "esn_d_tilde") <= budget
    )


def test_widths_are_less_unlike_the_smaller_the_share(best, workspace):
    offer = replace(best.offers[0], first=np.ones_like(best.offers[0].first))
    budget = 3 * sum(layer.macs for layer in workspace.network.layers)
    every = [allocate(evened(offer, share), budget).widths for share in (0.0, 0.5, 1.0)]
    one, between, plain = (np.concatenate([*widths.values()]) for widths in every)
    assert np.ptp(one) == 0
    assert 0 < between.std() < plain.std()
    assert (plain == np.concatenate([*allocate(offer, budget).widths.values()])).all()


def test_where_one_weighing_can_pay_it_is_kept(best, workspace):
    every = [offer.least for offer in best.offers]
    least = min(every)
    assert best(least).cost <= least
    assert (least < max(every)) == (workspace.rounding == "nearest")  # else all prune
    with pytest.raises(WidthError, match="is below the least that esn_d_tilde can be"):
        best(least - 1)
