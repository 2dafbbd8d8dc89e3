"""Compression that was stopped goes on at the layer where it stopped: `--resume FILE`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from esnsim.cli import main
from esnsim.compression import paying
from esnsim.compression.compress import compress
from esnsim.compression.compressed import Compressed
from esnsim.compression.journal import Journal
from esnsim.compression.recipe import Recipe
from esnsim.compression.round import layers
from esnsim.errors import UsageError
from esnsim.graph.model import open_model
from esnsim.images.sets import load

STEPS = 4  # layers of the small network


def compressed(place: Path, resume: Path | None, **recipe: Any) -> Compressed:
    images = load(place / "images.npz")
    options = {"budget": 3000.0, **recipe}
    return compress(open_model(place / "model.onnx"), Recipe(**options), images, resume=resume)


def stopping(after: int, calls: list[int]) -> Callable[..., Any]:
    """A rounding that is interrupted after so many layers, and counts them."""
    real = layers.compensated

    def rounded(*given: Any) -> Any:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*given)

    return rounded


@pytest.mark.parametrize("done", [0, 1, 3])
@pytest.mark.parametrize("recipe", [{}, {"activations": True}])
def test_what_was_stopped_goes_on_and_ends_the_same(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: int, recipe: dict[str, Any]
) -> None:
    file, wanted = tmp_path / "state", compressed(place, None, **recipe)
    with monkeypatch.context() as patch:
        patch.setattr(layers, "compensated", stopping(done, []))
        with pytest.raises(KeyboardInterrupt):
            compressed(place, file, **recipe)
    calls: list[int] = []
    monkeypatch.setattr(layers, "compensated", stopping(99, calls))
    found = compressed(place, file, **recipe)
    assert len(calls) == STEPS - done
    assert found.model == wanted.model
    assert not file.exists()


def test_what_pruning_measured_is_not_measured_again(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, wanted = tmp_path / "state", compressed(place, None, ratio=None)
    with monkeypatch.context() as patch:
        patch.setattr(layers, "compensated", stopping(STEPS + 1, []))  # filters have gone
        with pytest.raises(KeyboardInterrupt):
            compressed(place, file, ratio=None)
    for measured in ("gains_of", "order"):
        monkeypatch.delattr(paying, measured)
    assert compressed(place, file, ratio=None).model == wanted.model


def test_a_thorough_run_is_the_same_with_a_journal(place: Path, tmp_path: Path) -> None:
    wanted = compressed(place, None, effort="thorough")
    found = compressed(place, tmp_path / "state", effort="thorough")
    assert found.model == wanted.model


def test_a_file_of_another_run_or_none_is_refused(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "state"
    Journal(file, "another")
    with pytest.raises(UsageError, match="is not what another run of this command left"):
        compressed(place, file)
    file.write_bytes(b"no journal at all, but long enough for a header")
    with pytest.raises(UsageError, match="is not what another run"):
        compressed(place, file)
    file.write_bytes((3).to_bytes(8, "little") + b"abc")
    with pytest.raises(UsageError, match="can't be gone on with"):
        compressed(place, file)


def test_a_record_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "state", "mine")
    journal.put("one", {"q": np.arange(3)})
    whole = (tmp_path / "state").read_bytes()
    journal.put("two", {"q": np.arange(4)})
    (tmp_path / "state").write_bytes((tmp_path / "state").read_bytes()[:-5])
    again = Journal(tmp_path / "state", "mine")
    one = again.get("one")
    assert one is not None
    assert one["q"].tolist() == [0, 1, 2]
    assert again.get("two") is None
    assert (tmp_path / "state").read_bytes() == whole


def test_an_interrupt_leaves_no_file_but_the_one_to_go_on_with(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(layers, "compensated", stopping(2, []))
    words = ["compress", str(place / "model.onnx"), "--data", str(place / "images.npz")]
    words += ["--budget", "3000", "-o", "small.onnx", "--resume", "state", "-q"]
    assert main(words) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
