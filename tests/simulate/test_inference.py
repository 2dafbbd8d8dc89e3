"""Figures of one inference, and nothing lost: laws of `esnsim simulate` on small models.

- figures of shapes and codes do not depend on how many images run, nor on threads
- active and idle unit-cycles are all unit-cycles, in integers, a layer and in total
- what is simulated and what is not are together what `cost` counts
- a full array of n w-bit multipliers does 2·n·clock operations a second
- energy is the sum of what was counted times its price
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.commandline import esnsim, refused, report
from tests.importer.models import model
from tests.samples import convolutions, saved, weights


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def unit_cycles(counts: dict[str, int]) -> int:
    idle = sum(n for name, n in counts.items() if name.startswith("idle"))
    return counts["active"] + idle + counts["mask_active"] + counts["mask_idle"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model whose images have 25 windows and 1, fewer than a tile has; 37 images to run."""
    folder = tmp_path_factory.mktemp("small")
    proto = model(
        """[conv] c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) f = Flatten(r)
           [fc] y = Gemm<transB=1>(f, v)""",
        "float[N,3,5,5] x", w=normal(10, 3, 3, 3), v=normal(7, 250),
    )  # fmt: skip
    np.save(folder / "x.npy", np.random.default_rng(1).random((74, 3, 5, 5), np.float32))
    return saved(proto, folder), folder / "x.npy"


@pytest.mark.parametrize("array", ["64x64x64", "8x16x64", "3x5x7", "ideal-analog", "isaac"])
def test_figures_of_shapes_and_codes_do_not_depend_on_the_images(
    array: str, small: tuple[Path, Path]
) -> None:
    path, data = small
    words = ("simulate", path, "--data", data, "--array", array, "--json", "--images")
    one, many = report(esnsim(*words, 1)), report(esnsim(*words, 37, "--threads", 2))
    for first, second in zip(one["layers"], many["layers"], strict=True):
        of_one, of_all = first.pop("counts"), second.pop("counts")
        energies = first.pop("energy"), second.pop("energy")
        assert energies[0] == energies[1]
        assert (first.pop("images"), second.pop("images")) == (1, 37)
        assert (first.pop("sqnr_db", None) is None) == (second.pop("sqnr_db", None) is None)
        assert first == second
        for counts in (of_one, of_all):
            counts.pop("essential_bits", None)
        assert {name: n and 37 * n for name, n in of_one.items()} == of_all
    for figure in ("macs", "esn_d_tilde", "cycles", "mac_bits", "dram_bits"):
        assert one["totals"].get(figure) == many["totals"].get(figure) != 0


def test_figures_of_data_are_sums_over_the_images(small: tuple[Path, Path]) -> None:
    path, data = small
    images = np.load(data)
    words = ("--array", "8x4x4", "--activation-bits", 3, "--json")
    found = []
    for part in (images[:7], images[:3], images[3:7]):
        # The first half sets the scales of activations: its extremes are the same for each part.
        extremes = np.zeros_like(part)
        extremes[0] = 1
        np.save(path.parent / "part.npy", np.concatenate([extremes, part]))
        chosen = ("--data", path.parent / "part.npy", "--images", len(part))
        ran = esnsim("simulate", path, *chosen, *words)
        found.append(report(ran)["layers"][0]["counts"]["essential_bits"])
    assert found[0] == found[1] + found[2] > 0


@pytest.mark.parametrize("array", ["8x4x4", "isaac"])
def test_right_answers_are_sums_over_the_images_for_any_split(
    array: str, small: tuple[Path, Path]
) -> None:
    path, data = small
    images, labels = np.load(data), np.arange(74) % 7

    def right(first: int, last: int) -> np.ndarray:
        extremes = np.zeros((last - first, *images.shape[1:]), np.float32)
        extremes[0] = 1
        np.savez(
            path.parent / "part.npz", images=np.concatenate([extremes, images[first:last]]),
            labels=np.concatenate([labels[first:last]] * 2),
        )  # fmt: skip
        words = ("simulate", path, "--data", path.parent / "part.npz", "--array", array)
        found = report(esnsim(*words, "--end-to-end", "--json"))["accuracy"]
        assert found["images"] == last - first
        shares = [found["simulated"], found["float_model"], found["agreement"]]
        return np.array(shares) * (last - first)

    whole, parts = right(0, 40), right(0, 13) + right(13, 40)
    np.testing.assert_allclose(whole, parts, rtol=1e-12)
    assert 0 < whole[0] < 40


@settings(max_examples=15)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(1, 70),
       st.sampled_from(["bit-parallel", "sorted", "serial"]))  # fmt: skip
def test_unit_cycles_are_active_or_idle_a_layer_and_in_total(
    rows: int, lanes: int, windows: int, schedule: str
) -> None:
    with TemporaryDirectory() as folder:
        path = saved(convolutions(), Path(folder))
        words = ("--array", f"{rows}x{lanes}x{windows}", "--schedule", schedule, "--json")
        found = report(esnsim("simulate", path, *words))
    for part in (*found["layers"], found["totals"]):
        assert unit_cycles(part["counts"]) == part["cycles"] * rows * lanes * windows
        assert part["utilisation"] <= 1
    for name in ("macs", "esn_d_tilde", "mac_bits", "cycles", "dram_bits"):
        assert found["totals"][name] == sum(layer[name] for layer in found["layers"])


def lstm() -> Any:
    return model(
        """[lstm] a, h = LSTM<hidden_size=16>(x, w, r) [fc] z = MatMul(h, f)
           t = Transpose<perm=[0,2,1]>(x) [qk] y = MatMul(x, t)""",
        "float[20,1,8] x",
        w=normal(1, 64, 8), r=normal(1, 64, 16), f=normal(16, 10),
    )  # fmt: skip


def looped() -> Any:
    """A branch, a body of three trips and a layer that two others read the weights of."""
    return model(
        """[a] z0 = MatMul(x, w)
           z = If(go) <then_branch = t () => (float[] p) { p = MatMul(z0, v) },
           else_branch = e () => (float[] q) { q = MatMul(z0, w) }>
           s = Loop(trips, go, z) <body = g (int64 i, bool k, float[] c) => (bool k2, float[] n)
           { k2 = Identity(k) n = MatMul(c, w) }> [b] y = MatMul(s, v)""",
        "float[5,8] x", w=normal(8, 8), v=normal(8, 8, seed=1), trips=np.int64(3),
        go=np.array(True),
    )  # fmt: skip


@pytest.mark.parametrize("words", ["--bits 5", "--bits 3 --array isaac", "--array int8"])
@pytest.mark.parametrize(("make", "stay"), [(lstm, {"LSTM"}), (looped, {"MatMul"})])
def test_simulated_and_not_simulated_are_what_cost_counts(
    make: Any, stay: set[str], words: str, tmp_path: Path
) -> None:
    path, bits = saved(make(), tmp_path), ("--bits", words.split()[1] if "--bits" in words else 8)
    found = report(esnsim("simulate", path, *words.split(), "--json"))
    totals = report(esnsim("cost", path, *bits, "--json"))["totals"]
    left = found["not_simulated"]
    assert {item["op"] for item in left} == stay
    assert found["totals"]["macs"] + sum(item["macs"] for item in left) == totals["macs"]
    mac_bits = found["totals"]["esn_d_tilde"] + sum(item["esn_d_tilde"] for item in left)
    assert mac_bits == totals["esn_d_tilde"]["macs"]
    products = totals["product_macs"]
    assert sum(item["macs"] for item in found["products"]) == products
    assert products > 0 or make is looped


def test_what_is_not_simulated_is_said(tmp_path: Path) -> None:
    ended = esnsim("simulate", saved(lstm(), tmp_path), "--json")
    assert "product 'qk' is not simulated" in ended.err
    assert re.search(r"layer 'lstm.W' is not simulated \(\S+ MACs, \S+ MAC×bit\)", ended.err)


@pytest.mark.parametrize("words", ["-q", "", "-q --compare schedules", "-q --engine analog"])
def test_the_last_line_says_which_share_was_simulated(tmp_path: Path, words: str) -> None:
    last = esnsim("simulate", saved(lstm(), tmp_path), *words.split()).out.splitlines()[-1]
    assert last == (
        "simulated 160 of 30.9k MACs, 0.5%; 1.28k of 230k MAC×bit, 0.6%; products of "
        "activations, 160 MACs, are not"
    )


def test_csv_names_what_is_not_simulated(tmp_path: Path) -> None:
    text = esnsim("simulate", saved(lstm(), tmp_path), "--csv", "-q").out
    assert "LSTM runs as a whole" in text


def test_a_layer_of_pruned_filters_costs_nothing_and_is_simulated(tmp_path: Path) -> None:
    proto = model("[conv] y = Conv(x, w)", "float[1,2,5,4] x", w=np.zeros((3, 2, 2, 3), np.float32))
    for words in ("--array maki", "--array int8", "--engine analog", "--array isaac"):
        ended = esnsim("simulate", saved(proto, tmp_path), *words.split())
        assert ended.out.splitlines()[-1].startswith("simulated 288 of 288 MACs, 100.0%")
        found = report(esnsim("simulate", saved(proto, tmp_path), *words.split(), "--json"))
        assert found["totals"]["energy"]["total"] == 0
        assert found["totals"].get("cycles", 0) == 0


def test_nothing_left_to_simulate_is_one_line_with_the_reason(tmp_path: Path) -> None:
    proto = model(
        "a, y = LSTM<hidden_size=16>(x, w, r)", "float[20,1,8] x",
        w=normal(1, 64, 8), r=normal(1, 64, 16),
    )  # fmt: skip
    ended = esnsim("simulate", saved(proto, tmp_path))
    refused(ended, "no layer of the model can be simulated: ", "LSTM runs as a whole", code=2)


def tile(pruned: bool = False) -> Any:
    """64 filters of 144 weights over 64 windows, all of 8 bits; or every second pruned."""
    w = np.abs(normal(64, 16, 3, 3)) + 0.1
    w[:, 0, 0, 0] = w.max()
    w[::2] *= not pruned
    nodes = "[conv] y = Conv<pads=[1,1,1,1]>(x, w)"
    return model(nodes, "float[N,16,8,8] x", w=w)


@pytest.mark.parametrize(("width", "schedule"), [(8, "serial"), (3, "sorted"), (4, "bit-parallel")])
def test_a_full_array_of_multipliers_does_two_operations_a_unit_and_cycle(
    width: int, schedule: str, tmp_path: Path
) -> None:
    (tmp_path / "m.yaml").write_text(
        f"digital: {{rows: 32, lanes: 12, windows: 4, width_step: {width}, schedule: {schedule}}}"
    )
    given = ("--array", tmp_path / "m.yaml", "--bits", width, "--clock", "1GHz", "--json")
    found = report(esnsim("simulate", saved(tile(), tmp_path), *given))
    assert found["totals"]["utilisation"] == 1
    assert found["speed"]["tops"] == pytest.approx(2 * 32 * 12 * 4 * 1e9 / 1e12)
    assert found["totals"]["mac_bits"] == width * found["totals"]["macs"]


def test_a_full_int8_array_does_two_operations_a_multiplier_and_cycle(tmp_path: Path) -> None:
    words = ("simulate", saved(tile(), tmp_path), "--array", "int8", "--clock", "1GHz", "--json")
    found = report(esnsim(*words))
    assert found["speed"]["tops"] == pytest.approx(2 * 64 * 16 * 1e9 / 1e12)
    assert found["totals"]["mac_bits"] == 8 * found["totals"]["macs"]


def test_dram_moves_live_outputs_masks_and_weights_at_the_arrays_widths(tmp_path: Path) -> None:
    def bits(proto: Any, *words: Any) -> int:
        path = saved(proto, tmp_path)
        return int(report(esnsim("simulate", path, *words, "--json"))["totals"]["dram_bits"])

    inputs, output = 16 * 64 * 8, 64 * 8
    assert bits(tile(pruned=True)) == 32 * 144 * 8 + inputs + 32 * output
    assert bits(tile(), "--bits", 1) == 64 * 144 + inputs + 64 * output
    narrow = bits(tile(), "--bits", 3, "--array", "int8")
    assert narrow == 64 * 144 * 8 + inputs + 64 * output
    proto = tile()
    values = np.array(normal(64, 16, 3, 3))
    values[:, 0, 0, 0] = np.abs(values).max()
    values[5, 3] = 0  # kept zeros: a mask plane of its filter moves too
    proto = model("[conv] y = Conv<pads=[1,1,1,1]>(x, w)", "float[N,16,8,8] x", w=values)
    assert bits(proto) == (64 * 8 + 1) * 144 + inputs + 64 * output


@pytest.mark.parametrize("bits", [1, 4, 16])
def test_energy_is_of_pairs_of_a_weight_bit_and_an_activation_bit(
    bits: int, tmp_path: Path
) -> None:
    path = saved(tile(), tmp_path)
    found = report(esnsim("simulate", path, "--activation-bits", bits, "--json"))["totals"]
    assert found["energy"]["active"] == bits * found["mac_bits"]
    found = report(esnsim("simulate", path, "--array", "int8", "--e-bit", "2fJ", "--e-idle", "1fJ",
                          "--activation-bits", bits, "--bits", 3, "--json"))  # fmt: skip
    counts, energy = found["layers"][0]["counts"], found["totals"]["energy"]
    assert energy["active"] == pytest.approx(0.002 * 8 * bits * counts["active"])
    assert energy["ideal"] == pytest.approx(0.002 * bits * found["totals"]["esn_d_tilde"])


def test_every_cause_of_idleness_has_its_energy(tmp_path: Path) -> None:
    """On an array where each cause holds, masks with them."""
    values = np.array(normal(13, 5, 3, 2))
    values[1::3] /= 9
    values[4, 2] = 0
    proto = model("[conv] y = Conv(x, w)", "float[N,5,7,6] x", w=values)
    words = "--array 7x11x8 --schedule serial --e-bit 0fJ --e-idle 1000fJ --json"
    found = report(esnsim("simulate", saved(proto, tmp_path), *words.split()))
    counts = found["totals"]["counts"]
    causes = ("idle_width", "idle_rows", "idle_lanes", "idle_windows", "mask_idle")
    assert all(counts[cause] > 0 for cause in causes)
    assert found["totals"]["energy"]["idle"] == 8 * sum(counts[cause] for cause in causes)


PRICES = {
    "digital": {
        "e_bit": 3, "e_idle": 5, "e_weight_bit": 7, "e_activation_bit": 11, "e_dram_bit": 13,
    },
    "analog": {"e_cell": 3, "e_adc": 5, "e_dac": 7, "e_shift_add": 11},
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "priced"), [("digital", False), ("digital", True), ("analog", True)]
)
def test_energy_is_what_was_counted_times_its_price(
    kind: str, priced: bool, small: tuple[Path, Path], tmp_path: Path
) -> None:
    """With a price alone, and with all of them; in joules a price of 1 fJ is 0.001 pJ."""
    path, data = small
    size = "rows: 7, lanes: 11, windows: 8, schedule: serial"
    if kind == "analog":
        size = "rows: 7, columns: 11, adc_bits: 8, adc_law: fixed, converters: true, exponent: 2"
    for chosen in (*PRICES[kind], None):
        prices = {name: p if chosen in (name, None) else 0 for name, p in PRICES[kind].items()}
        told = ", ".join(f"{name}: {p}{'fJ' if priced else ''}" for name, p in prices.items())
        (tmp_path / "m.yaml").write_text(f"{kind}: {{{size}, {told}}}")
        words = ("--array", tmp_path / "m.yaml", "--data", data, "--images", 3, "--json")
        found = report(esnsim("simulate", path, *words))
        for part in (*found["layers"], found["totals"]):
            events = counted(kind, part)
            spent = sum(n * prices[name] for name, n in events.items()) / 3
            spent += prices.get("e_dram_bit", 0) * part.get("dram_bits", 0)
            assert part["energy"]["total"] == pytest.approx(spent * (1e-3 if priced else 1))


def counted(kind: str, part: dict[str, Any]) -> dict[str, float]:
    """What each price is of, over all images; activations have 8 bits."""
    counts = part["counts"]
    if kind == "analog":
        return {
            "e_cell": counts["amplitude"] / 4, "e_adc": counts["conversions"],
            "e_dac": counts["row_drives"], "e_shift_add": counts["shift_adds"],
        }  # fmt: skip
    idle = sum(n for name, n in counts.items() if name.startswith("idle")) + counts["mask_idle"]
    return {
        "e_bit": 8 * (counts["active"] + counts["mask_active"]), "e_idle": 8 * idle,
        "e_weight_bit": counts["weight_bits"], "e_activation_bit": counts["activation_bits"],
    }  # fmt: skip


def test_two_renders_of_one_call_give_the_same_digits(tmp_path: Path) -> None:
    path = saved(model("[conv] y = Conv(x, w)", w=weights(4, 3, 3, 3)), tmp_path)
    first, second = (esnsim("simulate", path, "--engine", "analog", "--exact") for _ in range(2))
    assert first.out == second.out
