"""What from_torch gives is what the exported file gives, with both of torch's exporters."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import esnsim
from esnsim.errors import EsnsimError, ModelError
from esnsim.images.sets import EMBEDDED
from esnsim.model.network import Network
from esnsim.training import catalog, export
from esnsim.training.fit import accuracy
from esnsim.training.layers import weighted_layers
from tests.commandline import esnsim as command
from tests.naive import paper_networks
from tests.training.tiny import EXAMPLE, Together, tiny

GEOMETRIES = nn.Sequential(
    nn.Conv2d(1, 4, (2, 3), padding=(0, 1), dilation=(1, 2)),
    nn.ReLU(),
    nn.Conv2d(4, 4, (3, 1), groups=4),
    nn.Conv2d(4, 6, 1, stride=(1, 2), groups=2),
    nn.Flatten(),
    nn.Linear(6 * 3 * 3, 5),
)
MODELS = {"residual": tiny(), "geometries": GEOMETRIES}
MODELS["both"] = Together(*MODELS.values())


@cache
def exported(name: str, dynamo: bool) -> tuple[bytes, Network]:
    """The file of a module, and what from_torch gives of the same export, which takes seconds."""
    given = (MODELS[name], EXAMPLE, dynamo, False)
    data = export.export_onnx(*given)

    def again(*asked: object) -> bytes:
        assert asked == given
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "export_onnx", again)
        return data, esnsim.from_torch(MODELS[name], EXAMPLE, dynamo)


@pytest.mark.parametrize(
    ("name", "dynamo"), [("residual", False), ("geometries", False), ("both", True)]
)
def test_from_torch_has_the_codes_macs_and_cost_of_the_exported_file(
    name: str, dynamo: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    data, network = exported(name, dynamo)
    path.write_bytes(data)
    onnx.checker.check_model(path, full_check=True)
    ours, files = (esnsim.quantize(n) for n in (network, esnsim.read_onnx(path)))
    assert [row.layer.macs for row in ours.layers] == [row.layer.macs for row in files.layers]
    for mine, other in zip(ours.layers, files.layers, strict=True):
        np.testing.assert_array_equal(esnsim.codes(mine), esnsim.codes(other))
    assert esnsim.cost(ours).total == esnsim.cost(files).total


def test_both_exporters_give_the_same_cost_once_batchnorm_is_folded() -> None:
    scheme = esnsim.Scheme(rule="filter-max", bits=4)
    script, dynamo = (
        esnsim.cost(esnsim.quantize(esnsim.fold_batchnorm(network), scheme))
        for network in (exported("both", dynamo)[1] for dynamo in (False, True))
    )
    assert script.total.macs == dynamo.total.macs
    assert [row.bits.tolist() for row in script.layers] == [r.bits.tolist() for r in dynamo.layers]
    # a folded gain is rounded to float32 by one and not by the other: a code in a thousand moves
    assert dynamo.total.esn_a_x4.macs == pytest.approx(script.total.esn_a_x4.macs, rel=0.02)


def test_layers_have_the_names_of_parameters_and_the_module_is_left_as_it_was() -> None:
    model = tiny().train()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    network = esnsim.from_torch(model, EXAMPLE)
    assert [layer.weight.name for layer in network.layers] == [
        f"{name}.weight" for name in weighted_layers(model)
    ]
    assert model.training
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())


def test_an_exported_file_is_loaded_back_into_the_module(tmp_path: Path) -> None:
    model, other, path = tiny(), tiny(seed=1), tmp_path / "model.onnx"
    with torch.no_grad():  # torch writes equal tensors once
        model.blocks[0].bn2.bias.copy_(model.blocks[0].shortcut[1].bias)
    path.write_bytes(export.export_onnx(model, EXAMPLE))
    export.load_onnx(other, path)
    loaded = other.state_dict()
    assert all(torch.equal(t, loaded[n]) for n, t in model.state_dict().items())
    with pytest.raises(ModelError, match=r"is of another model: 0 of its \d+ tensors fit the 2"):
        export.load_onnx(nn.Linear(2, 3), path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelError, match=r"model\.onnx' is damaged"):
        export.load_onnx(other, path)


def test_the_embedded_network_is_loaded_with_its_accuracy() -> None:
    model = catalog.entry("resnet8").build(channels=1)
    export.load_onnx(model, "builtin:resnet8")
    sample = np.load(EMBEDDED)
    assert accuracy(model, sample["images"][:200], sample["labels"][:200]) > 0.9


def test_a_module_without_weighted_layers_is_refused() -> None:
    with pytest.raises(ModelError, match="Flatten has no layer with weights"):
        esnsim.from_torch(nn.Flatten(), EXAMPLE)


def test_an_example_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match=r"torch cannot export Tiny to ONNX \(.*\): check that"):
        esnsim.from_torch(tiny(), torch.zeros(1, 3, 6, 8))


@pytest.mark.parametrize("name", catalog.MODELS)
def test_networks_have_the_published_macs_and_parameters(name: str) -> None:
    found = catalog.entry(name)
    with torch.device("meta"):
        model = found.build()
        windows: dict[str, int] = {}
        for layer, module in weighted_layers(model).items():
            module.register_forward_hook(
                lambda m, i, o, layer=layer: windows.update({layer: o[0, 0].numel()})
            )
        model.eval()(torch.zeros(1, *found.input_shape))
    macs = sum(m.weight.numel() * windows[n] for n, m in weighted_layers(model).items())
    assert macs == found.macs
    assert sum(p.numel() for p in model.parameters()) == found.parameters


#: MACs and parameters as published, and in how many digits: He et al. 2016, Table 6; torchvision's
#: documentation of its weights; Huang et al. 2017, Table 2
PUBLISHED = {
    "resnet20": (None, "2.7e+05"),
    "resnet18": ("1.81e+09", "11689512"),
    "resnet50": ("4.09e+09", "25557032"),
    "densenet-bc-100-12": (None, "8e+05"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_catalogue_agrees_with_published_numbers(name: str) -> None:
    found = catalog.entry(name)
    for ours, published in zip((found.macs, found.parameters), PUBLISHED[name], strict=True):
        digits = len((published or "").partition("e")[0].replace(".", ""))
        assert published is None or float(f"{ours:.{digits}g}") == float(published)


@pytest.mark.parametrize("name", catalog.MODELS)
def test_macs_are_those_of_the_papers_tables(name: str) -> None:
    assert catalog.entry(name).macs == paper_networks.macs(name)


def test_resnet20_has_the_800_filters_of_figure_6() -> None:
    network = esnsim.from_torch(catalog.entry("resnet20").build(), torch.zeros(1, 3, 32, 32))
    assert sum(layer.filters for layer in network.layers[:-1]) == 800
    assert sum(layer.macs for layer in network.layers) == catalog.entry("resnet20").macs


def test_models_are_listed() -> None:
    ended = command("models")
    lines = ended.out.splitlines()
    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in lines] == ["name", *catalog.MODELS]
    assert "41,075,328" in command("models", "resnet20").out


def test_a_model_is_exported_and_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "resnet8.onnx"
    ended = command("models", "resnet8", "-o", path)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith(f"esnsim: wrote {path} (0.3 MB, random weights)")
    network = esnsim.read_onnx(path)
    assert sum(layer.macs for layer in network.layers) == catalog.entry("resnet8").macs


def test_exporting_without_a_name_is_wrong_usage(tmp_path: Path) -> None:
    ended = command("models", "-o", tmp_path / "x.onnx")
    assert ended.code == 2
    assert ended.err == (
        "esnsim: error: -o needs the NAME of a network: esnsim models resnet20 -o resnet20.onnx\n"
    )


def test_an_unknown_model_is_refused() -> None:
    ended = command("models", "alexnet")
    assert ended.code == 1
    assert ended.err.startswith("esnsim: error: there is no network 'alexnet': use one of resnet8,")


def test_without_torch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(EsnsimError, match=r"needs PyTorch, .*: pip install 'esnsim\[train\]'"):
        export.import_torch()
