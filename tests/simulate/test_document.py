"""The JSON of `esnsim simulate`: its schema and its page."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.commandline import esnsim
from tests.samples import convolutions, saved

SCHEMA: dict[str, Any] = json.loads(
    (files("esnsim") / "schemas" / "simulate-2.json").read_text("utf-8")
)
VALID = Draft202012Validator(SCHEMA)
PAGE = (Path(__file__).parents[2] / "docs" / "simulate.md").read_text("utf-8")
COMMANDS = (
    "builtin:resnet8",
    "builtin:resnet8 --clock 1GHz --e-bit 50fJ",
    "builtin:resnet8 --clock 1GHz --step filter-sigma",
    "builtin:resnet8 --end-to-end --images 4 --bits-per-filter 3",
    "builtin:resnet8 --engine analog",
    "builtin:resnet8 --array isaac --end-to-end --images 4",
    "builtin:resnet8 --engine both --adc-bits 6",
)


def documents(words: str) -> list[dict[str, Any]]:
    found = json.loads(esnsim("simulate", *words.split(), "--json").out)
    return found if isinstance(found, list) else [found]


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("words", COMMANDS)
def test_documents_are_what_the_schema_says(words: str) -> None:
    for document in documents(words):
        VALID.validate(document)


def test_a_document_of_random_integers_is_what_the_schema_says(tmp_path: Path) -> None:
    for document in documents(str(saved(convolutions(), tmp_path))):
        VALID.validate(document)


def keys(schema: dict[str, Any]) -> Iterator[str]:
    """Every property that the schema names."""
    yield from schema.get("properties", {})
    for part in schema.values():
        for child in part.values() if isinstance(part, dict) else [part]:
            if isinstance(child, dict):
                yield from keys(child)


def test_the_page_explains_every_key_of_the_schema() -> None:
    assert sorted(key for key in set(keys(SCHEMA)) if f"`{key}`" not in PAGE) == []


def test_every_object_of_the_schema_is_closed_and_all_its_keys_are_required() -> None:
    for schema in [SCHEMA, *SCHEMA["$defs"].values()]:
        if "properties" in schema:
            assert set(schema["required"]) == set(schema["properties"])
            assert schema["additionalProperties"] is False


def test_totals_are_sums_of_layers() -> None:
    [document] = documents("builtin:resnet8 --e-bit 50fJ --e-idle 1fJ --e-dram-bit 1pJ")
    for name in ("macs", "esn_d_tilde", "esn_a_x4", "mac_bits", "cycles"):
        assert document["totals"][name] == sum(layer[name] for layer in document["layers"])
    for name, value in document["totals"]["energy"].items():
        layers = (layer["energy"][name] for layer in document["layers"])
        assert value == pytest.approx(sum(layers))


def test_commands_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shlex

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        next(text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    )
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    commands = [line[2:] for block in blocks for line in block.splitlines() if line[:2] == "$ "]
    ours = [shlex.split(c)[1:] for c in commands if c.startswith("esnsim simulate ")]
    assert len(ours) >= 6
    for words in ours:
        few = ["--images", "2"] if "--end-to-end" in words else []
        smaller = [word.replace("resnet20", "resnet8") for word in words]
        assert esnsim(*smaller, *few).code == 0
