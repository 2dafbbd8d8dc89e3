"""How often a command parses a file and walks its graph."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import esnsim as library
from esnsim.importer import read
from esnsim.onnxfile import load
from esnsim.sweeps import sweep
from tests.commandline import esnsim
from tests.importer.models import model
from tests.samples import weights

NODES = """
    [first] h = Conv(x, w) r = Relu(h) p = GlobalAveragePool(r) f = Flatten(p)
    [last] y = Gemm<transB=1>(f, v)"""
PRUNED = ("compress", "one.onnx", "-o", "small.onnx", "--bits", 3, "--prune", 0.5)
GRID = ("--bits", "2,4", "--ratios", "0,0.5")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counted calls of the one parser and the one walk, in a folder with a model and images."""
    proto = model(NODES, "float[N,2,3,4] x", w=weights(4, 2, 1, 2), v=weights(3, 4))
    for name in ("one.onnx", "other.onnx"):
        (tmp_path / name).write_bytes(proto.SerializeToString())
    pixels = np.random.default_rng(5).normal(size=(40, 2, 3, 4)).astype(np.float32)
    np.savez(tmp_path / "images.npz", images=pixels, labels=np.arange(40) % 3)
    monkeypatch.chdir(tmp_path)
    for kept in vars(sweep).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()
    found = Counter[str]()
    for owner, name in ((load, "_parse"), (read, "explore")):
        monkeypatch.setattr(owner, name, _counting(found, name, getattr(owner, name)))
    return found


def _counting(found: Counter[str], name: str, function):
    def counted(*given):
        found[name] += 1
        return function(*given)

    return counted


@pytest.mark.parametrize(
    ("words", "parsed", "walked"),
    [
        (["cost", "one.onnx"], 1, 1),
        (["cost", "one.onnx", "-o", "there.json"], 1, 1),
        (["simulate", "one.onnx", "--images", 2], 1, 1),
        (["simulate", "one.onnx", "--end-to-end"], 1, 1),
        (["simulate", "one.onnx", "--images", 1, "--compare", "digital", "analog"], 1, 1),
        (["compress", "one.onnx", "-o", "small.onnx", "--bits", 3], 1, 2),
        (["compress", "one.onnx", "-o", "small.onnx", "--budget", 200], 1, 2),
        (["compress", "one.onnx", "-o", "small.onnx", "--bits", 3, "--activations", 8], 1, 3),
        (PRUNED, 1, 4),
        ([*PRUNED, "--rounding", "nearest"], 1, 3),
        (["pareto", "one.onnx", "--bits", "2,4", "--ratios", 0], 1, 1),
        (["pareto", "one.onnx", *GRID, "--rounding", "nearest"], 1, 2),
        (["pareto", "one.onnx", *GRID], 1, 3),
        (["pareto", "one.onnx", *GRID, "--step", "mse,filter-max"], 1, 3),
        (["pareto", "one.onnx", "other.onnx", *GRID], 2, 6),
    ],
)
def test_a_file_is_parsed_once_and_a_graph_walked_once_and_once_changed(
    words: Sequence[str], parsed: int, walked: int, calls: Counter[str]
) -> None:
    """Graphs that are pruned, refitted, written, or whose activations are measured are new."""
    Path("there.json").write_text('{"schema": "esnsim.cost/1"}')  # its guard looks into the model
    data = [] if words[0] == "cost" else ["--data", "images.npz"]
    ended = esnsim(*words, *data)
    assert ended.code == 0, ended.err
    assert calls == {"_parse": parsed, "explore": walked}


def test_python_parses_files_once_too(calls: Counter[str]) -> None:
    library.compare("one.onnx", "other.onnx", input_shapes={"x": (1, 2, 3, 4)})
    assert calls == {"_parse": 2, "explore": 2}
