"""An entry in a table is offered by the command line and its help, with no other change."""

from pathlib import Path
from typing import Any

import pytest

from esnsim.compression.allocate.effort import EFFORTS
from esnsim.compression.export.formats import FORMATS
from esnsim.compression.policies import POLICIES
from esnsim.compression.prune.criteria import CRITERIA, SCOPES
from tests.commandline import esnsim


@pytest.mark.parametrize(
    ("table", "option", "commands"),
    [
        (POLICIES, "--policy", ["compress", "pareto"]),
        (CRITERIA, "--criterion", ["compress", "pareto"]),
        (SCOPES, "--scope", ["compress", "pareto"]),
        (FORMATS, "--format", ["compress"]),
        (EFFORTS, "--effort", ["compress"]),
    ],
)
def test_a_new_entry_is_offered(
    table: dict[str, Any], option: str, commands: list[str],
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(table, "flip", next(iter(table.values())))
    more = {
        "compress": ("-o", "/nowhere/small.onnx"),
        "pareto": ("--data", place / "images.npz", "--ratios", "0", "--bits", "2"),
    }
    for command in commands:
        assert "flip: " in " ".join(esnsim(command, "--help").out.split())
        words = (place / "model.onnx", *more[command])
        assert "flip" not in esnsim(command, *words, option, "flip").err
        refused = esnsim(command, *words, option, "flop")
        assert refused.code == 2
        assert "flip" in refused.err


@pytest.mark.parametrize("page", ["compress.md", "pruning.md", "pareto.md"])
def test_the_pages_name_every_entry(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    tables = {
        "compress.md": (POLICIES, FORMATS, CRITERIA, SCOPES),
        "pruning.md": (CRITERIA, SCOPES),
    }
    for table in tables.get(page, (POLICIES,)):
        assert all(name in text for name in table)
