"""`esnsim selftest` and `esnsim bench`: checks that can fail, figures that follow from times."""

import json
from dataclasses import replace

import numpy as np
import pytest

from esnsim.commands import bench as command
from esnsim.machines.array.engine import DigitalEngine, Run
from esnsim.machines.crossbar.engine import AnalogEngine, AnalogRun
from esnsim.selfcheck import accelerators, bench, selftest
from tests.commandline import esnsim, refused, report


def test_the_selftest_reproduces_everything() -> None:
    ended = esnsim("selftest")
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == ["ok"] * len(selftest.CHECKS)
    for name in ("schedules", "crossbar", "isaac", "mac_counts"):
        assert f"{name}.json" in ended.out


def test_a_wrong_engine_fails_the_selftest(monkeypatch: pytest.MonkeyPatch) -> None:
    right = DigitalEngine.run

    def wrong(*arguments: object, **more: object) -> Run:
        run = right(*arguments, **more)  # type: ignore[arg-type]
        run.outputs.flat[0] += 1
        return run

    monkeypatch.setattr(DigitalEngine, "run", wrong)
    ended = esnsim("selftest")
    assert ended.code == 1
    assert ended.out.count("FAILED") == 2  # the golden layer and the random ones
    assert "seed" in ended.out


def test_an_engine_that_counts_wrongly_fails_the_selftest(monkeypatch: pytest.MonkeyPatch) -> None:
    right = AnalogEngine.run

    def wrong(*arguments: object, **more: object) -> AnalogRun:
        run = right(*arguments, **more)  # type: ignore[arg-type]
        return replace(run, counts=replace(run.counts, conversions=2 * run.counts.conversions))

    monkeypatch.setattr(AnalogEngine, "run", wrong)
    with pytest.raises(AssertionError, match="conversions of a read: 256, but 128 is right"):
        selftest.isaac()


@pytest.mark.parametrize(
    "name",
    ["bitfusion", "bitwave", "crossbar", "dnnsim", "headlines", "isaac", "mac_counts",
     "machines_extra", "scalesim", "schedules"],
)  # fmt: skip
def test_a_number_that_is_not_the_published_one_fails(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = selftest.golden

    def other(asked: str) -> object:
        text = json.dumps(right(asked))
        swaps = {
            "crossbar": ("71120", "71121"), "dnnsim": ("16488", "16489"), "isaac": ("296", "297"),
            "mac_counts": ("4089184256", "4089184257"), "schedules": ("55", "56"),
            "bitfusion": ("294912", "294913"), "scalesim": ("112283", "112284"),
            "bitwave": ("7.29", "8.29"), "machines_extra": ("19071", "19072"),
            "headlines": ("2.31", "2.41"),
        }  # fmt: skip
        return json.loads(text.replace(*swaps[name]) if asked == name else text)

    monkeypatch.setattr(selftest, "golden", other)
    monkeypatch.setattr(accelerators, "golden", other)
    failed = set()
    for title, check in selftest.CHECKS:
        if ".json" in title and (name == "mac_counts" or "mac_counts" not in title):
            try:
                check()
            except AssertionError:
                failed.add(title)
    [only] = failed
    assert f"{name}.json" in only


SMALL = "bench --filters 12 --reduction 100 --windows 9 --repeats 1 --no-peers"


def test_bench_reports_rates_of_each_width() -> None:
    found = report(esnsim(*SMALL.split(), "--bits", "1-3", "--json"))
    assert [row["bits"] for row in found["widths"]] == [1, 2, 3]
    for row in found["widths"]:
        assert row["macs"] * row["seconds"] == pytest.approx(12 * 100 * 9)
        assert row["one_bit_macs"] == pytest.approx(8 * row["bits"] * row["macs"])
        peak = found["roofline_one_bit_macs_per_second"]
        assert row["roofline"] == pytest.approx(row["one_bit_macs"] / peak)
    assert "popcount roofline" in esnsim(*SMALL.split(), "--bits", "4").out


def test_bench_refuses_to_time_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "codes", lambda layer: np.ones(layer.layer.weight.shape, int))
    refused(esnsim(*SMALL.split()), "the kernel's result at 1 bits is wrong", code=1)


def test_peers_are_measured_where_they_are_installed() -> None:
    words = [word for word in SMALL.split() if word != "--no-peers"]
    found = report(esnsim(*words, "--bits", "8", "--json"))["peers"]
    assert "ONNX Runtime" in found["onnxruntime"]["what"]
    assert found["onnxruntime"]["seconds"] > 0


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        ("bench --bits 0-3", "'0-3' is no range of widths from 1 to 16", 2),
        ("bench --bits 17", "'17' is no range of widths from 1 to 16", 2),
        ("bench --windows 0", "'0' is no whole number from 1 on", 2),
        ("bench --filters 1000000000", "MACs of 8 bits by 8: give at most", 1),
        ("bench --activation-bits 17", "MACs of 8 bits by 17: give at most", 1),
    ],
)
def test_bench_refuses_what_would_not_end(words: str, said: str, code: int) -> None:
    refused(esnsim(*words.split()), said, code=code)
    assert command.MOST_MACS < 1 << 40
