"""What the table compares: quantised weights of a float model, with what they cost."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

import esnsim
from benchmarks.quantisers.methods import (
    Affine,
    Floats,
    Ints,
    allotted,
    bias_corrected,
    min_max,
    moments_of,
)
from esnsim.compression.allocate.allocate import allocate, choices
from esnsim.compression.allocate.policies import filter_sigma
from esnsim.graph.substitute import dequantized
from esnsim.model.network import Array, Codes, Layer, Network
from esnsim.quantization.quantizer import QuantizedNetwork
from esnsim.quantization.scheme import Scheme

#: Weights (M, K) of each layer in graph order.
Weights = tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Weights by a method at a nominal width; MAC×bit and ESNa by MACs."""

    method: str
    bits: int
    mac_bits: int
    esn_a: float
    weights: Weights


def others(network: Network, bits: int) -> Iterator[Candidate]:
    """The methods of others, with ACIQ's clipping from esnsim's rule of that name."""
    floats = tuple(_matrix(layer.weight.load()) for layer in network.layers)
    same = tuple(np.full(len(w), bits) for w in floats)
    shares = tuple(allotted(w, bits) for w in floats)
    plain = tuple(map(min_max, floats, same))
    yield _affine("min–max", network, bits, plain)
    yield _affine("min–max, bias correction", network, bits, _all(floats, plain))
    shared = tuple(map(min_max, floats, shares))
    title = "min–max, bit allocation, bias correction (their code)"
    yield _affine(title, network, bits, _all(floats, shared))
    clipped = _ours("ACIQ", network, bits, Scheme("aciq", bits))
    yield clipped
    yield _with_moments("ACIQ, bias correction", clipped, floats)
    names = [layer.name for layer in network.layers]
    scheme = Scheme("aciq", widths=dict(zip(names, shares, strict=True)))
    clipped = _ours("", network, bits, scheme)
    yield _with_moments("ACIQ, bit allocation, bias correction", clipped, floats)


def ours(network: Network, bits: int, gains: Sequence[Floats]) -> Iterator[Candidate]:
    """esnsim's step rules, and its policies for what `bits` in every filter cost.

    `gains` are those of `esnsim.compression.allocate.sensitivity`.
    """
    yield _ours("layer-max (App. A)", network, bits, Scheme("layer-max", bits))
    yield _ours("filter-max", network, bits, Scheme("filter-max", bits))
    yield _ours("mse", network, bits, Scheme("mse", bits))
    budget = bits * sum(layer.macs for layer in network.layers)
    yield _ours("filter-sigma within the budget", network, bits, filter_sigma(network, budget))
    scheme = allocate(choices(network), budget).scheme
    yield _ours("allocate by weight error within the budget", network, bits, scheme)
    scheme = allocate(choices(network, gains=gains), budget).scheme
    yield _ours("allocate by measured gains within the budget", network, bits, scheme)


def stored(method: str, bits: int, network: Network) -> Candidate:
    """The weights of a model that is quantised already, what they stand for and cost."""
    return _candidate(method, bits, esnsim.quantize(network))


def _affine(method: str, network: Network, bits: int, layers: tuple[Affine, ...]) -> Candidate:
    """MAC×bit by the widths that an array streams, ESNa by integers without their zero point."""
    streamed = _coded(network, layers, lambda coded: coded.centred)
    amplitudes = _coded(network, layers, lambda coded: coded.integers)
    return Candidate(
        method, bits, streamed.total.esn_d_tilde.macs, amplitudes.total.esn_a_x4.macs / 4,
        tuple(coded.weights for coded in layers),
    )  # fmt: skip


def _coded(
    network: Network, layers: tuple[Affine, ...], pick: Callable[[Affine], Ints]
) -> esnsim.Cost:
    """The cost of a network that has integers in place of its weights."""
    rows = tuple(map(_stand_in, network.layers, map(pick, layers)))
    return esnsim.cost(esnsim.quantize(replace(network, layers=rows)))


def _stand_in(layer: Layer, integers: Ints) -> Layer:
    """The layer with integers of step 1 in place of its weights."""
    shaped = integers.reshape(layer.weight.shape).astype(np.int32)
    bits = int(np.abs(shaped).max()).bit_length() + 1
    codes = Codes(bits, False, True, lambda: np.ones_like(shaped, np.float64))
    return replace(layer, weight=replace(layer.weight, load=lambda: shaped, codes=codes))


def _all(floats: Weights, coded: tuple[Affine, ...]) -> tuple[Affine, ...]:
    return tuple(map(bias_corrected, floats, coded))


def _ours(method: str, network: Network, bits: int, scheme: Scheme) -> Candidate:
    return _candidate(method, bits, esnsim.quantize(network, scheme))


def _candidate(method: str, bits: int, quantized: QuantizedNetwork) -> Candidate:
    total = esnsim.cost(quantized).total
    weights = tuple(_matrix(dequantized(layer)) for layer in quantized.layers)
    return Candidate(method, bits, total.esn_d_tilde.macs, total.esn_a_x4.macs / 4, weights)


def _with_moments(method: str, candidate: Candidate, floats: Weights) -> Candidate:
    weights = tuple(map(moments_of, floats, candidate.weights))
    return replace(candidate, method=method, weights=weights)


def _matrix(weights: Array) -> Floats:
    return weights.reshape(len(weights), -1).astype(np.float64)
