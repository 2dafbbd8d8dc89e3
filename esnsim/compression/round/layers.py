"""Layers in graph order, each refitted or rounded on what the changed layers before it deliver."""

from dataclasses import replace
from time import monotonic
from typing import NamedTuple

import numpy as np

from esnsim.compression.correct.meters import Meter, Norm, Output, constant, meters
from esnsim.compression.correct.moments import anchor_of, pooled
from esnsim.compression.journal import digest
from esnsim.compression.round.filters import compensated, given, refitted
from esnsim.compression.round.inputs import Inputs, Setting
from esnsim.compression.round.moments import Moments
from esnsim.compression.round.reference import Reference
from esnsim.compression.round.walk import Walk
from esnsim.errors import ModelError
from esnsim.graph.model import Model
from esnsim.graph.sites import Site, Slot, sites
from esnsim.graph.substitute import Changes, dequantized, dtype_of
from esnsim.model.network import Array, Layer
from esnsim.progress import show_progress
from esnsim.quantization.quantizer import QuantizedLayer, QuantizedNetwork, codes, quantize


class Candidate(NamedTuple):
    """A network in codes, and the constants of its graph that follow: weights, statistics.

    `alone` are layers that keep their nearest codes, since what they read can't be had.
    """

    quantized: QuantizedNetwork
    changes: Changes
    alone: tuple[Layer, ...] = ()


def round_layers(setting: Setting, near: QuantizedNetwork) -> Candidate:
    """Codes that compensate, no filter wider than its nearest ones.

    Filters have the steps that they had, unless the rule is one of least error. Raises DataError
    for images that do not fit.
    """
    work = _Work(setting, near)
    work.run()
    layers = tuple(row.layer for row in work.rows)
    found = quantize(replace(near.network, layers=layers))
    found = replace(found, scheme=near.scheme, notes=near.notes)
    return Candidate(found, work.changes, tuple(work.alone))


def refit_layers(setting: Setting) -> Changes:
    """A pruned model's weights and biases for the inputs that are left, and its statistics."""
    work = _Work(setting, None)
    work.run()
    return work.changes


class _Work:
    """One way through a model, and through the whole one in float beside it."""

    def __init__(self, setting: Setting, near: QuantizedNetwork | None) -> None:
        self.changes: dict[Slot, Array] = {}
        self.rows: list[QuantizedLayer] = [] if near is None else list(near.layers)
        self.alone: list[Layer] = []
        self._refitted: dict[int, Array] = {}
        self._setting, self._rule = setting, near.scheme.resolved_rule if near else ""
        model, self._sites = setting.model, sites(setting.model)
        self._meters = meters(model) if setting.targets is not None else ()
        reference = setting.reference or Reference(setting.whole, setting.images, setting.threads)
        self._inputs = Inputs(setting, self._sites, reference)
        wanted = {m.value: m.place + isinstance(m, Output) for m in self._meters}
        for site in self._sites:  # in order: the last layer that reads a value
            wanted |= {name: site.place for name in model.nodes[site.place].input}
        end = max(wanted.values(), default=0) + 1
        self._walk = Walk(model, reference.feeds, end, wanted, self._slots(), setting.threads)
        self._journal, self._key = setting.journal, "" if near is None else digest(near)
        self._started, self._done = monotonic(), 0

    def run(self) -> None:
        """Stop at every layer, and wherever statistics are corrected."""
        stops: list[tuple[int, int, Site | Meter]] = [(s.place, 1, s) for s in self._sites]
        for meter in self._meters:
            if isinstance(meter, Output):
                self._walk.put(meter.bias, _bias(self._setting.model, meter))
                stops.append((meter.place + 1, 0, meter))
            else:
                stops.append((meter.place, 1, meter))
        for place, _, stop in sorted(stops, key=lambda stop: stop[:2]):
            reached = self._reach(place)
            if isinstance(stop, Site) and self.rows:
                self._told(stop, self._round(stop, reached))
            elif isinstance(stop, Site):
                self._told(stop, "")
                self._refit(stop, self._moments(stop) if reached else None)
            elif not reached:
                self._leave(stop)
            elif isinstance(stop, Norm):
                self._normalise(stop)
            else:
                self._centre(stop)

    def _told(self, site: Site, gained: str) -> None:
        """Say which layer is done, what that gained, and how long the others will take."""
        self._done += 1
        total, taken = len(self._sites), monotonic() - self._started
        left = taken / self._done * (total - self._done)
        what = "rounding" if self.rows else "refitting"
        show_progress(
            f"{what} layer {self._done:,} of {total:,}, '{site.layer.name}'{gained}, "
            f"{left:.0f} s left"
        )

    def _reach(self, place: int) -> bool:
        """Whether all before a place runs: a part that can't run alone may with what follows."""
        try:
            self._walk.advance(place)
        except ModelError:
            if self._setting.activation_bits is not None:  # what is quantised has to be known
                raise
            return False
        return True

    def _leave(self, meter: Meter) -> None:
        """Keep the statistics as they are."""
        for slot in (meter.mean, meter.variance) if isinstance(meter, Norm) else ():
            found = constant(self._setting.model, slot, {})
            assert found is not None
            self._walk.put(slot, found)

    def _moments(self, site: Site) -> list[Moments] | None:
        try:
            found = self._inputs.moments(site, self._walk)
        except ModelError:
            return None
        return [each.centred for each in found] if found and self._centred(site) else found

    def _refit(self, site: Site, moments: list[Moments] | None) -> None:
        """Refit a layer; a weight that several layers use is that of the first."""
        index, first = site.index, self._inputs.first_use(site)
        if first == index:
            self._refitted[index] = site.layer.weight.load()
            if moments:
                self._refitted[index] = refitted(site.layer, moments)
        self._put(site.slot, site.to_operand(self._refitted[first]))

    def _round(self, site: Site, reached: bool) -> str:
        """Round a layer, a weight that several layers use as at the first; what that gained."""
        index, first, gained = site.index, self._inputs.first_use(site), ""
        known = self._journal.get(f"{self._key}/{index}") if self._journal else None
        moments = None
        if known is None or self._setting.activation_bits is not None:
            moments = self._moments(site) if reached else None
        if known is not None:
            self.rows[index] = given(self.rows[index], known["q"], known["steps"])
        elif moments is None:
            self.alone.append(site.layer)
        elif first == index:
            pruned = self._setting.kept is not None
            found = compensated(self.rows[index], moments, self._rule, pruned)
            self.rows[index] = found.layer
            gained = f", {found.before:.1f} → {found.after:.1f} dB at its output"
        row = self.rows[first]
        self.rows[index] = given(self.rows[index], codes(row), row.steps)
        if self._journal and known is None and moments is not None:
            q, steps = codes(self.rows[index]), self.rows[index].steps
            self._journal.put(f"{self._key}/{index}", {"q": q, "steps": steps})
        self._put(site.slot, site.to_operand(dequantized(self.rows[index])))
        return gained

    def _centred(self, site: Site) -> bool:
        """Whether what a layer that lost inputs gives on average is made up for behind it."""
        biased = any(isinstance(m, Output) and m.weight == site.slot for m in self._meters)
        normed = bool(self._meters) and site.layer.batchnorm is not None
        return self._setting.kept is not None and (biased or normed)

    def _normalise(self, meter: Norm) -> None:
        """Give a BatchNormalization the statistics of what it reads."""
        targets = self._setting.targets or {}
        found = pooled([_of_channels(x, meter.axis) for x in self._walk.values(meter.value)])
        new = anchor_of(self._setting.model, meter, targets).statistics(found)
        self._put(meter.mean, new.mean)
        self._put(meter.variance, new.variance)

    def _centre(self, meter: Output) -> None:
        """Bring a layer's output to the mean that it has in float, by its bias."""
        targets, batches = self._setting.targets or {}, self._walk.values(meter.value)
        found = pooled([_of_channels(x, meter.axis) for x in batches])
        shift = targets[meter.name].mean - found.mean
        self.changes[meter.bias] = _bias(self._setting.model, meter) + shift
        shape = [-1 if axis == meter.axis else 1 for axis in range(len(meter.shape))]
        moved = [x + shift.astype(x.dtype).reshape(shape) for x in batches]
        self._walk.replace(meter.value, moved)

    def _put(self, slot: Slot, array: Array) -> None:
        """Change a constant, before its node runs."""
        self.changes[slot] = array
        self._walk.put(slot, array.astype(dtype_of(self._setting.model, slot)))

    def _slots(self) -> list[Slot]:
        """What is given in place of the model's own."""
        slots = [*(site.slot for site in self._sites), *self._inputs.slots]
        for meter in self._meters:
            slots += [meter.bias] if isinstance(meter, Output) else [meter.mean, meter.variance]
        return slots


def _bias(model: Model, meter: Output) -> Array:
    """A layer's bias, zeros where it has none yet, in the layer's type."""
    found = constant(model, meter.bias, {})
    channels = meter.shape[meter.axis]
    return np.zeros(channels, meter.dtype) if found is None else found


def _of_channels(x: Array, axis: int) -> tuple[Array, Array, int]:
    """Mean and variance of the channels of a batch, and its size."""
    others = tuple(at for at in range(x.ndim) if at != axis)
    mean = x.mean(axis=others, dtype=np.float64)
    shape = [-1 if at == axis else 1 for at in range(x.ndim)]
    off = x - mean.astype(x.dtype).reshape(shape)
    return mean, np.square(off).mean(axis=others, dtype=np.float64), len(x)
