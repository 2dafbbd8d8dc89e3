"""Files that are no models, and models with nothing to count."""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from esnsim import EsnsimError
from esnsim.files.opened import open_file
from tests.commandline import esnsim, refused
from tests.importer.models import model
from tests.samples import EMBEDDED, saved, weights

RESNET8 = (EMBEDDED / "resnet8.onnx").read_bytes()
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde"
W = weights(4, 3, 3, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty: give a model saved by onnx"),
        (b"Hello, this is a text and no model.\n", "not an ONNX file"),
        (PNG, "not an ONNX file"),
        (pickle.dumps({"weights": [1.0] * 50}), "not an ONNX file"),
        (np.random.default_rng(0).bytes(5000), ""),
        (b"\x08\x08", "holds no graph: it is not an ONNX model; export it again"),
        (b"\x08\x08\x3a\0", "has an empty graph: export a network with operators"),
    ],
)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    refused(esnsim("cost", path), f"'{path}'", said)


def test_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.onnx", RESNET8)
    refused(esnsim("cost", path), f"'{path}'", "ONNX file")


@pytest.mark.parametrize(
    "length", [*range(1, 40), *range(40, len(RESNET8), 4999), len(RESNET8) - 1]
)
def test_a_model_cut_short_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(RESNET8[:length])
    refused(esnsim("cost", path), f"'{path}'")


def test_a_cut_says_how_much_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(RESNET8[:-1000])
    refused(
        esnsim("cost", path),
        "the file is damaged or cut short", " bytes more than there are",
        "copy or export the model again",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "is a directory: give the .onnx file inside it"),
        ("none.onnx", "there is no file"),
        ("x" * 5000, "there is no file"),
        ("pipe", "is not a regular file: give an .onnx file"),
    ],
)
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str, said: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    refused(esnsim("cost", tmp_path / name), said)


def test_a_builtin_that_does_not_exist_is_refused_with_those_that_do() -> None:
    refused(
        esnsim("cost", "builtin:resnet9"),
        "there is no model 'builtin:resnet9': embedded are builtin:resnet20, builtin:resnet20_025x",
        ", builtin:resnet20_05x, builtin:resnet20_075x",
        ", builtin:resnet8",
    )
    refused(esnsim("cost", "builtin:../embedded/resnet8"), "there is no model")


def test_the_name_of_a_builtin_alone_is_answered_with_how_to_give_it() -> None:
    refused(
        esnsim("cost", "resnet20"), "no file 'resnet20': the embedded model is builtin:resnet20"
    )


def test_a_file_that_may_not_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "model.onnx"
    path.write_bytes(RESNET8)
    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(EsnsimError, match=r"cannot read '.*': Permission denied; check its perm"):
        open_file(path)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ("y = Relu(x)", "(its operators are Relu)"),
        ("y = MatMul(x, x)", "(its operators are MatMul)"),
        ("y = Det(x)", "(Det 'y' is not counted: "),
    ],
)
def test_a_model_without_weighted_layers_is_refused(tmp_path: Path, nodes: str, said: str) -> None:
    refused(
        esnsim("cost", saved(model(nodes, "float[1,3,4,4] x"), tmp_path)),
        "has no layer with weights that esnsim can count", said,
        "give a network with convolutions or matrix products by constants",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "rule"),
    [(b, r) for b in (np.nan, np.inf, -np.inf) for r in ("layer-max", "aciq", "mse")],
)
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float, rule: str) -> None:
    values = W.copy()
    values[2, 1, 0, 2] = bad
    path = saved(model("[conv] y = Conv(x, w)", w=values), tmp_path)
    refused(
        esnsim("cost", path, "--step", rule),
        f"layer 'conv' has 1 weights that are NaN or infinite (the first: {bad})",
        "mend the model",
    )
