"""What the pages of docs/ show can be typed: commands parse, and Python runs."""

import json
import re
import shlex
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest

from esnsim.cli import main, parse
from tests.samples import EMBEDDED

PAGES = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


def blocks(page: Path) -> list[tuple[str, str]]:
    """The blocks of code of a page: language and text."""
    return re.findall(r"```(\w+)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


BLOCKS = [(page.stem, kind, text) for page in PAGES for kind, text in blocks(page)]
COMMANDS = [
    line.removeprefix("$ ")
    for _, _, text in BLOCKS
    for line in text.replace("\\\n", " ").splitlines()
    if line.startswith("$ esnsim ")
]
PYTHON = [(page, text) for page, kind, text in BLOCKS if kind == "python"]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_pages_parses(command: str) -> None:
    words = shlex.split(command)[1:]
    assert parse(words).command == words[0]


def test_the_quick_commands_of_the_questions_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # one after the other: some read what others wrote
    first, _, third = (PAGES[0].parent / "questions.md").read_text("utf-8").split("\n## ")[1:]
    commands = re.findall(r"\$ esnsim (.*)", first + third)
    assert len(commands) == 5
    assert [main(shlex.split(command)) for command in commands] == [0] * len(commands)


@pytest.mark.parametrize("page", sorted({page for page, _ in PYTHON} - {"training"}))
def test_the_python_of_a_page_runs(
    page: str, few_images: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the smaller of the embedded networks in place of the larger one."""
    (tmp_path / "resnet20.onnx").write_bytes((EMBEDDED / "resnet20.onnx").read_bytes())
    monkeypatch.chdir(tmp_path)
    for where, text in PYTHON:
        if where == page:
            with warnings.catch_warnings():
                warnings.simplefilter("error", DeprecationWarning)  # pages show what stays
                exec(text.replace("builtin:resnet20", "builtin:resnet8"), {})


def test_the_python_about_training_runs_with_what_the_reader_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from esnsim.training.catalog import entry
    from esnsim.training.fit import Recipe

    monkeypatch.chdir(tmp_path)
    model = entry("resnet8").build()
    shake = SimpleNamespace(
        step=lambda: [p.data.add_(0.01 * torch.randn_like(p)) for p in model.parameters()],
        zero_grad=model.zero_grad,
    )
    own = {
        "torch": torch, "model": model, "teacher": entry("resnet8").build(),
        "conv": torch.nn.Conv2d(3, 4, (3, 2)),
        "optimizer": shake, "epochs": 2,
        "loader": [(torch.rand(2, 3, 32, 32), torch.tensor([3, 1]))] * 3, "onnx": onnx,
        "criterion": torch.nn.CrossEntropyLoss(),
        "example": torch.zeros(1, 3, 32, 32), "recipe": Recipe(epochs=1, batch=2),
        "images": np.zeros((4, 3, 32, 32), np.uint8), "labels": np.arange(4),
        "lightning": SimpleNamespace(Callback=object),
    }  # fmt: skip
    for page, text in PYTHON:
        if page == "training":
            exec(text, own)
    tracked = json.loads(Path("esna.json").read_text())["epochs"]
    assert [epoch["total"]["esn_a"] > 0 for epoch in tracked] == [True, True]
    whole, smaller = (sum(map(torch.numel, m.parameters())) for m in (model, own["smaller"]))
    assert smaller < 0.5 * whole
    callback, trainer = own["TrackESN"](), SimpleNamespace(global_step=0)
    logged: dict[str, float] = {}
    object.__setattr__(model, "log", logged.__setitem__)  # as a LightningModule has it
    callback.on_fit_start(trainer, model)
    for trainer.global_step in range(1, 4):
        shake.step()
        callback.on_train_batch_end(trainer, model, None, None)
    callback.on_train_epoch_end(trainer, model)
    assert logged["esn_a"] > 0
