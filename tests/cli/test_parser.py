"""What holds for the options of every command, whoever adds them."""

import argparse
import re
from pathlib import Path

import pytest

from esnsim.cli import COMMANDS, parser
from tests.commandline import esnsim


def options(whole: argparse.ArgumentParser, command: str) -> list[argparse.Action]:
    """The options of a command."""
    [commands] = [a for a in whole._actions if isinstance(a, argparse._SubParsersAction)]
    return [a for a in commands.choices[command]._actions if a.option_strings]


SINGLE = [
    (command, action.option_strings[0])
    for command in COMMANDS
    for action in options(parser(), command)
    if isinstance(action, argparse._StoreAction)
]


@pytest.mark.parametrize(("command", "option"), SINGLE)
def test_an_option_of_one_value_is_given_once(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = parser()
    [action] = [a for a in options(whole, command) if option in a.option_strings]
    action.type = action.choices = None  # any word will do
    with pytest.raises(SystemExit, match="2"):
        whole.parse_args([command, option, "a", option, "b"])
    said = f"argument {'/'.join(action.option_strings)}: is given twice: give it once"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("value", ["-3", "-1%", "-200M", "-0.5,0.2", "-.5", "-inf", "-50fJ"])
@pytest.mark.parametrize(("command", "option"), SINGLE)
def test_a_negative_value_is_a_value(command: str, option: str, value: str) -> None:
    assert "expected one argument" not in esnsim(command, option, value, "no.onnx").err


LONGER = {"def _sweep("}  # still to be cut


def test_no_function_of_a_command_is_longer_than_forty_lines() -> None:
    for path in (Path(__file__).parents[2] / "esnsim" / "commands").glob("*.py"):
        for function in re.split(r"\n(?=def |@|class )", path.read_text("utf-8"))[1:]:
            first, *rest = function.strip().splitlines()
            assert len(rest) < 40 or first in LONGER, f"{path.name}: {first}"
