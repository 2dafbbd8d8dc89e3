"""Activations where there are no images: integers that are drawn, uniformly or as told."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.errors import EsnsimError, UsageError
from esnsim.files.read import read_small
from esnsim.machines.base import Activations, random_activations
from esnsim.machines.named.products import Draw
from esnsim.quantization.quantizer import QuantizedLayer
from esnsim.units import read_share

LONGEST_BYTES = 1 << 22  # of a histogram
SPREAD = 8  # a density's σ is the range over this: ours, that of the embedded networks' layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """How integers are drawn: as often as `weights` say of each, from 0 on; None is uniformly."""

    words: str = "random integers"
    seed: int = 0
    weights: NDArray[np.float64] | None = None

    def integers(self, bits: int, key: tuple[int, ...]) -> Draw:
        """A source of integers of `bits` bits, the same for the same key."""
        rng, weights = np.random.default_rng((self.seed, *key)), self._weights(bits)

        def draw(shape: tuple[int, ...]) -> NDArray[np.int64]:
            if weights is None:
                return rng.integers(0, 1 << bits, shape)
            return np.asarray(rng.choice(1 << bits, shape, p=weights))

        return draw

    def activations(self, layer: QuantizedLayer, bits: int, index: int) -> Activations:
        """Those of one inference of a layer."""
        if self.weights is None:
            return random_activations(layer, bits, (self.seed, index))
        geometry = layer.layer.geometry
        shape = (geometry.rows, len(layer.layer.channels), *geometry.input_size)
        return Activations(self.integers(bits, (index,))(shape))

    def _weights(self, bits: int) -> NDArray[np.float64] | None:
        if self.weights is None:
            return None
        if len(self.weights) > 1 << bits:
            raise UsageError(
                f"a histogram of {len(self.weights):,} integers: give {1 << bits:,} at most, those "
                f"of {bits} bits"
            )
        padded = np.pad(self.weights, (0, (1 << bits) - len(self.weights)))
        return np.asarray(padded / padded.sum())


def read_drawn(text: str | None, bits: int, seed: int = 0) -> Drawn:
    """What --density says: nothing, the share of integers that are not 0, or a file of counts.

    Those that are not 0 are normal in size, σ an eighth of the range. A file is a JSON list: how
    often there is a 0, a 1 and so on. Raises UsageError, EsnsimError.
    """
    if text is None:
        return Drawn(seed=seed)
    if text.lower().endswith(".json"):
        return Drawn(words=f"integers as often as in {text}", seed=seed, weights=_counts(text))
    try:
        share = read_share(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"a density of {text}: give a share such as 40%, or a .json file")
    size = np.arange(1, 1 << bits)
    bell = np.exp(-((size * SPREAD / (1 << bits)) ** 2) / 2)
    weights = np.concatenate([[1 - share], share * bell / max(bell.sum(), 1e-300)])
    return Drawn(words=f"random integers, {share:.3g} of them not 0", seed=seed, weights=weights)


def _counts(text: str) -> NDArray[np.float64]:
    try:
        found: Any = json.loads(read_small(Path(text), LONGEST_BYTES))
        counts = np.array(found, np.float64)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise EsnsimError(f"'{text}' is no JSON list of counts ({error}): give one") from None
    if counts.ndim != 1 or not np.isfinite(counts).all() or (counts < 0).any() or not counts.any():
        raise EsnsimError(f"'{text}': give a list of counts of 0 or more, not all of them 0")
    return counts
