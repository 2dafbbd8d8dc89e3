"""Long work says how far it is: on a terminal, within the step that is shown, and nowhere else."""

import io
import re
import shutil
import sys
import threading
from pathlib import Path

import pytest

from esnsim.cli import main
from esnsim.progress import listening, show_progress
from esnsim.report import progress
from tests.commandline import Terminal

DATA = "model.onnx --data images.npz --images 70"
COMPRESS = f"compress {DATA} -o small.onnx --budget 20k --threads 1"
PARETO = f"pareto {DATA} --ratios 0 --bits 2,3 --policy allocate"
LAYERS = 4
ROUNDED = re.compile(
    r"rounding layer (?P<n>\d) of 4, '.+', (?P<before>-?[\d.]+|inf) → (?P<after>-?[\d.]+|inf) dB "
    r"at its output, \d+ s left"
)


@pytest.fixture
def folder(place: Path, tmp_path: Path) -> Path:
    """A folder of one's own with a small model and its images."""
    return Path(shutil.copytree(place, tmp_path, dirs_exist_ok=True))


def test_what_is_told_is_heard_by_the_listener_of_the_same_thread() -> None:
    first: list[str] = []
    second: list[str] = []
    show_progress("nobody hears it")
    with listening(first.append):
        show_progress("one")
        with listening(second.append):
            show_progress("two")
        thread = threading.Thread(target=show_progress, args=("of another",))
        thread.start()
        thread.join()
        show_progress("three")
    show_progress("nobody hears it")
    assert (first, second) == (["one", "three"], ["two"])


@pytest.mark.parametrize("command", [COMPRESS, PARETO])
def test_evaluations_and_gains_are_shown_within_their_step(
    monkeypatch: pytest.MonkeyPatch, folder: Path, command: str
) -> None:
    shown = shown_by(monkeypatch, folder, command, Terminal())
    step = "planning, " if command == COMPRESS else ""
    gains = [f"{step}measuring gains, {n} of {LAYERS}" for n in range(1, LAYERS + 1)]
    assert [text for text in shown if "gains" in text] == gains
    rounded = [match for text in shown if (match := ROUNDED.search(text))]
    assert [int(match["n"]) for match in rounded][:LAYERS] == list(range(1, LAYERS + 1))
    assert all(float(match["after"]) >= float(match["before"]) for match in rounded)
    first = "writing" if command == COMPRESS else "1 of 2 points, "
    start = next(i for i, text in enumerate(shown) if text.startswith(first))
    step = shown[start]
    told = [text for text in shown[start:] if text.endswith("of 70 images")]
    assert told[:2] == [f"{step}, {n} of 70 images" for n in (64, 70)]


@pytest.mark.parametrize(("word", "screen"), [("-q", Terminal()), ("--json", io.StringIO())])
def test_nothing_is_shown_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, folder: Path, word: str, screen: io.StringIO
) -> None:
    assert not shown_by(monkeypatch, folder, f"{PARETO} {word}", screen)


def shown_by(
    monkeypatch: pytest.MonkeyPatch, folder: Path, command: str, screen: io.StringIO
) -> list[str]:
    """What the bar says, one after the other, from the first moment on."""
    shown: list[str] = []
    monkeypatch.chdir(folder)
    monkeypatch.setattr(progress, "DELAY", -1.0)
    monkeypatch.setattr(progress.Meter, "_show", lambda meter, step: shown.append(step))
    monkeypatch.setattr(sys, "stderr", screen)
    assert main(command.split()) == 0
    return shown
