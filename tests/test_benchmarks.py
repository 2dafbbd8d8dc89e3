"""The benchmarks measure what they say: their models, their rounds, their processes."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import grown, harness, machines, models, scaling, silicon, tensors
from benchmarks.__main__ import BENCHMARKS
from benchmarks.grown import Case, answer, chain, expected
from benchmarks.harness import Benchmark, check, interleave, ratio, run, spread, table, timed, turns
from esnsim import cost, quantize, read_onnx
from tests.importer.test_mac_counts import TORCHVISION


def test_resnet50_has_the_reference_macs_and_its_size_in_float32() -> None:
    model = models.resnet50()
    assert sum(layer.macs for layer in read_onnx(model).layers) == TORCHVISION["resnet50"]
    assert 102e6 < model.ByteSize() < 103e6


def test_the_qonnx_form_is_read_as_codes_of_the_width_it_states() -> None:
    network = cost(quantize(read_onnx(models.qonnx())))
    assert network.total.macs == TORCHVISION["resnet50"]
    assert {layer.weight.codes.bits for layer in network.network.layers} == {models.BITS}


def test_the_large_model_keeps_its_weights_one_after_the_other_in_a_file(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(models, "SIDE", 16)
    monkeypatch.setattr(models, "REPEATED", 256)
    (tmp_path / "large.onnx").write_bytes(models.large(tmp_path / "w.bin").SerializeToString())
    stored = np.fromfile(tmp_path / "w.bin", np.float32).reshape(models.LAYERS, 16, 16)
    for index, layer in enumerate(read_onnx(tmp_path / "large.onnx").layers):
        filters = stored[index] if layer.op == "Gemm" else stored[index].T
        np.testing.assert_array_equal(layer.weight.load(), filters)


def test_every_job_runs_once_a_round_and_rounds_turn_around() -> None:
    order: list[str] = []
    jobs = {name: lambda name=name: order.append(name) for name in "abc"}
    assert interleave(jobs, 2) == {name: [None, None] for name in jobs}
    assert order == [*"abc", *"cba"]


def test_a_run_reports_exit_code_output_and_peak_memory(tmp_path: Path) -> None:
    code = "import sys, time; x = b'1' * 50_000_000; time.sleep(0.1); print('out'); sys.exit(3)"
    done = run((sys.executable, "-c", code), tmp_path, os.environ, sample=True)
    assert (done.code, done.output) == (3, "out\n")
    assert done.peak_rss >= done.peak_anonymous >= 50_000_000


def test_a_spread_is_the_median_the_least_and_the_most() -> None:
    assert spread([3.0, 1.0, 2.0, 9.0]) == {"median": 2.5, "least": 1.0, "most": 9.0}
    assert ratio(spread([3.0]), spread([2.0])) == 1.5


def test_what_takes_turns_is_timed_after_the_rounds_that_warm_up() -> None:
    given = {"a": iter([9.0, 1.0, 2.0, 3.0]), "b": iter([9.0, 4.0, 4.0, 5.0])}
    jobs = {name: lambda values=values: next(values) for name, values in given.items()}
    found = turns(jobs, 3, warm=1)
    assert found == {"a": spread([1.0, 2.0, 3.0]), "b": spread([4.0, 4.0, 5.0])}


def test_the_quickest_of_a_few_runs_is_kept() -> None:
    clock = iter([0.0, 5.0, 10.0, 12.0, 20.0, 29.0])
    assert timed(lambda: None, 3, lambda: next(clock))() == 2.0


BENCHMARK = Benchmark(
    name="sums", text="Sums.", libraries=("numpy", "no-such-thing"), options={"--rounds": 3},
    measure=lambda arguments: {"sums": [arguments.rounds] * 2},
    render=lambda results: table(("a", "b"), [map(str, results["sums"])]),
    missed=lambda results: results["sums"][0] > 4,
)  # fmt: skip


def test_a_benchmark_writes_results_prints_its_table_and_says_what_is_missed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "folder" / "sums.json"
    assert BENCHMARK(["--rounds", "4", "-o", str(file)]) == 0
    assert capsys.readouterr().out == "| a | b |\n| --- | --- |\n| 4 | 4 |\n"
    found = json.loads(file.read_text())
    assert (found["schema"], found["sums"]) == ("esnsim.benchmark.sums/1", [4, 4])
    assert (found["versions"]["numpy"], found["versions"]["no-such-thing"]) == (
        np.__version__,
        None,
    )
    assert len(found["load"]) == 2
    assert BENCHMARK(["--rounds", "5", "--json", str(file)]) == 1


def test_a_wrong_answer_ends_a_benchmark() -> None:
    check(True, "never said")
    with pytest.raises(ArithmeticError, match="a sum is wrong"):
        check(np.False_, "a sum is wrong")


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_its_name_options_and_results_file(name: str) -> None:
    main = import_module(f"benchmarks.{name}").main
    assert main.name == name
    given = main.parser().parse_args([])
    assert given.output in (harness.RESULTS / f"{name}.json", None)


def test_costs_against_times_measured_on_a_t4() -> None:
    """What the benchmark's page says: correlations by layer, exponents, and the fit's errors."""
    found = silicon.measure(Namespace())
    first, second = (found["rows"][name] for name in ("resnet18", "resnet50"))
    rounded = [[round(row["by_layer"][place], 3) for place in (0, 1)] for row in (first, second)]
    assert rounded == [[0.984, 0.920], [0.908, 0.852]]
    assert [round(row["exponent"], 2) for row in (first, second)] == [0.72, 0.63]
    assert (first["layers"] + second["layers"], first["nets"] + second["nets"]) == (71, 21)
    assert found["nets_off"]["mean"] < 0.06
    kept = json.loads((harness.RESULTS / "silicon.json").read_text("utf-8"))
    assert kept["t4"] == pytest.approx(found["t4"])


def test_a_fit_finds_its_own_law() -> None:
    net = {"layers": [
        {"shape": [n, 8, 1, 1], "output": n, **{f"ms_int{b}": 3e-6 * n**3 * 8 * b**0.8 + 0.5
                                                for b in (4, 8)}}
        for n in (5, 9, 20)
    ]}  # fmt: skip
    t4 = silicon.fit(net)
    assert (t4.rate, t4.exponent, t4.launch) == pytest.approx((3e-6, 0.8, 0.5))


def test_an_unknown_benchmark_names_those_there_are() -> None:
    command = (sys.executable, "-m", "benchmarks", "nothing")
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.returncode == 2
    assert "cost" in done.stderr


def test_an_exponent_is_the_slope_of_logarithms_of_what_is_above_noise() -> None:
    sizes = [1, 10, 100, 1000]
    assert scaling.exponent(sizes, [0.01, 0.3, 3, 30], noise=0.02) == pytest.approx(1)
    assert scaling.exponent(sizes, [0.5 * n**2 for n in sizes], noise=0.02) == pytest.approx(2)
    assert scaling.exponent(sizes, [0.01] * 3 + [1.0], noise=0.02) is None


def test_growth_above_what_is_promised_is_missed() -> None:
    axis = {"promised": 1.0, "time": 1.1, "memory": None}
    results = {"axes": {"layers": axis}}
    assert not scaling.main.missed(results)
    assert scaling.main.missed({"axes": {"layers": axis | {"time": 1.5}}})
    assert scaling.main.missed({"axes": {"layers": axis | {"memory": 1.5}}})


@pytest.mark.parametrize("work", ["cost", "simulate"])
def test_a_grown_model_has_the_macs_that_are_counted_by_hand(work: str, tmp_path: Path) -> None:
    case = Case(work=work, depth=3, channels=4, filters=7, side=5, batch=2, nodes=3)
    (tmp_path / "grown.onnx").write_bytes(chain(case).SerializeToString())
    assert answer(case, tmp_path / "grown.onnx") == expected(case) == 9 * 25 * 4 * (4 + 4 + 7)


def test_weights_of_a_sparse_file_take_no_room(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(grown, "HELD", 1 << 12)
    case = Case(work="cost", external=3 * 10**3)
    (tmp_path / "grown.onnx").write_bytes(grown.sparse(case, tmp_path).SerializeToString())
    assert answer(case, tmp_path / "grown.onnx") == expected(case) == 32 * 32


def test_variants_of_machines_are_what_their_names_say() -> None:
    weight = np.random.default_rng(0).standard_normal((6, 4, 3, 2)).astype(np.float32)
    for name, change in (("half of the weights zero", machines.smaller_zero),
                         ("half of the filters pruned", machines.filters_zero)):  # fmt: skip
        assert machines.VARIANTS[name][1] is change
        changed = change(weight)
        assert 2 * (changed == 0).sum() == weight.size
        assert np.abs(weight[changed == 0]).max() <= np.abs(weight[changed != 0]).min() or (
            (changed == 0).all(axis=(1, 2, 3)).sum() == 3
        )


def test_tables_of_machines_are_of_the_kept_results() -> None:
    """The page has them; pruned filters never cost more."""
    kept = json.loads((harness.RESULTS / "machines.json").read_text("utf-8"))
    assert not machines.missed(kept)
    page = (harness.ROOT / "docs" / "machines.md").read_text("utf-8")
    tables = machines.render(kept).split("\n\n")[:-1]
    assert [line for table in tables for line in table.splitlines() if line not in page] == []


def test_tensors_pruned_and_in_codes_hold_as_many_bits(tmp_path: Path) -> None:
    """Weights ±1 are exact in codes of a bit; of one large weight among small ones none is lost."""
    signs = torch.ones(4, 8, 3, 3)
    signs[::2] = -1
    outlier = torch.full((16, 64), 1e-4)
    outlier[3, 5] = 1.0
    torch.save({"signs": signs, "outlier": outlier, "bias": torch.ones(4)}, tmp_path / "w.pth")
    found = tensors.measure(Namespace(weights=[tmp_path / "w.pth"]))
    signs, outlier = found["files"]["w.pth"]
    assert (signs["name"], outlier["name"]) == ("signs", "outlier")
    assert signs["a step a tensor"][0] == 120  # what is exact
    # a sixteenth stays of ±1, and of the other one weight with 1023·1e-8 of noise
    assert signs["pruned"][0] == pytest.approx(-10 * np.log10(15 / 16), abs=0.01)
    assert outlier["pruned"][0] > 10 * np.log10(1 / 1023e-8)
    assert outlier["a step a tensor"][0] < 10
    (point, *_) = found["all"]["a step a tensor against pruned"]
    assert (point["bits"], point["better"], point["of"]) == (1, 1, 2)


@pytest.mark.parametrize(("size", "stored"), [(9, 0), (9, 34), (100, 399), (1000, 12345), (7, 999)])
def test_as_many_weights_stay_as_fit_with_their_places(size: int, stored: int) -> None:
    fitting = [n for n in range(size + 1) if tensors.pruned_bits(size, n) <= stored]
    assert tensors.kept(size, stored) == max(fitting)
    assert tensors.pruned_bits(16, 4) == pytest.approx(4 * 16 + 16 * 0.811278)  # H(1/4) in bits
