"""Completion and the man page come from the parser, and name every command and option."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esnsim.cli import COMMANDS, parser
from esnsim.commands.shell import EXITS, SHELLS
from tests.commandline import esnsim, refused


def options(name: str) -> list[str]:
    each = next(a for a in parser()._actions if a.dest == "command").choices[name]
    return [option for action in each._actions for option in action.option_strings]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_told_every_command(shell: str) -> None:
    pytest.importorskip("shtab")
    ended = esnsim("--completion", shell)
    assert (ended.code, ended.err) == (0, "")
    assert all(name in ended.out for name in COMMANDS)
    if shell == "bash":
        assert all(option in ended.out for name in COMMANDS for option in options(name))
        subprocess.run(["bash", "-n"], input=ended.out, text=True, check=True)


def test_completion_without_shtab_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    refused(esnsim("--completion", "bash"), "needs shtab: pip install 'esnsim[complete]'", code=2)
    refused(esnsim("--completion", "fish"), "invalid choice: 'fish'", code=2)


def test_the_man_page_has_every_option() -> None:
    ended = esnsim("--manual")
    assert (ended.code, ended.err) == (0, "")
    pages = ended.out.split(".SH ESNSIM ")
    assert len(pages) == len(COMMANDS) + 1
    for name, page in zip(COMMANDS, pages[1:], strict=True):
        assert page.startswith(name.upper())
        for option in options(name):
            assert option.replace("-", "\\-") in page


def test_the_page_has_the_exit_codes_of_the_manual() -> None:
    page = (Path(__file__).parents[2] / "docs" / "shell.md").read_text("utf-8")
    assert [*map(int, re.findall(r"^\| (\d+) \|", page, re.MULTILINE))] == [*EXITS]


def test_roff_reads_the_man_page() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    page = esnsim("--manual").out
    read = subprocess.run(
        ["groff", "-man", "-Kutf8", "-Tutf8", "-ww"], input=page, capture_output=True, text=True
    )
    assert (read.returncode, read.stderr) == (0, "")
