"""The strategies draw the cases that matter: a law over cases that never come says nothing."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from esnsim.machines.lowering import needs_mask
from esnsim.model.network import Network
from esnsim.onnxfile.wire import SMALL
from tests import strategies
from tests.named.tasks import tasks

Case = Callable[[Any], Any]
EXAMPLES, LEAST = 200, 2


class AllSeenError(Exception):
    """Every case came often enough."""


def missing(strategy: st.SearchStrategy[Any], cases: dict[str, Case]) -> dict[str, int]:
    """How often those cases came that came too seldom in some hundred examples, always the same.

    No more are drawn once there is none.
    """
    missing, drawn = dict.fromkeys(cases, LEAST), 0

    @settings(
        max_examples=EXAMPLES, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy)
    def collect(example: Any) -> None:
        nonlocal drawn
        drawn += 1
        for name in [name for name in missing if cases[name](example)]:
            missing[name] -= 1
            if not missing[name]:
                del missing[name]
        if not missing:
            raise AllSeenError

    with suppress(AllSeenError):
        collect()
    assert drawn == EXAMPLES or not missing
    return {name: LEAST - left for name, left in missing.items()}


def unlike(values: Any) -> bool:
    return len(set(values)) > 1


GEOMETRIES: dict[str, Case] = {
    **{f"rank {rank}": lambda g, rank=rank: len(g.kernel) == rank for rank in range(4)},
    "input not square": lambda g: unlike(g.input_size),
    "kernel not square": lambda g: unlike(g.kernel),
    "kernel larger than one": lambda g: any(k > 1 for k in g.kernel),
    "strided": lambda g: any(s > 1 for s in g.strides),
    "strides differ": lambda g: unlike(g.strides),
    "dilated": lambda g: any(d > 1 and k > 1 for d, k in zip(g.dilations, g.kernel, strict=True)),
    "pads before and after differ": lambda g: any(a != b for a, b in g.pads),
    "pads of axes differ": lambda g: unlike(g.pads),
    "transposed": lambda g: g.transposed,
    "transposed and padded at the output": lambda g: any(g.output_padding),
    "one window": lambda g: g.windows == 1,
    "many windows": lambda g: g.windows > 8,
    "windows that leave pixels out": lambda g: not g.transposed and any(
        s > k for s, k in zip(g.strides, g.kernel, strict=True)
    ),
    "a batch": lambda g: g.batch > 1,
}  # fmt: skip

LAYERS: dict[str, Case] = {
    "grouped": lambda q: 1 < q.layer.geometry.groups < len(q.layer.channels),
    "depthwise": lambda q: 1 < q.layer.geometry.groups == len(q.layer.channels),
    "depthwise, several filters a channel": lambda q: (
        1 < q.layer.geometry.groups == len(q.layer.channels) < q.layer.filters
    ),
    "grouped and transposed": lambda q: q.layer.geometry.groups > 1 and q.layer.geometry.transposed,
    "a pruned filter": lambda q: (q.sums.width_code == 0).any(),
    "nothing but pruned filters": lambda q: not q.sums.width_code.any(),
    "a filter of one bit": lambda q: (q.sums.width_code == 1).any(),
    "a filter of eight bits": lambda q: (q.sums.width_code == 8).any(),
    "widths differ": lambda q: unlike(q.sums.width_code.tolist()),
    "a dead channel": lambda q: not q.live.all(),
    "a channel alive beside a dead one": lambda q: q.live.any() and not q.live.all(),
    "nothing alive": lambda q: not q.live.any(),
    "a mask plane": lambda q: needs_mask(q).any(),
    "a mask plane of some filters": lambda q: unlike(needs_mask(q).tolist()),
    "zeros not kept": lambda q: not q.keep_zeros,
    "a loop": lambda q: q.layer.repeats > 1,
    "one filter": lambda q: q.layer.filters == 1,
    "more windows than one": lambda q: q.layer.geometry.windows > 1,
}

NETWORKS: dict[str, Case] = {
    "one layer": lambda n: len(n.layers) == 1,
    "several layers": lambda n: len(n.layers) > 2,
    "added channels": lambda n: n.merges,
    "shared weights": lambda n: len({each.weight.origin for each in n.layers}) < len(n.layers),
    "shared weights with other geometries": lambda n: any(
        a.weight.origin == b.weight.origin and a.macs != b.macs for a in n.layers for b in n.layers
    ),
    "a channel read twice": lambda n: any(
        len(set(each.channels.tolist())) < len(each.channels) for each in n.layers
    ),
    "channels of several layers joined": lambda n: any(
        unlike([owner(n, channel) for channel in each.channels]) for each in n.layers
    ),
    "a filter of zeros": lambda n: any(
        not filter_.any() for each in n.layers for filter_ in each.weight.load()
    ),
    "single zeros": lambda n: any(
        (each.weight.load() == 0).any() and each.weight.load().any() for each in n.layers
    ),
}


def owner(network: Network, channel: int) -> int:
    """The first filter of the layer that a channel comes from."""
    return max((n.first_filter for n in network.layers if n.first_filter <= channel), default=0)


TASKS: dict[str, Case] = {
    "grouped": lambda t: t.layer.layer.geometry.groups > 1,
    "depthwise": lambda t: 1 < t.layer.layer.geometry.groups == len(t.layer.layer.channels),
    "strided": lambda t: any(s > 1 for s in t.layer.layer.geometry.strides),
    "strides differ": lambda t: unlike(t.layer.layer.geometry.strides),
    "dilated": lambda t: any(d > 1 for d in t.layer.layer.geometry.dilations),
    "pads before and after differ": lambda t: any(a != b for a, b in t.layer.layer.geometry.pads),
    "a matrix product": lambda t: not t.layer.layer.geometry.input_size,
    "windows beside each other": lambda t: t.layer.layer.geometry.windows > 1,
    "images beside each other": lambda t: t.work.images > 1,
    "a dead filter": lambda t: (t.layer.sums.width_code == 0).any() and t.work.groups,
    "a dead channel": lambda t: not t.layer.live.all() and t.work.groups,
    "nothing alive": lambda t: not t.work.groups,
    "filters of 1 bit": lambda t: (t.layer.sums.width_code == 1).any(),
    "filters of 16 bits": lambda t: (t.layer.sums.width_code == 16).any(),
    "widths differ": lambda t: unlike(t.layer.sums.width_code.tolist()),
    "a mask plane": lambda t: any(alike.masks.shape[1] for alike in t.work.groups),
    "stored integers": lambda t: t.layer.layer.weight.codes is not None,
    "signed activations": lambda t: t.signed,
    "activations of 16 bits": lambda t: t.bits == 16,
    "a zero point": lambda t: t.zero != 0,
    "most activations zero": lambda t: (t.x == 0).mean() > 0.5,
}  # fmt: skip

ROWS: dict[str, Case] = {
    "filters differ in step": lambda r: unlike(r.step.tolist()),
    "a limit of zero": lambda r: (r.limit == 0).any(),
    "saturated": lambda r: (np.abs(r.weights) > (r.step * (r.limit + 2))[:, None]).any(),
    "on a boundary": lambda r: np.isin(
        r.weights, (np.arange(-9, 10)[:, None] * r.step / 2).astype(r.weights.dtype)
    ).any(),
    "a negative zero": lambda r: ((r.weights == 0) & np.signbit(r.weights)).any(),
    "subnormal": lambda r: (
        (np.abs(r.weights) < np.finfo(r.weights.dtype).tiny) & (r.weights != 0)
    ).any(),
    "float32": lambda r: r.weights.dtype == np.float32,
    "float64": lambda r: r.weights.dtype == np.float64,
    "zeros not kept": lambda r: not r.keep_zeros,
    "a filter of zeros": lambda r: (~r.weights.any(axis=1)).any(),
}

PROTOS: dict[str, Case] = {
    "a tensor that is left out": lambda p: any(
        tensor.ByteSize() >= SMALL for tensor in p.graph.initializer
    ),
    "a small tensor": lambda p: any(t.ByteSize() < SMALL for t in p.graph.initializer),
    "a function": lambda p: p.functions,
    "a sparse tensor": lambda p: p.graph.sparse_initializer,
    "a tensor in a graph in a node": lambda p: any(
        attribute.g.initializer for node in p.graph.node for attribute in node.attribute
    ),
    "a graph in a graph in a graph": lambda p: any(
        inner.g.node or inner.g.initializer
        for node in p.graph.node for attribute in node.attribute
        for body in (attribute.g, *attribute.graphs) for within in body.node
        for inner in within.attribute
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("strategy", "cases"),
    [
        (strategies.geometries(), GEOMETRIES),
        (strategies.quantized_layers(), LAYERS),
        (strategies.networks(), NETWORKS),
        (strategies.rows(), ROWS),
        (strategies.protos(), PROTOS),
        (tasks(), TASKS),
    ],
    ids=["geometries", "quantized_layers", "networks", "rows", "protos", "tasks"],
)
def test_every_case_that_matters_is_drawn(
    strategy: st.SearchStrategy[Any], cases: dict[str, Case]
) -> None:
    assert missing(strategy, cases) == {}
