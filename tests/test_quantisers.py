"""The quantisers of others, against their definitions, and the table that compares them."""

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks.quantisers import paired, run, wide
from benchmarks.quantisers.candidates import others
from benchmarks.quantisers.methods import WIDEST, allotted, bias_corrected, min_max
from esnsim.images.sets import embedded
from tests.networks import chain, layer, network
from tests.samples import convolutions, saved

SEEDS = st.integers(0, 2**32 - 1)


def filters(seed: int, count: int = 5, size: int = 18) -> NDArray[np.float32]:
    """Filters of unequal spread, off centre."""
    rng = np.random.default_rng(seed)
    spread, centre = rng.uniform(0.01, 2, (count, 1)), rng.normal(0, 0.05, (count, 1))
    return (centre + spread * rng.standard_normal((count, size))).astype(np.float32)


@given(SEEDS, st.integers(1, 8))
def test_min_max_takes_the_nearest_of_even_levels_with_zero_among_them(
    seed: int, bits: int
) -> None:
    weights = filters(seed).astype(np.float64)
    coded = min_max(weights, np.full(len(weights), bits))
    for row, stored, zero, values in zip(
        weights, coded.stored, coded.zero[:, 0], coded.weights, strict=True
    ):
        scale = (row.max() - row.min()) / (2**bits - 1)
        assert zero == np.rint(-row.min() / scale)
        levels = scale * (np.arange(2**bits) - zero)
        nearest = np.abs(row[:, None] - levels).min(axis=1)
        np.testing.assert_allclose(values, levels[stored])
        np.testing.assert_allclose(np.abs(row - values), nearest, atol=1e-12)


def test_min_max_keeps_filters_of_one_value() -> None:
    weights = np.array([[0.3] * 4, [-2.0] * 4, [0.0] * 4])
    np.testing.assert_allclose(min_max(weights, np.full(3, 3)).weights, weights)


@given(SEEDS, st.integers(1, 4))
def test_bias_correction_restores_mean_and_deviation_and_keeps_the_integers(
    seed: int, bits: int
) -> None:
    weights = filters(seed)
    coded = min_max(weights, np.full(len(weights), bits))
    mended = bias_corrected(weights, coded)
    wide = weights.astype(np.float64)
    np.testing.assert_allclose(mended.weights.mean(axis=1), wide.mean(axis=1), atol=1e-9)
    np.testing.assert_allclose(mended.weights.std(axis=1), wide.std(axis=1))
    assert mended.stored is coded.stored


@given(SEEDS, st.integers(1, 7))
def test_bits_are_allotted_by_sigma_to_two_thirds_within_the_mean(seed: int, bits: int) -> None:
    weights = filters(seed, count=9)
    widths = allotted(weights, bits)
    share = np.log2(weights.astype(np.float64).std(axis=1) ** (2 / 3))
    by_quota = [np.clip(np.rint(share + quota), 1, WIDEST) for quota in np.arange(-20, 20, 1 / 32)]
    best = max(w.mean() for w in by_quota if w.mean() <= bits)
    assert widths.mean() <= bits
    assert widths.mean() >= best
    assert (np.diff(widths[np.argsort(share)]) >= 0).all()


def test_min_max_costs_its_width_for_each_mac_and_the_squares_of_its_integers() -> None:
    kernels = filters(3, 6, 4 * 2 * 3).reshape(6, 4, 2, 3)
    whole = network([layer(kernels, first_filter=2)])
    found = {candidate.method: candidate for candidate in others(whole, 3)}["min–max"]
    coded = min_max(kernels.reshape(6, -1), np.full(6, 3))
    macs = whole.layers[0].macs_per_weight
    assert found.mac_bits == 3 * kernels.size * macs
    assert found.esn_a == macs * int((coded.integers**2).sum())


def test_allotted_filters_cost_their_own_widths() -> None:
    weights = filters(4, 7, 40)
    whole = chain(weights)
    found = next(c for c in others(whole, 3) if "their code" in c.method)
    assert found.mac_bits <= int(40 * allotted(weights, 3).sum()) <= 3 * weights.size


def test_the_table_has_every_method_with_accuracy_and_cost(monkeypatch: Any, capsys: Any) -> None:
    sample = embedded()
    monkeypatch.setattr(run, "MODEL", "builtin:resnet8")
    monkeypatch.setattr(run, "halves", lambda *_: (sample.first(20), sample.first(40)))
    assert run.main(["--bits", "4", "--threads", "1", "-o", "/dev/null"]) == 0
    lines = capsys.readouterr().out.splitlines()[3:]
    cells = [line.strip("| ").split(" | ") for line in lines]
    assert [row[0] for row in cells if row[0].startswith(("float", "min", "ACIQ", "ONNX"))] == [
        "float", "min–max", "min–max, bias correction",
        "min–max, bit allocation, bias correction (their code)", "ACIQ", "ACIQ, bias correction",
        "ACIQ, bit allocation, bias correction",
        *["ONNX Runtime, its weights alone", "ONNX Runtime, activations of 8 bits too"] * 2,
    ]  # fmt: skip
    macs = 9_546_624
    assert all(float(row[2].rstrip("M")) <= int(row[1]) * macs / 1e6 + 0.1 for row in cells[1:])
    assert all(float(row[4]) > 50 for row in cells if row[0] == "float" or row[1] == "8")


@pytest.mark.parametrize("count", [200, 5000])
def test_without_a_folder_no_image_is_used_twice(count: int) -> None:
    calibration, test = run.halves(None, count)
    assert calibration.labels is None
    assert test.count + calibration.count == 1000
    sample, first = embedded(), calibration.count
    np.testing.assert_array_equal(test.read(0, 2), sample.read(first, first + 2))


def test_of_ones_own_images_half_calibrate_and_the_others_are_as_the_float_model_says(
    tmp_path: Path,
) -> None:
    file, own = saved(convolutions(), tmp_path), tmp_path / "own.npy"
    model = paired.open_model(str(file))
    shape = (10, *model.network.source.inputs[0][1][1:])
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.save(own, images)
    on = paired.task(str(file), 0, Namespace(threads=1, own=own))
    np.testing.assert_array_equal(on.calibration.read(0, on.calibration.count), images[:5])
    np.testing.assert_array_equal(on.pixels, images[5:])
    np.testing.assert_array_equal(on.labels, on.floats.argmax(axis=-1))


def test_sets_are_pooled_image_by_image() -> None:
    runs = [{"images": 4, "gained": [0, 1], "lost": [3]}, {"images": 4, "gained": [0], "lost": []}]
    each = np.array([100.0, 50.0, 0.0, -50.0])
    mean, half = wide.pooled(runs)
    assert (mean, half) == pytest.approx((each.mean(), 1.96 * each.std() / 2))


def test_networks_of_the_wheel_need_no_images_of_ones_own() -> None:
    on = paired.task("resnet8", 0, Namespace(threads=1, data=None, images=3), 5)
    assert (on.calibration.count, len(on.pixels), len(on.labels)) == (5, 3, 3)
