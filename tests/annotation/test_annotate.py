"""Costs in a model's own file: nothing that runs changes, and what was put in comes out again."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import esnsim
from esnsim.annotation.annotate import PREFIX, annotate, remove
from esnsim.onnxfile.nodes import graphs_of
from tests.commandline import esnsim as command
from tests.commandline import refused
from tests.importer.models import model
from tests.samples import EMBEDDED, SAMPLES, saved, two_layers, weights


def stated(of: Any) -> dict[str, str]:
    return {i.key.removeprefix(PREFIX): i.value for i in of.metadata_props if PREFIX in i.key}


def annotated(path: Path, *words: object) -> onnx.ModelProto:
    output = path.with_name("annotated.onnx")
    ended = command("annotate", path, "-o", output, *words)
    assert ended.code == 0, ended.err
    return onnx.load(output, load_external_data=False)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_was_put_in_comes_out_again(name: str) -> None:
    proto = SAMPLES[name]()
    proto.doc_string = "one\ntwo"
    before = proto.SerializeToString(deterministic=True)
    cost = esnsim.cost(proto)
    nodes = [stated(node) for node in every_node(proto) if node.doc_string]
    assert not nodes
    count = annotate(proto, cost)
    nodes = [stated(node) for node in every_node(proto) if node.doc_string]
    assert len(nodes) == count <= len(cost.layers)
    for key in ("macs", "mac_bits"):  # all is at some node: nothing is in the totals alone
        assert sum(int(node[key]) for node in nodes) == int(stated(proto)[key])
    once = proto.SerializeToString(deterministic=True)
    annotate(proto, cost)
    assert proto.SerializeToString(deterministic=True) == once != before
    assert remove(proto)
    assert proto.SerializeToString(deterministic=True) == before
    assert not remove(proto)


def every_node(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes of the graph, of functions, and of graphs in them."""
    todo = [*proto.graph.node, *(node for f in proto.functions for node in f.node)]
    for node in todo:
        todo += [inner for graph in graphs_of(node) for inner in graph.node]
    return todo


@pytest.mark.parametrize("name", ["functions", "control"])
def test_nodes_in_functions_branches_and_loops_have_theirs(name: str, tmp_path: Path) -> None:
    path = saved(SAMPLES[name](), tmp_path)
    proto = annotated(path)
    found = {n.output[0]: stated(n) for n in every_node(proto) if n.doc_string}
    assert list(found) == {"functions": ["b"], "control": ["q", "o", "m"]}[name]
    given = {"x": np.random.default_rng(0).normal(size=(1, 3, 6, 5)).astype(np.float32)}
    for taken in (False, True) if name == "control" else (False,):
        feeds = given | ({"c": np.array(taken)} if name == "control" else {})
        before, after = (
            ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, feeds)
            for file in (path, tmp_path / "annotated.onnx")
        )
        assert [b.tobytes() for b in before] == [a.tobytes() for a in after]
    plain = tmp_path / "plain.onnx"
    assert command("annotate", tmp_path / "annotated.onnx", "-o", plain, "--remove").code == 0
    assert onnx.load(plain) == onnx.load(path)


def test_outputs_are_the_same_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes((EMBEDDED / "resnet8.onnx").read_bytes())
    proto = annotated(path)
    onnx.checker.check_model(proto, full_check=True)
    image = np.random.default_rng(0).normal(size=(2, 1, 28, 28)).astype(np.float32)
    before, after = (
        ort.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {"image": image})
        for file in (path, tmp_path / "annotated.onnx")
    )
    assert before[0].tobytes() == after[0].tobytes()
    assert stated(proto) or not proto.doc_string


def test_nodes_say_what_cost_says_and_add_up_to_the_totals(tmp_path: Path) -> None:
    proto = annotated(saved(two_layers(), tmp_path), "--bits", 2)
    cost = esnsim.cost(two_layers(), scheme=esnsim.Scheme(bits=2))
    nodes = [stated(node) for node in proto.graph.node]
    for node, row in zip(nodes, cost.layers, strict=True):
        assert int(node["mac_bits"]) == row.metrics.esn_d_tilde.macs
        assert float(node["esn_a"]) == row.metrics.esn_a.macs
        assert int(node["pruned"]) == row.metrics.pruned_filters
    assert nodes[0]["widths"] == "0:1 1:1 2:2"
    totals = stated(proto)
    for key in ("macs", "mac_bits", "filters"):
        assert int(totals[key]) == sum(int(node[key]) for node in nodes)
    assert proto.graph.node[0].doc_string == (
        "esnsim cost: 24 MACs, 30 MAC×bit, ESNa 28.5; filters: 1 of 0 bits, 1 of 1 bits, 2 of 2 "
        "bits; 1 of 4 pruned"
    )


def test_an_lstm_has_both_its_factors(tmp_path: Path) -> None:
    proto = annotated(saved(SAMPLES["products"](), tmp_path))
    found = next(stated(node) for node in proto.graph.node if node.op_type == "LSTM")
    assert int(found["macs"]) == 5 * 2 * (12 * 4 + 12 * 3)


def test_lstms_that_give_their_last_state_alone_are_told_apart() -> None:
    proto = model(
        """a, h = LSTM<hidden_size=3>(x, w, r) b, k = LSTM<hidden_size=3>(x, w2, r2)
           y = Add(h, k)""",
        "float[5,1,4] x",
        w=weights(1, 12, 4), r=weights(1, 12, 3), w2=weights(1, 12, 4), r2=weights(1, 12, 3),
    )  # fmt: skip
    for node in proto.graph.node[:2]:
        node.output[0] = ""
    assert annotate(proto, esnsim.cost(proto)) == 2
    each = [int(stated(node)["macs"]) for node in proto.graph.node[:2]]
    assert each == [5 * (12 * 4 + 12 * 3)] * 2
    assert sum(each) == int(stated(proto)["macs"])


def test_branches_of_nodes_of_one_name_have_weights_of_their_own() -> None:
    branches = "<then_branch = a () => (p) {{ p = MatMul(x, w) }}, {}>".format
    other = "else_branch = b () => (q) { q = Identity(x) }"
    proto = model(
        f"[same] h = If(c) {branches(other)} [same] k = If(c) {branches(other)} y = Add(h, k)",
        "float[2,4] x, bool c",
    )
    for node, scale in zip(proto.graph.node, (1, 3), strict=False):
        w = onnx.numpy_helper.from_array(scale * weights(4, 4), "w")
        node.attribute[0].g.initializer.append(w)
    cost = esnsim.cost(proto)
    assert cost.total.weights == 32  # two tensors, not one that both share
    annotate(proto, cost)
    macs = [int(stated(node.attribute[0].g.node[0])["macs"]) for node in proto.graph.node[:2]]
    assert macs == [16, 16]  # of one image


def test_external_data_stays_external(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    proto = model("y = Conv(x, w)", w=weights(40, 3, 3, 3))
    onnx.save(proto, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    data = (tmp_path / "w.bin").read_bytes()
    found = annotated(path)
    assert (tmp_path / "annotated.onnx").stat().st_size < 2000
    assert found.graph.initializer[0].data_location == onnx.TensorProto.EXTERNAL
    assert (tmp_path / "w.bin").read_bytes() == data
    assert esnsim.cost(tmp_path / "annotated.onnx").total == esnsim.cost(path).total
    (tmp_path / "other").mkdir()
    elsewhere = tmp_path / "other" / "a.onnx"
    refused(command("annotate", path, "-o", elsewhere), "the weights lie in 'w.bin'", code=2)
    assert not elsewhere.exists()
    refused(command("annotate", path, "-o", tmp_path / "w.bin"), "would overwrite", code=2)


def test_cost_compares_annotations_and_believes_its_own_figures(tmp_path: Path) -> None:
    proto = annotated(saved(two_layers(), tmp_path))
    path = tmp_path / "annotated.onnx"

    def note(key: str | None = None, value: str = "", *words: object) -> str:
        changed = onnx.ModelProto()
        changed.CopyFrom(proto)
        for item in changed.metadata_props:
            item.value = value if item.key == f"{PREFIX}{key}" else item.value
        path.write_bytes(changed.SerializeToString())
        ended = command("cost", path, *words)
        assert ended.out == command("cost", tmp_path / "model.onnx", *words).out
        return " ".join(line for line in ended.err.splitlines() if "annotations" in line)

    assert note() == note("macs", "7", "--layers", "first") == ""
    assert "annotations say macs = 7, and it is 48: the model has changed" in note("macs", "7")
    assert "are by esnsim 9.9, and not compared" in note("version", "9.9")
    assert "are of other codes or inputs" in note(None, "", "--bits", 3)


def test_errors_are_one_line(tmp_path: Path) -> None:
    path, output = saved(two_layers(), tmp_path), tmp_path / "a.onnx"
    refused(command("annotate", path, "-o", output, "--remove"), "has no annotations: there is")
    refused(
        command("annotate", path, "-o", output, "--remove", "--bits", 3),
        "--bits is about costs", code=2,
    )  # fmt: skip
    refused(command("annotate", path, "-o", "-"), "a model is no text", code=2)
    refused(command("annotate", path, "-o", path), "would overwrite", code=2)
    refused(command("annotate", "no.onnx", "-o", output), "there is no file 'no.onnx'")
    assert not output.exists()
