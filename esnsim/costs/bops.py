"""BOPs of a network as others define them: one table (docs/questions.md says which is meant)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

import numpy as np

from esnsim.errors import UsageError
from esnsim.quantization.complement import ones
from esnsim.quantization.filter_sums import Ints, bit_length
from esnsim.quantization.quantizer import codes

if TYPE_CHECKING:
    from esnsim.costs.cost import LayerCost

FLOAT_BITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A way to count BOPs: its formula, source, which layers count, and the count of a layer.

    `count` takes the width of the layer's activations; where nothing quantises these it is
    `float_bits`, or there is no count.
    """

    help: str
    source: str
    layers: str
    count: "Callable[[LayerCost, int], float]"
    float_bits: int | None = None


def live(row: "LayerCost", b_a: int) -> int:
    """Σ over filters of live MACs · b_m · b_a: MAC×bit times the width of activations."""
    return row.metrics.esn_d_tilde.macs * b_a


def _effectual(row: "LayerCost", b_a: int) -> int:
    return ones(row.quantized) * row.layer.macs_per_weight * b_a


def _dense(row: "LayerCost", b_a: int) -> int:
    return row.layer.macs * _width(row) * b_a


def _nonzero(row: "LayerCost", b_a: int) -> int:
    found = int(np.count_nonzero(codes(row.quantized)))
    return found * row.layer.macs_per_weight * _width(row) * b_a


def _wider(row: "LayerCost", b_a: int) -> int:
    return row.layer.macs * max(_width(row), b_a)


def _accumulated(row: "LayerCost", b_a: int) -> float:
    b_w, reduction = _width(row), row.layer.weight.size // row.layer.filters
    return row.layer.macs * (b_a * b_w + b_a + b_w + log2(reduction))


def _enclosed(row: "LayerCost", b_a: int) -> int:
    groups, masks = row.layer.geometry.groups, row.quantized.live
    channels = np.repeat(masks.reshape(groups, -1), row.layer.filters // groups, 0)
    q: Ints = np.abs(codes(row.quantized)[channels].astype(np.int64))
    lowest: Ints = np.bitwise_and(q, np.negative(q))
    bits = int((bit_length(q) - bit_length(lowest) + (q > 0)).sum())
    return bits * row.layer.macs_per_weight * b_a


def _width(row: "LayerCost") -> int:
    """The width of a layer's weights: that of the stored type, or of its widest code."""
    stored = row.layer.weight.codes
    return stored.bits if stored else int(row.bits.max(initial=0))


#: Told wherever the width of activations is known.
ALWAYS = ("live", "effectual")
WEIGHTED = "layers with weights"
DEFINITIONS = {
    "live": Definition(
        help="live MACs × width of the filter × b_a", source="ours: ESNd~ × b_a", layers=WEIGHTED,
        count=live,
    ),
    "effectual": Definition(
        help="1 bits of live weights × b_a: at most so many pairs of 1 bits", layers=WEIGHTED,
        source="ours: what skips zeros of weights does; simulate counts the pairs that images have",
        count=_effectual,
    ),
    "qonnx": Definition(
        help="MACs of weights that are not 0 × b_w × b_a, float = 32", float_bits=FLOAT_BITS,
        source="github.com/fastmachinelearning/qonnx at cc2ec17, qonnx.util.inference_cost",
        layers="Conv, MatMul, Gemm; products of activations and linear Upsample too, which are "
        "left out here", count=_nonzero,
    ),
    "nncf": Definition(
        help="MACs × max(b_w, b_a)", count=_wider, layers="layers whose weights are quantised",
        source="github.com/openvinotoolkit/nncf at 03769ad, precision_init/compression_ratio.py",
    ),
    "mct": Definition(
        help="MACs × b_w × b_a, float = 32", count=_dense, float_bits=FLOAT_BITS,
        layers="layers with a kernel of which weights or activations are quantised",
        source="github.com/sony/model_optimization at fad922f, resource_utilization_calculator.py",
    ),
    "aimet": Definition(
        help="MACs × b_w × b_a", count=_dense, layers="layers that it may quantise",
        source="github.com/quic/aimet at c51b284, aimet_common/amp/utils.py",
    ),
    "hawq": Definition(
        help="MACs × b_w × b_a, float = 32", count=_dense, float_bits=FLOAT_BITS,
        layers="all, the first and the last too",
        source="github.com/Zhen-Dong/HAWQ at 1616df6, ILP.ipynb and model_zoo.md",
    ),
    "uniq": Definition(
        help="MACs × (b_w·b_a + b_w + b_a + log2 of the reduction), float = 32",
        count=_accumulated, float_bits=FLOAT_BITS, layers=WEIGHTED,
        source="Baskin et al. 2018, arXiv:1804.10969, as tools of hls4ml compute it",
    ),
    "ebops": Definition(
        help="live MACs × bits between the outermost ones of each weight × b_a", count=_enclosed,
        source="github.com/calad0i/HGQ at 230d602, layers/base.py and conv.py; arXiv:2405.00645",
        layers=WEIGHTED,
    ),
}  # fmt: skip


def find_definition(name: str) -> Definition:
    """A definition by its name. Raises UsageError."""
    if name not in DEFINITIONS:
        raise UsageError(f"'{name}' is no definition of BOPs: give one of {', '.join(DEFINITIONS)}")
    return DEFINITIONS[name]


def layer_bops(row: "LayerCost", name: str = "live") -> float | None:
    """BOPs of a layer for one inference; None where the width of its activations is not known."""
    definition = DEFINITIONS[name]
    b_a = row.activation_bits or definition.float_bits
    return None if b_a is None else definition.count(row, b_a)


def total_bops(rows: "tuple[LayerCost, ...]", name: str = "live") -> float | None:
    """BOPs of a network for one inference, None where one of its layers has none."""
    found = [layer_bops(row, name) for row in rows]
    return None if None in found else sum(each for each in found if each is not None)
