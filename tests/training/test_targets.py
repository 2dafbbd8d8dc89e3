"""From a tracker's file to a compressed model: each layer has the ESNa that it had in training."""

from pathlib import Path

import pytest

from esnsim import cost, quantize, read_onnx
from esnsim.training.export import export_onnx
from esnsim.training.fit import Recipe, fit
from esnsim.training.tracker import ESNTracker
from tests.commandline import esnsim
from tests.training.tiny import EXAMPLE, images, tiny


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_trackers_file_gives_layers_their_esn_a_of_training(kind: str, tmp_path: Path) -> None:
    model = tiny()
    tracker = ESNTracker(model)
    recipe = Recipe(epochs=2, batch=10, learning_rate=0.02, warmup=0, bfloat16=False)
    fit(model, *images(), recipe, companions={"tracker": tracker})
    source, targets, made = (tmp_path / n for n in ("m.onnx", f"esna.{kind}", "out.onnx"))
    source.write_bytes(export_onnx(model, EXAMPLE))
    targets.write_text(tracker.to_json() if kind == "json" else tracker.to_csv())
    policy = ("--policy", "esna-targets", "--targets", targets, "--epoch", 1)
    assert esnsim("compress", source, *policy, "-o", made).code == 0
    found = [row.metrics.esn_a_x4.weights / 4 for row in cost(quantize(read_onnx(made))).layers]
    assert found == pytest.approx([row.esn_a for row in tracker.history[0].layers], rel=0.05)
