"""Shapes of inputs that do not fit, or that are missing."""

from pathlib import Path

import pytest

from tests.commandline import esnsim, refused
from tests.importer.models import model
from tests.samples import SAMPLES, saved, weights

W = weights(4, 3, 3, 3)


@pytest.fixture
def free(tmp_path: Path) -> Path:
    """A model whose height and width are free."""
    return saved(model("y = Conv(x, w)", "float[N,3,H,H] x", w=W), tmp_path)


def test_free_sizes_are_asked_for(free: Path) -> None:
    refused(
        esnsim("cost", free),
        "input 'x' is N×3×H×H: give its free sizes with --input-shape x=1,3,224,224",
    )


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("x=1,3,8", "--input-shape x=1,3,8 does not fit the model, which declares N×3×H×H"),
        ("x=1,4,8,8", "--input-shape x=1,4,8,8 does not fit the model"),
        ("x=1,3,8,9", "--input-shape gives 'H' two sizes, 8 and 9"),
        ("x=1,3,0,0", "is no usable shape: sizes must be positive"),
        ("x=1,3,99999999,99999999", "hold at most 1,099,511,627,776 elements"),
        ("z=1,3,8,8", "--input-shape names 'z', which is no input of the model; its inputs are x"),
        ("x=1,3,2,2", "the kernel does not fit into the padded input"),
    ],
)
def test_an_input_shape_that_does_not_fit_is_refused(free: Path, shape: str, said: str) -> None:
    refused(esnsim("cost", free, "--input-shape", shape), said)


@pytest.mark.parametrize(
    ("declared", "hint"),
    [
        ("float[N,3,H,W] x", "x=1,3,224,224"),
        ("float[N,C,H,W] x", "x=1,3,224,224"),
        ("float[N,1,48,W] x", "x=1,1,48,48"),
        ("float[N,H,W,3] x", "x=1,224,224,3"),
        ("float[N,T,80] x", "x=1,128,80"),
        ("float[N,L] x", "x=1,128"),
    ],
)
def test_the_hint_of_a_shape_has_the_inputs_axes(tmp_path: Path, declared: str, hint: str) -> None:
    path = saved(model("y = MatMul(x, w)", declared, w=W), tmp_path)
    refused(esnsim("cost", path), f"give its free sizes with --input-shape {hint}")


def test_an_input_without_a_shape_is_asked_for(tmp_path: Path) -> None:
    proto = model("y = Conv(x, w)", w=W)
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    refused(
        esnsim("cost", saved(proto, tmp_path)),
        "input 'x' declares no shape: give it with --input-shape x=1,3,",
    )


def test_an_unnamed_shape_needs_a_single_input(tmp_path: Path) -> None:
    path = saved(SAMPLES["control"](), tmp_path)
    refused(
        esnsim("cost", path, "--input-shape", "1,3,6,5"),
        "--input-shape needs a name, as the model has 2 inputs: x, c; give NAME=1,3,224,224",
    )
