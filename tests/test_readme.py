"""Every command and every line of Python in the README runs, and prints what the README shows."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from esnsim.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for kind, text in BLOCKS
    if kind == "console"
    for line in text.splitlines()
]
ESNSIM = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("esnsim ")]


def test_commands_of_the_readme_run(few_images, tmp_path, monkeypatch, capsys):
    """With smaller ones of the embedded networks in place of larger ones."""
    monkeypatch.chdir(tmp_path)  # one after the other: some read what others wrote
    smaller = {
        "builtin:resnet20": "builtin:resnet8",
        "builtin:resnet20_05x": "builtin:resnet20_025x",
    }
    ended = [main([smaller.get(word, word) for word in words]) for words in ESNSIM]
    assert ended == [0] * len(ESNSIM)


EXAMPLES = [
    (before[1].splitlines()[-1].removeprefix("$ "), text)
    for before, (kind, text) in pairwise(BLOCKS)
    if kind == "text"
]


@pytest.mark.parametrize(("command", "shown"), EXAMPLES)
def test_an_example_is_what_its_command_prints(command, shown, capsys):
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out == shown


def test_the_python_of_the_readme_runs(capsys):
    exec(next(text for kind, text in BLOCKS if kind == "python"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("target", [c for c in COMMANDS if c.startswith("make ")])
def test_make_targets_exist(target):
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    assert re.search(rf"^{target.split()[1]}:", makefile, re.MULTILINE)


def test_every_command_is_accounted_for():
    assert len(ESNSIM) + sum(c.startswith("make ") for c in COMMANDS) == len(COMMANDS)
