"""`esnsim pareto` on a small network: its points, its results file, what it refuses."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esnsim import Scheme, cost, quantize, read_onnx
from esnsim.compression.allocate import policies
from esnsim.costs.equations import esn_a_x4
from esnsim.errors import WidthError
from esnsim.sweeps import sweep
from esnsim.sweeps.points import Candidate
from tests.commandline import Ended, esnsim, refused, report
from tests.compress.small import network

MODEL = "net.onnx"
KEPT = "net.pareto.jsonl"
FEW = {
    "--data": "images.npz", "--images": 40, "--ratios": "0,0.25", "--bits": "2,4",
    "--rounding": "nearest",
}  # fmt: skip
POINTS = 4
MANY = ("--ratios", "0,0.1,0.2,0.3,0.4,0.5,0.6", "--bits", "1-4")


@pytest.fixture(autouse=True)
def folder(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results go to the current folder, in which the model and its images are."""
    shutil.copy(place / "model.onnx", tmp_path / MODEL)
    shutil.copy(place / "images.npz", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def few(*words: Any) -> tuple[Any, ...]:
    """A small grid and these words, which may give another."""
    grid = (word for option in FEW.items() if option[0] not in words for word in option)
    return (*grid, "-q", *words)


def pareto(*words: Any) -> Ended:
    return esnsim("pareto", MODEL, *few(*words))


def points(ended: Ended) -> list[dict[str, Any]]:
    """The points of --json, without the time that each took."""
    return [{**p, "seconds": None} for p in report(ended)["points"]]


def kept(path: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in path.read_bytes().splitlines(keepends=True)[1:]]
    return [record for record in records if record["kind"] == "point"]


@pytest.mark.parametrize(
    ("model", "data", "file"),
    [
        (MODEL, ("--data", "images.npz"), KEPT),
        ("builtin:resnet8", ("--rounding", "nearest"), "resnet8.pareto.jsonl"),
    ],
)
def test_a_sweep_gives_a_point_for_every_candidate_and_keeps_them(
    folder: Path, model: str, data: tuple[str, ...], file: str
) -> None:
    grid = ("--images", 40, "--ratios", "0,0.25", "--bits", "2,4")
    found = report(esnsim("pareto", model, *data, *grid, "--json"))
    assert {(p["ratio"], p["bits"]) for p in found["points"]} == {
        (ratio, bits) for ratio in (0, 0.25) for bits in (2, 4)
    }
    assert len(kept(folder / file)) == POINTS
    assert found["models"][0]["macs"] == cost(quantize(read_onnx(model))).total.macs


def test_the_cost_of_an_unpruned_point_is_that_of_the_cost_command() -> None:
    found = next(p for p in points(pareto("--json")) if (p["ratio"], p["bits"]) == (0, 4))
    priced = cost(quantize(read_onnx(MODEL), Scheme(bits=4)))
    assert found["cost"] == priced.total.esn_d_tilde.macs
    assert found["esn_a"]["macs"] == priced.total.esn_a_x4.macs / 4
    assert found["bits_histogram"] == {str(b): n for b, n in {0: 0, **priced.histogram}.items()}


def test_pruned_filters_are_in_the_histogram() -> None:
    filters = cost(quantize(read_onnx(MODEL))).total.filters
    for found in points(pareto("--json")):
        assert sum(found["bits_histogram"].values()) == filters
        assert found["bits_histogram"]["0"] > filters / 10 or not found["ratio"]


@pytest.mark.parametrize("policy", ["filter-sigma", "allocate"])
def test_other_policies_spend_no_more_than_the_mean_width(policy: str) -> None:
    for found in points(pareto("--policy", policy, "--json")):
        assert 0 < found["cost"] <= found["bits"] * found["macs"]


def test_targets_of_training_are_a_policy(folder: Path) -> None:
    rows = [
        {
            "name": each.layer.name,
            "weight": each.layer.weight.name,
            "esn_a": esn_a_x4(each.sums) / 4,
        }
        for each in quantize(read_onnx(MODEL), Scheme(bits=3)).layers
    ]
    content = {"schema": "esnsim.training/1", "epochs": [{"epoch": 1, "layers": rows}]}
    (folder / "t.json").write_text(json.dumps(content))
    words = ("--policy", "esna-targets", "--targets", "t.json", "--ratios", "0.25")
    found = points(pareto(*words, "--json"))
    assert len(found) == 2
    assert all(0.7 * p["bits"] * p["macs"] < p["cost"] <= p["bits"] * p["macs"] for p in found)


def test_correction_makes_a_difference_and_can_be_left_out() -> None:
    with_it = points(pareto("--results", "a", "--json"))
    without = points(pareto("--results", "b", "--json", "--no-correct"))
    assert [p["cost"] for p in with_it] == [p["cost"] for p in without]
    noise = [[p["evaluation"]["sqnr_db"] for p in found] for found in (with_it, without)]
    assert np.mean(noise[0]) > np.mean(noise[1])


def test_compensated_rounding_is_the_default_and_better_at_no_more_cost(folder: Path) -> None:
    near = points(pareto("--json", "--ratios", 0.25, "--bits", 2))
    words = few("--json", "--ratios", 0.25, "--bits", 2, "--results", "r", "--rounding")[:-1]
    found = points(esnsim("pareto", MODEL, *words))
    assert found[0]["cost"] <= near[0]["cost"]
    assert found[0]["evaluation"]["sqnr_db"] > near[0]["evaluation"]["sqnr_db"] + 3
    refused(esnsim("pareto", MODEL, *few("--results", "r", "--resume")), "r")


def test_processes_find_the_same_points() -> None:
    assert points(pareto("--results", "a", "--json", "--jobs", 2)) == points(
        pareto("--results", "b", "--json")
    )


def test_resume_does_not_do_again_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    first = pareto("--json")

    def again(task: object, candidate: Candidate) -> None:
        raise AssertionError(f"{candidate} is done")

    monkeypatch.setattr(sweep, "point", again)
    assert pareto("--json", "--resume").out == first.out
    more = pareto("--resume", "--metric", "esn_a", "--drop", "5%")
    assert more.code == 0
    assert "ESNa" in more.out


def test_without_resume_finished_points_are_not_touched(folder: Path) -> None:
    pareto()
    before = (folder / KEPT).read_bytes()
    refused(pareto(), "'net.pareto.jsonl' is there already", "--resume")
    assert (folder / KEPT).read_bytes() == before


def test_resume_takes_more_widths_and_more_models(folder: Path) -> None:
    pareto()
    shutil.copy(MODEL, "other.onnx")
    words = few("--ratios", "0", "--bits", "2-3", "--resume", "--json")
    ended = esnsim("pareto", MODEL, "other.onnx", *words)
    assert {(p["model"], p["bits"]) for p in report(ended)["points"]} == {
        (m, b) for m in (MODEL, "other.onnx") for b in (2, 3)
    }
    assert len(kept(folder / KEPT)) == POINTS + 3


def run(*words: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "esnsim", "pareto", MODEL, *few(*words)]
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def running(group: int) -> list[str]:
    """Processes of a group, but for dead ones that nobody has asked about yet."""
    found = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat")]
    fields = [text.rpartition(") ")[2].split() for text in found]  # state, parent, group, …
    return [
        text for text, f in zip(found, fields, strict=True) if int(f[2]) == group and f[0] != "Z"
    ]


def wait_for(path: Path, count: int) -> None:
    """Until so many points are in the file."""
    for _ in range(6000):
        if path.exists() and path.read_bytes().count(b'"point"') >= count:
            return
        time.sleep(0.01)
    raise AssertionError("the sweep found no point within a minute")


@cache
def never_stopped() -> list[dict[str, Any]]:
    """The points of a sweep over many candidates, to be read only."""
    return points(pareto("--results", "whole", "--json", *MANY))


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_killed_sweep_goes_on_where_it_stopped(folder: Path, jobs: int) -> None:
    path, count = folder / "r", 7 * 4
    process = run("--results", path, "--jobs", jobs, *MANY)
    wait_for(path, 2)
    process.kill()
    process.communicate()
    before = path.read_bytes()
    done = before[: before.rfind(b"\n") + 1]
    assert 2 <= done.count(b'"point"') < count
    found = points(pareto("--results", path, "--resume", "--json", *MANY))
    assert path.read_bytes().startswith(done)
    assert len(kept(path)) == count
    assert found == never_stopped()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_an_interrupted_sweep_ends_cleanly_with_its_workers(folder: Path) -> None:
    process = run("--results", "r", "--jobs", 2, *MANY)
    wait_for(folder / "r", 1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does for Ctrl-C
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "esnsim: error: interrupted\n")
    for _ in range(1000):  # what tracks shared resources ends a little later
        if not running(process.pid):
            break
        time.sleep(0.01)
    assert running(process.pid) == []
    assert len(kept(folder / "r")) >= 1


def test_a_full_disk_is_an_error_and_keeps_what_is_finished(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, real = [], os.fsync

    def fill(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) > 4:  # header, model, two points
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        refused(pareto(), "No space left on device; its 2 finished points are kept", "--resume")
    assert report(pareto("--resume", "--json"))["points"]
    assert len(kept(folder / KEPT)) == POINTS


def test_a_broken_results_file_is_refused_and_left_alone(folder: Path) -> None:
    pareto()
    path = folder / KEPT
    lines = path.read_bytes().splitlines(keepends=True)
    broken = b"".join([*lines[:3], b"garbage\n", *lines[4:]])
    path.write_bytes(broken)
    refused(pareto("--resume"), "line 4 of 'net.pareto.jsonl' is damaged: delete that line")
    assert path.read_bytes() == broken


def test_results_of_another_model_are_refused(folder: Path) -> None:
    words = ("--results", "r", "--data", "images.npz")
    assert pareto(*words).code == 0
    whole = (folder / MODEL).read_bytes()
    (folder / MODEL).write_bytes(network().SerializeToString())
    refused(pareto(*words, "--resume"), "'r' was made with another", "contents differ")
    (folder / MODEL).write_bytes(whole)
    with np.load("images.npz") as arrays:
        other = {"images": -arrays["images"], "labels": arrays["labels"]}
    np.savez("images.npz", **other)
    refused(pareto(*words, "--resume"), "'r' was made with other images (sha256")


def test_images_without_labels_give_agreement(place: Path) -> None:
    found = report(pareto("--data", place / "bare.npz", "--json"))
    assert found["models"][0]["accuracy"] == 1
    assert {p["evaluation"]["top1"] for p in found["points"]} == {None}
    assert all(p["accuracy"] == p["evaluation"]["agreement"] for p in found["points"])


def test_labels_and_images_that_do_not_fit_are_refused() -> None:
    images = np.load("images.npz")["images"][:80]
    np.savez("few.npz", images=images, labels=np.zeros(79, np.int64))
    refused(pareto("--data", "few.npz"), "79 labels", "80 images")
    np.savez("high.npz", images=images, labels=np.full(80, 4))
    refused(pareto("--data", "high.npz", "--results", "b"), "go from 4 to 4", "4 classes")
    np.savez("wide.npz", images=images[..., :3])
    refused(pareto("--data", "wide.npz", "--results", "c"), "are 2×7×3", "takes 2×7×5")
    refused(pareto("--data", "none.npz"), "there is no 'none.npz'")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--picture", "p.txt"), "give a .png, .svg, .pdf file"),
        (("--jobs", "2", "--scheduler", "tcp://x:1"), "exclude each other"),
        ((MODEL,), "a model is given twice"),
        (("--ratios", "1"), "is no share: give one like 0.25 or 25%, or 1%"),
        (("--policy", "best"), "'best' is none of allocate, uniform, filter-sigma, esna"),
        (("--policy", "esna-targets"), "--targets go together"),
        (("--drop", "all"), "is no share"),
        (("--metric", "macs.weights"), "is no metric"),
        (("--ratios", "0", "--criterion", "l1"), "--criterion is about which filters go"),
    ],
)
def test_wrong_usage_is_refused_before_anything_runs(
    folder: Path, words: tuple[str, ...], part: str
) -> None:
    before = sorted(folder.iterdir())
    refused(esnsim("pareto", MODEL, *words), part, code=2)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("option", ["-o", "--picture", "--results"])
def test_a_folder_that_is_not_there_is_refused_before_anything_runs(
    folder: Path, option: str
) -> None:
    before = sorted(folder.iterdir())
    refused(pareto(option, "none/f.png"), "cannot write 'none/f.png'")
    assert sorted(folder.iterdir()) == before


def test_what_is_read_is_not_written_over(folder: Path) -> None:
    pareto()
    path = KEPT
    before = (folder / path).read_bytes()
    refused(pareto("--results", path, "--resume", "-o", path), "are one file: give two", code=2)
    assert (folder / path).read_bytes() == before


def test_another_model_needs_images(folder: Path) -> None:
    refused(esnsim("pareto", "net.onnx"), "accuracy needs images: give --data", code=2)


def test_points_that_cannot_be_made_are_left_out_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def below(network: object, budget: float, *metric: str) -> None:
        raise WidthError("a budget is below the least: give more")

    monkeypatch.setattr(policies, "filter_sigma", below)
    grid = ("--data", "images.npz", "--ratios", "0", "--bits", "3,4")
    words = ("pareto", MODEL, *grid, "--json")
    ended = esnsim(*words, "--policy", "uniform,filter-sigma")
    assert [p["policy"] for p in report(ended)["points"]] == ["uniform", "uniform"]
    assert "2 points left out: a budget is below the least: give more" in ended.err
    ended = esnsim(*words, "--policy", "filter-sigma", "--resume")
    assert (ended.code, ended.out) == (1, "")
    assert "no point of the grid can be made" in ended.err


def test_the_picture_and_the_files_are_written(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    assert pareto("--picture", "p.png", "-o", "p.json").code == 0
    assert (folder / "p.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "p.json").read_text())["schema"] == "esnsim.pareto/1"
    assert pareto("--resume", "-o", "p.csv").code == 0
    assert (folder / "p.csv").read_text().count("\n") == POINTS + 1
