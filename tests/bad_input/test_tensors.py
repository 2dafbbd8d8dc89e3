"""Tensors that their file cannot hold, and names that are no text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from onnx import ModelProto, TensorProto, helper

from esnsim import ModelError, read_onnx
from tests.commandline import Ended, esnsim, refused
from tests.importer.models import model
from tests.samples import saved, weights

W = weights(4, 3, 3, 3)


def external(path: Path, **entries: Any) -> Ended:
    """A model whose weight lies in another file, costed."""
    proto = model("y = Conv(x, w)")
    tensor = proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=W.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return esnsim("cost", saved(proto, path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder with data in it, beside it, and behind a link."""
    inside = tmp_path / "inside"
    (inside / "deeper").mkdir(parents=True)
    for place in (inside, inside / "deeper", tmp_path):
        (place / "data").write_bytes(W.tobytes())
    (inside / "link").symlink_to(tmp_path / "data")
    (inside / "round").symlink_to(inside / "round")
    return inside


@pytest.mark.parametrize("location", ["data", "deeper/data", "deeper/../data", "./data"])
def test_external_data_in_the_models_folder_is_read(folder: Path, location: str) -> None:
    assert external(folder, location=location).code == 0


@pytest.mark.parametrize(
    "location", ["../data", "link", "/etc/passwd", "deeper/../../data", "", "."]
)
def test_external_data_outside_the_models_folder_is_refused(folder: Path, location: str) -> None:
    refused(
        external(folder, location=location),
        f"tensor 'w' points to '{location}', outside the model's folder: refused",
        "external data must lie beside the model",
    )


@pytest.mark.parametrize("location", ["none", "deeper", "round"])
def test_external_data_that_is_missing_is_refused(folder: Path, location: str) -> None:
    refused(
        external(folder, location=location),
        f"tensor 'w' needs the file '{location}' in '{folder}', which is not there",
        "copy the external data beside the model",
    )


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"offset": 4}, "lies at bytes 4 to 436 of 'data', which has 432: copy the file again"),
        ({"offset": 1 << 70}, "of 'data', which has 432"),
        ({"offset": -4, "length": 432}, "lies at bytes -4 to 428 of 'data'"),
        ({"length": -1}, "lies at bytes 0 to -1 of 'data'"),
        ({"length": 428}, "declares 4×3×3×3 of float = 432 bytes but holds 428"),
        ({"offset": "four"}, "has an offset or length that is no number"),
        ({"length": "9" * 5000}, "has an offset or length that is no number"),
    ],
)
def test_external_data_of_the_wrong_extent_is_refused(
    folder: Path, entries: dict[str, Any], said: str
) -> None:
    refused(external(folder, location="data", **entries), "tensor 'w' ", said)


def test_external_data_of_a_model_in_memory_needs_its_path() -> None:
    proto = model("y = Conv(x, w)")
    tensor = proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=W.shape)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="data")
    with pytest.raises(ModelError, match="read the model by its path"):
        read_onnx(proto)


def declares(
    data_type: int = TensorProto.FLOAT, raw: bytes = b"", dims: Sequence[int] = W.shape
) -> ModelProto:
    """A model whose weight is this tensor."""
    proto = model("[conv] y = Conv(x, w)")
    proto.graph.initializer.add(name="w", dims=dims, data_type=data_type, raw_data=raw)
    return proto


def points_to(span: str) -> ModelProto:
    """A file that holds the mark of the scanner itself."""
    proto = declares(raw=W.tobytes())
    proto.graph.initializer[0].external_data.add(key="esnsim.span", value=span)
    return proto


@pytest.mark.parametrize(
    ("proto", "said"),
    [
        (declares(dims=[1 << 62, 3, 3, 3]), "declares the shape 4611686018427387904×3×3×3"),
        (declares(dims=[4, -3, 3, 3]), "declares the shape 4×-3×3×3"),
        (declares(dims=[1] * 65), "declares 65 axes: none has more than 64"),
        (declares(raw=bytes(431)), "declares 4×3×3×3 of float = 432 bytes but holds 431"),
        (declares(), "declares 4×3×3×3 of float = 432 bytes but holds 0"),
        (declares(dims=[400, 3, 300, 300]), "declares 400×3×300×300 of float = 432,000,000 bytes"),
        (points_to("0:x"), "lies at '0:x'"),
        (points_to("-5:432"), "lies at '-5:432'"),
        (points_to("9999:432"), "lies outside the file"),
    ],
)
def test_a_tensor_that_the_file_cannot_hold_is_refused(
    tmp_path: Path, proto: ModelProto, said: str
) -> None:
    refused(esnsim("cost", saved(proto, tmp_path)), f"tensor 'w' {said}", "the file is damaged")


def test_a_tensor_of_an_unknown_type_is_refused(tmp_path: Path) -> None:
    refused(
        esnsim("cost", saved(declares(99, bytes(432)), tmp_path)),
        "tensor 'w' has element type 99, which onnx", "does not know: update onnx",
    )  # fmt: skip


def test_a_kernel_without_extent_is_refused(tmp_path: Path) -> None:
    refused(
        esnsim("cost", saved(declares(dims=[4, 3, 0, 3]), tmp_path)),
        "'conv': batch, groups, sizes, strides, dilations must be positive",
        "the model is damaged, or --input-shape does not fit it",
    )


def test_weights_of_text_are_refused(tmp_path: Path) -> None:
    proto = model("[conv] y = Conv(x, w)")
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.STRING, [4], [b"x"] * 4))
    refused(
        esnsim("cost", saved(proto, tmp_path)),
        "Conv 'conv' is not counted: the shape of its input 'w' is not known",
    )


@pytest.mark.parametrize(
    ("name", "said"), [(b"input", "holds names that are not text"), (b"layer", "operator Conv ")]
)
def test_names_that_are_no_text_are_refused(tmp_path: Path, name: bytes, said: str) -> None:
    path = saved(model("[layer] y = Conv(input, w)", "float[1,3,6,5] input", w=W), tmp_path)
    path.write_bytes(path.read_bytes().replace(name, b"\xff" + name[1:]))
    refused(esnsim("cost", path), said, "damaged")


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    proto = model("y = Conv(x, w)", w=W)
    proto.graph.node[0].name = "\x1b]0;title\x07\x1b[2J\nrow"
    shown = esnsim("cost", saved(proto, tmp_path))
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert "\N{REPLACEMENT CHARACTER}row " in shown.out
    proto.graph.initializer[0].dims[1] = 4
    proto.graph.initializer[0].raw_data += bytes(144)
    assert "\x1b" not in esnsim("cost", saved(proto, tmp_path)).err
