"""The library as it is imported."""

import subprocess
import sys

import numpy as np
import onnx
import pytest

import esnsim
from esnsim import cost, quantize, read_onnx
from tests.samples import SAMPLES


def test_three_lines_give_the_cost_of_a_file() -> None:
    network = read_onnx("builtin:resnet20")
    result = cost(quantize(network))
    assert result.total.macs == sum(row.metrics.macs for row in result.layers) > 0
    assert result.to_dict()["schema"] == "esnsim.cost/1"
    assert result.to_csv().startswith("name,op,")


def test_a_model_in_memory_is_read_like_its_file_and_left_unchanged(tmp_path: object) -> None:
    proto = SAMPLES["embedded"]()
    before = proto.SerializeToString(deterministic=True)
    path = f"{tmp_path}/model.onnx"
    onnx.save(proto, path)
    of_file, of_proto = (cost(quantize(read_onnx(source))) for source in (path, proto))
    assert of_file.total == of_proto.total
    assert proto.SerializeToString(deterministic=True) == before


def test_input_shapes_are_given_by_name() -> None:
    network = read_onnx("builtin:resnet8", {"image": (2, 1, 28, 28)})
    assert network.layers[0].geometry.batch == 2
    assert network.layers[0].macs == read_onnx("builtin:resnet8").layers[0].macs


def test_widths_and_steps_may_be_arrays_lists_or_numbers() -> None:
    network = read_onnx("builtin:resnet8")
    first = network.layers[0]
    for widths in (np.full(16, 3), [3] * 16, 3):
        row = cost(quantize(network, esnsim.Scheme(widths={first.name: widths}))).layers[0]
        assert set(row.bits.tolist()) == {3}


@pytest.mark.parametrize("name", esnsim.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(esnsim, name).__doc__
    assert name in dir(esnsim)


def test_public_names_are_sorted_and_the_version_is_one_of_them() -> None:
    further = ["ESNTracker", "__version__", "machines"]
    assert dir(esnsim) == sorted([*esnsim.__all__, *further])


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'esnsim' has no attribute 'kosten'"):
        _ = esnsim.kosten


def test_importing_esnsim_loads_nothing_heavy_and_a_name_only_what_it_needs() -> None:
    script = (
        "import sys, esnsim\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'numba', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "esnsim.quantize\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ended.stdout == "[]\n['numpy']\n"


def test_the_command_line_and_python_give_the_same_report() -> None:
    from tests.commandline import esnsim as command

    ended = command("cost", "builtin:resnet8", "--csv")
    assert ended.out == cost(quantize(read_onnx("builtin:resnet8"))).to_csv()
