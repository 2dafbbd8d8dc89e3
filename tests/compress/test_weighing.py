"""Of several allocations the one that measures best: `esnsim.compression.allocate.weighing`."""

import pytest

from esnsim.compression.allocate.allocate import allocate
from esnsim.compression.allocate.weighing import allocator
from esnsim.compression.workspace import prepare
from esnsim.costs.cost import cost
from esnsim.costs.metric import metric_value
from esnsim.errors import WidthError
from esnsim.graph.model import open_model
from esnsim.images.sets import load
from esnsim.quantization.quantizer import quantize


@pytest.fixture(scope="module", params=["nearest", "compensated"])
def best(request, place):
    images = load(place / "images.npz").first(24)
    model = open_model(place / "model.onnx")
    workspace = prepare(model, images, images, rounding=request.param, threads=1)
    return allocator(workspace, images, threads=1, effort=10**10)


def sqnr(best, scheme):
    return best.judge.evaluate(quantize(best.judge.network, scheme)).sqnr_db


@pytest.mark.parametrize("bits", [1.2, 2.5])
def test_no_weighing_measures_better_than_the_one_that_is_kept(best, bits):
    budget = bits * sum(layer.macs for layer in best.judge.network.layers)
    found = best(budget)
    each = [allocate(offer, budget).scheme for offer in best.offers]
    assert (
        len({str(scheme.widths) for scheme in each}) == len(each) > 1
    )  # they do weigh differently
    assert sqnr(best, found.scheme) == max(sqnr(best, scheme) for scheme in each)
    assert (
        metric_value(cost(quantize(best.judge.network, found.scheme)).total, "esn_d_tilde")
        <= budget
    )


def test_where_one_weighing_can_pay_it_is_kept(best):
    least = min(offer.least for offer in best.offers)
    assert best(least).cost <= least < max(offer.least for offer in best.offers)
    with pytest.raises(WidthError, match="is below the least that esn_d_tilde can be"):
        best(least - 1)
