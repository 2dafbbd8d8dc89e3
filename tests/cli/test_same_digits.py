"""A report depends on the call alone, and not on what ran in the process before."""

from importlib import import_module

import pytest

from esnsim.quantization import weight_kernels
from tests.commandline import esnsim


@pytest.mark.parametrize("step", ["layer-max", "filter-sigma", "aciq"])
def test_two_reports_of_one_call_are_equal_whatever_was_loaded_between(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("cost", "builtin:resnet8", "--step", step, "--json")
    import_module(weight_kernels.FUSED)
    fused = esnsim(*words)
    monkeypatch.setattr(weight_kernels, "FUSED", "no such module")  # as before it was loaded
    assert esnsim(*words) == fused
