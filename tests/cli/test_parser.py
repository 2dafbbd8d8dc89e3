"""What holds for the options of every command, whoever adds them."""

import argparse
import json
import re
from pathlib import Path

import pytest

from esnsim.cli import COMMANDS, parser
from esnsim.commands import options as values
from esnsim.commands.paths import InputFile
from esnsim.machines.presets import KINDS, PERCENT, read_array
from esnsim.onnxfile.path import builtins
from tests.commandline import esnsim


def options(whole: argparse.ArgumentParser, command: str) -> list[argparse.Action]:
    """The options of a command."""
    [commands] = [a for a in whole._actions if isinstance(a, argparse._SubParsersAction)]
    return [a for a in commands.choices[command]._actions if a.option_strings]


WHOLE = parser()
SINGLE = [
    (command, action.option_strings[0])
    for command in COMMANDS
    for action in options(WHOLE, command)
    if isinstance(action, argparse._StoreAction)
]


@pytest.mark.parametrize(("command", "option"), SINGLE)
def test_an_option_of_one_value_is_given_once(
    command: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = parser(command)
    [action] = [a for a in options(whole, command) if option in a.option_strings]
    action.type = action.choices = None  # any word will do
    with pytest.raises(SystemExit, match="2"):
        whole.parse_args([command, option, "a", option, "b"])
    said = f"argument {'/'.join(action.option_strings)}: is given twice: give it once"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("command", "option"), SINGLE)
def test_a_negative_value_is_a_value(
    command: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some write a file of that name
    for value in ("-3", "-1%", "-200M", "-0.5,0.2", "-.5", "-inf", "-50fJ"):
        assert "expected one argument" not in esnsim(command, option, value, "no.onnx").err, value


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_the_embedded_models_and_says_how_images_are_scaled(command: str) -> None:
    text = " ".join(esnsim(command, "--help").out.split())
    models, images = re.search(r"\] (MODEL|\[MODEL)", text) is not None, "--data" in text
    assert all(name in text for name in builtins()) == models
    assert ("pixels of 0 to 255 divided by 255" in text) == images
    assert models == images or command in ("cost", "annotate")


def read(action: argparse.Action) -> object:
    """What turns the text of an option into its value, whether it may name a file or not."""
    return action.type.parse if isinstance(action.type, InputFile) else action.type


#: What one value may be spelled as, by the type of the options that take it.
ALIKE: dict[object, tuple[str, ...]] = {
    values.share: ("0.25", ".25", "2.5e-1", "25%", "25 %", "25.0%", "2.5E1%"),
    values.shares: ("0.25,0.5", "25%,50%", ".25,50 %"),
    values.budget: ("2.5M", "2.5m", "2500k", "2500K", "2500000", "2.5e6", "2.5E6"),
    values.limit: ("macs=2.5M", "macs=2.5m", "macs=2500k", "macs=2500K", "macs=2.5e6"),
    values.growth: ("macs=2.5%", "macs=2.5 %", "macs=0.025", "macs=2.5e-2", "macs=25e-1%"),
    values.energy: ("50fJ", "50FJ", "50fj", "50 fJ", "0.05pJ", "0.05PJ", "5e-5nj", "5E-5 nJ"),
    values.frequency: ("500MHz", "500mhz", "500 MHZ", "0.5GHz", "500000khz", "5e8Hz"),
    values.decibels: ("25dB", "25db", "25 DB", "25", "2.5e1dB"),
    values.percentile: ("99.9", "99.9%", "99.9 %"),
}
TYPED = [
    (command, action.option_strings[0], read(action), action.metavar)
    for command in COMMANDS
    for action in options(WHOLE, command)
]


def test_an_option_with_a_suffix_is_read_as_all_others_of_its_kind() -> None:
    suffix = re.compile(r"\d *(%|[kMGT]\b|[fpn]J|[kMG]Hz|dB)")
    found = {kind for *_, kind, metavar in TYPED if suffix.search(str(metavar))}
    assert found - {str} <= ALIKE.keys()  # a word is read by what it names
    assert {kind for *_, kind, _ in TYPED if kind in ALIKE} == ALIKE.keys()


@pytest.mark.parametrize(
    "texts",
    [
        ("2ms@maki", "2MS@maki", "2 ms@maki", "2000us@maki", "2000µs@maki"),
        ("5uJ@isaac", "5UJ@isaac", "5µJ@isaac", "5000 nj@isaac"),
        ("90k@bismo", "90K@bismo", "90000@bismo", "90k cycles@bismo"),
    ],
)
def test_budgets_of_machines_are_read_alike(texts: tuple[str, ...]) -> None:
    amounts, names = zip(*map(values.budget, texts), strict=True)
    assert amounts == pytest.approx([amounts[0]] * len(texts))
    assert len(set(names)) == 1


@pytest.mark.parametrize(
    ("option", "kind"), [(f"{command} {name}", kind) for command, name, kind, _ in TYPED
                         if kind in ALIKE]
)  # fmt: skip
def test_shares_and_suffixes_are_read_alike_everywhere(option: str, kind: object) -> None:
    command, name = option.split()
    [action] = [a for a in options(WHOLE, command) if name in a.option_strings]
    first, *others = (WHOLE._get_value(action, text) for text in ALIKE[kind])
    for other in others:
        assert other == first or other == pytest.approx(first, rel=1e-12)


ENERGIES, SHARES = ALIKE[values.energy], ("0.2%", "0.002", "0.2 %", "2e-1%")


@pytest.mark.parametrize(
    ("kind", "field", "spellings"),
    [(name, price.field, ENERGIES) for name, kind in KINDS.items() for price in kind.prices]
    + [("analog", field, SHARES) for field in PERCENT if PERCENT[field] == 1]
    + [("analog", "percentile", ("99.9", "99.9%", "99.9 %"))],
)
@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_files_of_machines_read_them_alike_too(
    suffix: str, kind: str, field: str, spellings: tuple[str, ...], tmp_path: Path
) -> None:
    base = KINDS[kind].prices[0].field
    fields = {base: "1pJ"} if spellings is ENERGIES else {}
    if field == "e_adc":
        fields |= {"preset": "isaac", "converters": True}
    found = []
    for text in spellings:
        path, given = tmp_path / f"m.{suffix}", {**fields, field: text}
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in given.items())
        path.write_text(json.dumps({kind: given}) if suffix == "yaml" else f"[{kind}]\n{lines}\n")
        found.append(getattr(read_array(path), field))
    assert found == pytest.approx([found[0]] * len(found), rel=1e-12)


def test_no_function_of_a_command_is_longer_than_forty_lines() -> None:
    for path in (Path(__file__).parents[2] / "esnsim" / "commands").glob("*.py"):
        for function in re.split(r"\n(?=def |@|class )", path.read_text("utf-8"))[1:]:
            first, *rest = function.strip().splitlines()
            assert len(rest) < 40, f"{path.name}: {first}"
