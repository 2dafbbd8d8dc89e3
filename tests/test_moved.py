"""Documented modules are found under their old names, with a warning."""

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

from esnsim.compression.prune.prune import choose
from esnsim.compression.prune.shrink import shrink, shrunk
from esnsim.graph.graph import graph_of
from esnsim.graph.model import open_model
from esnsim.importer import load
from esnsim.moved import MOVED


@pytest.mark.parametrize("old", MOVED)
def test_an_old_name_gives_the_module_that_has_its_contents(old: str) -> None:
    sys.modules.pop(f"esnsim.{old}", None)
    with pytest.warns(DeprecationWarning, match=f"esnsim.{MOVED[old]}: import that"):
        found = import_module(f"esnsim.{old}")
    assert found is import_module(f"esnsim.{MOVED[old]}")
    assert found.__spec__ is not None
    assert found.__spec__.name == f"esnsim.{MOVED[old]}"


def test_a_name_that_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_module("esnsim.compress.nothing")


def test_an_old_import_works_in_a_new_process() -> None:
    code = (
        "from esnsim.compress.pruning.prune import choose\n"
        "from esnsim.execute.graph import graph_of\n"
        "import esnsim.engines.analog, esnsim.data\n"
        "assert esnsim.data.embedded and choose and graph_of\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_graph_beside_its_network_is_still_taken_for_a_model() -> None:
    model = open_model("builtin:resnet8")
    graph = graph_of(load("builtin:resnet8"), model.network)
    with pytest.warns(DeprecationWarning, match="choose takes a Model: use open_model"):
        kept = choose(graph, model.network, ratio=0.5)
    for old, new in zip(kept, choose(model, ratio=0.5), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.warns(DeprecationWarning, match="shrunk takes a Model: use open_model"):
        assert shrunk(graph, model.network, kept) == shrink(model, kept).proto
