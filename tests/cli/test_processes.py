"""The command as a process: terminals, pipes, signals, what it loads."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from esnsim import __version__
from esnsim.__main__ import main
from esnsim.cli import main as cli
from esnsim.report import progress
from tests.commandline import Ended, Terminal, esnsim

COST = [sys.executable, "-m", "esnsim", "cost"]


def process(*words: Any, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COST, *map(str, words)], capture_output=True, text=True, check=False, **kwargs
    )


def test_data_goes_to_stdout_and_talk_to_stderr() -> None:
    ended = process("builtin:resnet8", "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["notes"] == [ended.stderr.removeprefix("esnsim: ").strip()]


@pytest.mark.parametrize(
    ("words", "loaded"), [(["--version"], []), (["--help"], []), (["cost", "--help"], ["numpy"])]
)
def test_help_and_version_load_nothing_heavy(words: list[str], loaded: list[str]) -> None:
    script = (
        "import sys; from esnsim.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit as end: print(end.code, file=sys.stderr)\n"
        "print(sorted({'numpy', 'onnx', 'numba', 'onnxruntime', 'torch'} & set(sys.modules)), "
        "file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stderr == f"0\n{loaded}\n"
    assert (f"esnsim {__version__}" if words == ["--version"] else "usage: esnsim") in ended.stdout


def test_help_names_every_option() -> None:
    text = esnsim("cost", "--help").out
    for option in (
        "--bits-per-filter", "--bits", "--step", "--alpha", "--width", "--keep-zeros",
        "--no-keep-zeros", "--fold-batchnorm", "--input-shape", "--layers", "--strict", "--json",
        "--csv", "--output", "--sort", "--top", "--exact", "--quiet", "--fail-above",
    ):  # fmt: skip
        assert option in text


def in_a_terminal(columns: int, *words: Any) -> str:
    """What a terminal of so many columns receives."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    child = subprocess.Popen(
        [*COST, *map(str, words)], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    received = b""
    while True:
        try:
            piece = os.read(ours, 1 << 16)
        except OSError:  # how Linux tells that the other end was closed
            piece = b""
        if not piece:
            break
        received += piece
    os.close(ours)
    assert child.wait() == 0
    return received.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
def test_the_table_fits_into_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = Terminal()
    with contextlib.redirect_stdout(screen):
        assert cli(["cost", "builtin:resnet20", "--bits-per-filter", "-q"]) == 0
    text = screen.getvalue()
    lines = text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, lines)) <= columns
    shown = [line.split()[0] for line in lines[2:25]]
    if columns >= 120:
        assert "/blocks/blocks.3/shortcut/shortcut.0/Conv" in shown
    assert len(set(shown)) == 23


def test_a_terminal_gets_bold_headings_and_a_pipe_does_not(tiny: Path) -> None:
    """Nor a bar, which is for what takes longer than a second."""
    shown, piped = in_a_terminal(100, tiny), process(tiny)
    assert "\x1b[1mlayer" in shown
    assert piped.stdout.startswith("layer")
    assert "░" not in shown + piped.stderr


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_wants_no_colour_gets_none(
    tiny: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Terminal()
    monkeypatch.setenv(name, value)
    with contextlib.redirect_stdout(screen):
        assert cli(["cost", str(tiny)]) == 0
    assert screen.getvalue().startswith("layer")
    assert "\x1b" not in screen.getvalue()


def test_data_is_utf8_whatever_the_locale(tiny: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    ended = subprocess.run([*COST, str(tiny)], capture_output=True, env=environment, check=True)
    assert "4×1×1×1" in ended.stdout.decode("utf-8")


def test_a_reader_that_goes_away_ends_the_run_quietly() -> None:
    child = subprocess.Popen(
        [*COST, "builtin:resnet8", "-q"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    child.stdout.close()
    assert child.communicate()[1] == ""
    assert child.returncode == 128 + signal.SIGPIPE


def test_an_interrupt_ends_the_run_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("esnsim.importer.read.read_onnx", interrupted)
    assert esnsim("cost", "builtin:resnet8") == Ended(130, "", "esnsim: error: interrupted\n")


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the entry point sets in its process is put back."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


class Dies:
    """Calls a function when it goes, where Python drops what is raised."""

    def __init__(self, last: Callable[[], None]) -> None:
        self.last = last

    def __del__(self) -> None:
        self.last()


def interrupted(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


def fails_to_load(*_: object) -> None:
    try:
        interrupted()
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None


def drops_it(*_: object) -> None:
    Dies(interrupted)
    for _ in range(1000):  # what goes on as if nothing had been
        time.sleep(0.01)


@pytest.mark.parametrize("load", [interrupted, fails_to_load, drops_it])
@pytest.mark.usefixtures("handlers")
def test_an_interrupt_while_modules_load_is_a_line_too(
    load: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "esnsim.cli")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=load), *sys.meta_path])
    assert main() == 130
    assert capsys.readouterr().err == "esnsim: error: interrupted\n"
    interrupted()  # what comes when all is done is late


@pytest.mark.usefixtures("handlers")
def test_other_errors_while_modules_load_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ImportError("initialization failed")

    monkeypatch.delitem(sys.modules, "esnsim.cli")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=broken)])
    with pytest.raises(ImportError, match="initialization failed"):
        main()


@pytest.mark.parametrize(
    ("seconds", "quiet", "shown"), [(0.9, False, False), (1.1, False, True), (1.1, True, False)]
)
def test_the_bar_appears_after_a_second(
    monkeypatch: pytest.MonkeyPatch, seconds: float, quiet: bool, shown: bool
) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.Meter(2, quiet, "quantising") as meter:
        meter.advance("one")
        monkeypatch.setattr(progress, "DELAY", 1.0 - seconds)  # as if so much time had passed
        meter.advance("two")
    assert ("quantising two" in screen.getvalue()) == shown


def test_a_pipe_gets_a_line_each_half_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 10.0, 31.0, 40.0, 59.0, 62.0, 70.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with progress.Meter(9, verb="quantising") as meter:
        for step in ("a", "b", "c", "d", "e", "f"):
            meter.advance(step)
    assert capsys.readouterr().err.splitlines() == [
        "esnsim: quantising b: 1 of 9 done", "esnsim: quantising e: 4 of 9 done",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("target", "reason", "words"),
    [
        (">&-", "it is closed", "cost builtin:resnet8 -q"), (">&-", "it is closed", "--help"),
        (">/dev/full", "No space left on device", "models"),
        (">/dev/full", "No space left on device", "--version"),
        (">/dev/full", "No space left on device", "pareto --help"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_written_is_an_error_of_one_line(
    target: str, reason: str, words: str
) -> None:
    command = f"{sys.executable} -m esnsim {words} {target}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == [
        f"esnsim: error: cannot write standard output: {reason}; give a file in a "
        "folder that exists, may be written to and has room"
    ]


@pytest.mark.parametrize("target", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize(("words", "code"), [("builtin:resnet8", 0), ("none.onnx", 1)])
def test_talk_that_cannot_be_written_is_left_out(target: str, words: str, code: int) -> None:
    command = f"{' '.join(COST)} {words} --top 1 {target}"
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (ended.returncode, bool(ended.stdout)) == (code, code == 0)


def test_no_file_takes_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What a library prints at file 1 or 2 must not land in an output."""
    code = (
        "import os; from esnsim.cli import main\n"
        "main(['--version'])\n"
        "print(os.open('file', os.O_CREAT | os.O_WRONLY), file=open('number', 'w'))\n"
    )
    command = f'{sys.executable} -c "{code}" <&- >&- 2>&-'
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert int((tmp_path / "number").read_text()) > 2


def test_output_to_the_null_device_leaves_it_a_device(tiny: Path) -> None:
    assert process(tiny, "-o", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()


def test_output_to_standard_error_by_name_goes_there(tiny: Path, tmp_path: Path) -> None:
    with (tmp_path / "err").open("w") as file:
        subprocess.run([*COST, str(tiny), "--json", "-o", "/dev/stderr"], stderr=file, check=True)
    assert json.loads((tmp_path / "err").read_text())["schema"] == "esnsim.cost/1"
    assert Path("/dev/stderr").is_symlink()


def test_a_path_that_is_no_text_is_read_and_reported(tiny: Path) -> None:
    path = os.fsencode(tiny.parent) + b"/\xff.onnx"
    os.rename(tiny, path)
    ended = subprocess.run([*COST, path, "--json"], capture_output=True, check=True)
    assert os.fsencode(json.loads(ended.stdout)["model"]["path"]) == path
