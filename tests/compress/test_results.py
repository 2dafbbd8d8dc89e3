"""The results file: nothing that is finished is lost, and nothing else is gone on with.

- What is added is read back, to the bit.
- A file cut off anywhere keeps every whole line, and takes the rest anew.
- A file of other images, other options, another format, or with a damaged line is left as it is.
"""

import errno
import json
import os
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esnsim.sweeps.results import Results, ResultsError
from tests.compress.points import baseline, point

BINDING = {"images": {"count": 1000, "sha256": "ab"}, "options": {"correct": True}}
POINTS = [point(1000 * n, n / 10, 0.25, n) for n in range(1, 5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A finished results file of one model and four points."""
    path = tmp_path / "r.jsonl"
    with Results(path, BINDING) as results:
        results.add(baseline())
        for each in POINTS:
            results.add(each)
    return path


def refused(path: Path, *parts: str, binding: Any = BINDING, resume: bool = True) -> None:
    """The file is refused with these words and left as it is."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ResultsError) as error:
        Results(path, binding, resume)
    for part in (*parts, str(path)):
        assert part in str(error.value)
    assert before is None or path.read_bytes() == before


def test_what_is_added_is_read_back(path: Path) -> None:
    with Results(path, BINDING, resume=True) as results:
        assert [*results.points.values()] == POINTS
        assert results.baselines == {baseline().model: baseline()}


def test_outputs_without_noise_are_read_back(tmp_path: Path) -> None:
    exact = replace(POINTS[0], evaluation=replace(POINTS[0].evaluation, sqnr_db=inf))
    with Results(tmp_path / "r", BINDING) as results:
        results.add(exact)
    with Results(tmp_path / "r", BINDING, resume=True) as results:
        assert results.points == {exact.candidate: exact}


def test_every_point_is_in_the_file_as_soon_as_it_is_added(tmp_path: Path) -> None:
    with Results(tmp_path / "r", BINDING) as results:
        for count, each in enumerate(POINTS, 1):
            results.add(each)
            assert (tmp_path / "r").read_bytes().count(b"\n") == 1 + count


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(cut=st.integers(0, 1 << 13))
def test_a_file_cut_off_anywhere_keeps_its_whole_lines(path: Path, cut: int) -> None:
    whole = path.read_bytes()
    torn = path.with_name("torn")
    torn.write_bytes(whole[:cut])
    left = max(0, whole[:cut].count(b"\n") - 2)
    with Results(torn, BINDING, resume=True) as results:
        assert [*results.points.values()] == POINTS[:left]
        results.add(POINTS[-1])
    with Results(torn, BINDING, resume=True) as results:
        assert [*results.points.values()] == [*POINTS[: min(left, 3)], POINTS[-1]]


def test_a_file_that_is_there_is_not_begun_anew(path: Path) -> None:
    refused(path, "is there already: go on with --resume", resume=False)


def test_a_file_of_other_images_or_options_is_refused(path: Path) -> None:
    images = {**BINDING["images"], "count": 500}
    refused(path, "other images (count 1000, now 500)", binding={**BINDING, "images": images})
    options = {"correct": False}
    refused(path, "options (correct True, now False)", binding={**BINDING, "options": options})


@pytest.mark.parametrize("line", [b"{", b"[1]", b'{"kind": "point"}', b"\x00\xff", b""])
def test_a_damaged_line_is_refused_by_its_number(path: Path, line: bytes) -> None:
    lines = path.read_bytes().splitlines()
    lines[3] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    refused(path, "line 4 of", "delete that line")
    path.write_bytes(b"\n".join(lines[:3] + lines[4:]) + b"\n")
    with Results(path, BINDING, resume=True) as results:
        assert len(results.points) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["evaluation"].update(top1="high"),
        lambda record: record["evaluation"].update(interval=[0.1]),
        lambda record: record["total"].pop("macs"),
        lambda record: record["total"].update(esn_d=3.5),
        lambda record: record["candidate"].update(ratio=None),
        lambda record: record["histogram"].update(x=1),
    ],
)
def test_a_point_with_other_values_is_damaged(path: Path, change: Any) -> None:
    lines = path.read_text().splitlines()
    record = json.loads(lines[2])
    change(record)
    lines[2] = json.dumps(record)
    path.write_text("\n".join(lines) + "\n")
    refused(path, "line 3 of")


@pytest.mark.parametrize("content", [b"PNG", b'{"schema": "esnsim.cost/1"}\n', b"[]\n", b"a,b\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    refused(path, "is no results file of esnsim pareto")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none" / "r", "cannot write", "folder that exists")


def test_a_file_that_another_sweep_writes_is_refused(path: Path) -> None:
    with Results(path, BINDING, resume=True):
        refused(path, "another sweep is writing to")


def test_a_full_disk_keeps_what_is_finished(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    more = point(99, 0.5, 0.75)
    with Results(path, BINDING, resume=True) as results:
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ResultsError) as error:
            results.add(more)
    monkeypatch.undo()
    assert str(error.value) == (
        f"cannot write '{path}': No space left on device; its 4 finished points are kept: make "
        "room and go on with --resume"
    )
    with Results(path, BINDING, resume=True) as results:
        assert [*results.points.values()][:4] == POINTS


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/null"])
def test_a_device_is_refused_and_not_read(device: str) -> None:
    if os.path.exists(device):
        with pytest.raises(ResultsError, match="is no results file of esnsim pareto"):
            Results(Path(device), BINDING, resume=True)


def test_a_file_too_large_for_results_is_not_read(path: Path, monkeypatch) -> None:
    monkeypatch.setattr("esnsim.sweeps.results.MOST_BYTES", 100)
    refused(path, "is no results file of esnsim pareto")


def test_a_changed_digit_is_told(path: Path) -> None:
    """As JSON the line is whole, and its numbers are such as may be."""
    lines = path.read_bytes().splitlines(keepends=True)
    lines[-1] = lines[-1].replace(b'"seconds": ', b'"seconds": 1', 1)
    path.write_bytes(b"".join(lines))
    refused(path, "line 6")


def test_lines_of_versions_without_checksums_are_taken(path: Path) -> None:
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    for record in records:
        del record["crc32"]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with Results(path, BINDING, resume=True) as results:
        assert [*results.points.values()] == POINTS


def test_another_file_that_begins_as_ours_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text('{"schema": "esnsim.pareto/1", "models": []}')
    refused(path, "is no results file")
