"""Layers inside functions, If, Loop and Scan."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import ModelProto

from esnsim import ModelError
from esnsim.graph.model import open_model
from esnsim.model.network import Network
from tests.importer.models import model, only_layer, ramp, read_whole

X = "float[1,3,6,5] x"
CONDITION = f"bool c, {X}"
OPSETS = '<domain: "local", opset_import: ["": 21, "local": 1]>'
W, V = ramp(4, 3, 3, 3), ramp(4, 4, 1, 1)


def macs(network: Network) -> int:
    return sum(layer.macs for layer in network.layers)


def test_a_local_function_is_read_at_every_call_with_its_arguments() -> None:
    function = f"{OPSETS} f (a, w) => (b) {{ c = Conv(a, w) b = Relu(c) }}"
    network = read_whole(model("h = local.f(x, w) y = local.f(h, v)", X, function, w=W, v=V))
    assert [layer.weight.origin for layer in network.layers] == ["w", "v"]
    assert [layer.geometry.output_size for layer in network.layers] == [(4, 3), (4, 3)]
    assert len({layer.name for layer in network.layers}) == 2


def test_functions_call_functions_and_pass_attributes_on() -> None:
    functions = f"""
      {OPSETS} outer <strides> (a, w) => (b) {{ b = local.inner<steps: ints = @strides>(a, w) }}
      {OPSETS} inner <steps, group: int = 3> (a, w) => (b)
        {{ b = Conv<strides: ints = @steps, group: int = @group>(a, w) }}"""
    proto = model("y = local.outer<strides=[2,1]>(x, w)", X, functions, w=ramp(6, 1, 2, 2))
    layer = only_layer(proto)
    [opened] = open_model(proto).network.layers  # its graph has the functions inlined
    assert opened.geometry == layer.geometry
    assert layer.geometry.strides == (2, 1)
    assert layer.geometry.groups == 3
    assert layer.geometry.output_size == (3, 4)


def test_a_branch_inside_a_function_refers_to_the_calls_attributes() -> None:
    function = f"""{OPSETS} f <steps> (c, a, w) => (b) {{ b = If(c) <
      then_branch = t () => (float[] p) {{ p = Conv<strides: ints = @steps>(a, w) }},
      else_branch = e () => (float[] q) {{ q = Identity(a) }}> }}"""
    proto = model("y = local.f<steps=[2,1]>(c, x, w)", CONDITION, function, w=W)
    (layer,) = read_whole(proto).layers
    assert layer.geometry.strides == (2, 1)


def test_an_attribute_that_a_call_leaves_out_takes_the_operators_default() -> None:
    function = f"{OPSETS} f <s> (a, w) => (b) {{ b = Conv<strides: ints = @s>(a, w) }}"
    layer = only_layer(model("y = local.f(x, w)", X, function, w=W))
    assert layer.geometry.strides == (1, 1)


def test_constants_inside_a_function_are_weights_shared_by_its_calls() -> None:
    function = f"""{OPSETS} f (a) => (b)
      {{ w = Constant<value = float[2,2] {{1.0, 2.0, 3.0, 4.0}}>() b = MatMul(a, w) }}"""
    network = read_whole(model("h = local.f(x) y = local.f(h)", "float[1,2] x", function))
    assert len({layer.weight.origin for layer in network.layers}) == 1
    np.testing.assert_array_equal(network.layers[0].weight.load(), [[1, 3], [2, 4]])


def test_constants_of_two_functions_are_two_tensors_though_they_have_one_name() -> None:
    functions = "".join(
        f"""{OPSETS} {name} (a) => (b)
          {{ w = Constant<value = float[1,1] {{{value}}}>() b = MatMul(a, w) }}"""
        for name, value in [("f", 1.0), ("g", 2.0)]
    )
    proto = model("h = local.f(x) y = local.g(h)", "float[1,1] x", functions)
    first, second = read_whole(proto).layers
    assert first.weight.origin != second.weight.origin


def test_what_a_function_computes_from_its_arguments_is_another_tensor_at_each_call() -> None:
    function = f"{OPSETS} f (a, p) => (b) {{ w = Exp(p) b = MatMul(a, w) }}"
    proto = model(
        "h = local.f(x, p) y = local.f(h, q)", "float[1,2] x", function, p=ramp(2, 2), q=-ramp(2, 2)
    )
    first, second = read_whole(proto).layers
    assert first.weight.origin != second.weight.origin


def test_a_function_that_calls_itself_is_refused() -> None:
    function = f"{OPSETS} f (a) => (b) {{ b = local.f(a) }}"
    with pytest.raises(Exception, match="nest deeper than 64: a function calls itself"):
        read_whole(model("y = local.f(x)", X, function))


def test_names_with_many_slashes_are_not_taken_for_deep_nesting() -> None:
    function = f"{OPSETS} f (a, w) => (b) {{ b = Conv(a, w) }}"
    proto = model("y = local.f(x, w)", X, function, w=W)
    proto.graph.node[0].name = "/block" * 100
    assert read_whole(proto).layers[0].name == "/block" * 100 + "/b"


BRANCHES = """y = If(c) <
  then_branch = small () => (float[] s) { s = Conv(x, v) },
  else_branch = large () => (float[] l) { l = Conv(x, w) }>"""


def test_the_costlier_branch_of_an_if_counts_and_the_report_says_so() -> None:
    network = read_whole(model(BRANCHES, CONDITION, w=W, v=ramp(4, 3, 1, 1)))
    assert [layer.name for layer in network.layers] == ["l"]
    (note,) = network.notes
    assert note == "If 'y': the else branch is counted, 1,296 MACs against 360"


@pytest.mark.parametrize(("condition", "taken"), [(True, "s"), (False, "l")])
def test_a_constant_condition_takes_its_branch(condition: bool, taken: str) -> None:
    proto = model(BRANCHES, X, c=np.array(condition), w=W, v=ramp(4, 3, 1, 1))
    network = read_whole(proto)
    assert [layer.name for layer in network.layers] == [taken]
    assert not network.notes


def test_products_in_a_branch_count_for_its_cost() -> None:
    nodes = """h = Conv(x, v) t = Transpose<perm=[0,1,3,2]>(h) y = If(c) <
      then_branch = a () => (float[] p) { p = MatMul(h, t) },
      else_branch = b () => (float[] l) { l = Conv(h, u) }>"""
    network = read_whole(model(nodes, CONDITION, v=ramp(1, 3, 1, 1), u=ramp(1, 1, 1, 1)))
    assert [layer.name for layer in network.layers] == ["h"]
    assert [product.macs for product in network.products] == [6 * 5 * 6]


def test_what_cannot_be_counted_in_the_other_branch_is_still_said() -> None:
    nodes = BRANCHES.replace("s = Conv(x, v)", "s = unheard.of.Mystery(x)")
    network = read_whole(model(nodes, CONDITION, w=W))
    assert [item.op for item in network.uncounted] == ["Mystery"]
    assert len(network.notes) == 1


def test_branches_of_two_ifs_have_tensors_of_their_own_though_they_have_one_name() -> None:
    branch = "{{ w = Constant<value = float[1,1] {{{0}}}>() {1} = MatMul({2}, w) }}"
    nodes = "".join(
        f"""{y} = If(c) <then_branch = t () => (float[1,1] {y}1) {branch.format(1.0, y + "1", x)},
                         else_branch = e () => (float[1,1] {y}2) {branch.format(2.0, y + "2", x)}>
        """
        for x, y in [("x", "h"), ("h", "y")]
    )
    first, second = read_whole(model(nodes, "bool c, float[1,1] x")).layers
    assert first.weight.origin != second.weight.origin


LOOP = """z = Loop(n, c, x) <body = step (int64 i, bool go, float[1,3,6,5] a) =>
  (bool again, float[1,3,6,5] b) { again = Identity(go) b = Conv<pads=[1,1,1,1]>(a, w) }>
  y = Relu(z)"""


@pytest.mark.parametrize(
    ("inputs", "constants", "times", "note"),
    [
        (X, {"n": np.array(7), "c": np.array(True)}, 7, "Loop 'z': its body is counted 7 times"),
        (
            f"int64 n, {X}", {"c": np.array(True)}, 1,
            "Loop 'z': its body is counted once, its trip count is not constant",
        ),
        (
            X, {"n": np.array(2**63 - 1), "c": np.array(True)}, 1,
            "Loop 'z': its body is counted once, its trip count is not constant",
        ),
        (X, {"n": np.array(7), "c": np.array(False)}, 0, "Loop 'z': its body is counted 0 times"),
    ],
)  # fmt: skip
def test_a_loop_body_counts_its_trips_or_once(
    inputs: str, constants: dict[str, np.ndarray], times: int, note: str
) -> None:
    network = read_whole(model(LOOP, inputs, w=ramp(3, 3, 3, 3), **constants))
    (layer,) = network.layers
    assert layer.macs == times * 81 * 30
    assert network.notes == (note,)


def test_a_loop_that_may_stop_early_is_counted_to_its_end_and_says_so() -> None:
    nodes = LOOP.replace("Identity(go)", "Less(s, one)").replace(
        "{ again", "{ s = ReduceMax<keepdims=0>(a) again"
    )
    proto = model(nodes, X, w=ramp(3, 3, 3, 3), n=np.array(7), c=np.array(True), one=np.float32(1))
    network = read_whole(proto)
    assert macs(network) == 7 * 81 * 30
    assert network.notes == ("Loop 'z': its body is counted 7 times, though it may stop earlier",)


def test_loops_inside_loops_multiply() -> None:
    step = """z = Loop(m, c, o) <body = step (int64 i, bool go, float[1,3] a) =>
      (bool again, float[1,3] b) { again = Identity(go) b = MatMul(a, w) }>"""
    nodes = f"""y = Loop(n, c, x) <body = outer (int64 j, bool on, float[1,3] o) =>
      (bool more, float[1,3] z) {{ more = Identity(on) {step} }}>"""
    trips = {"n": np.array(3), "m": np.array(5), "c": np.array(True)}
    assert macs(read_whole(model(nodes, "float[1,3] x", w=ramp(3, 3), **trips))) == 15 * 9


@pytest.mark.parametrize("axis", [0, 1])
def test_a_scan_body_counts_once_for_each_element_of_the_axis(axis: int) -> None:
    nodes = f"""s, y = Scan<num_scan_inputs = 1, scan_input_axes = [{axis}], body = step
      (float[4] a, float[3] b) => (float[4] c, float[4] d)
      {{ h = MatMul(b, w) c = Add(a, h) d = Identity(c) }}>(zero, x)"""
    shape = "float[3,6] x" if axis else "float[6,3] x"
    network = read_whole(model(nodes, shape, w=ramp(3, 4), zero=np.zeros(4, "f")))
    assert macs(network) == 6 * 12
    assert network.notes == ("Scan 's': its body is counted 6 times",)


def test_what_a_scan_gives_lies_along_the_axes_that_it_names() -> None:
    nodes = """s, t = Scan<num_scan_inputs = 1, scan_output_axes = [-1], body = step
      (float[4] a, float[3] b) => (float[4] c, float[4] d)
      { h = MatMul(b, w) c = Add(a, h) d = Identity(c) }>(zero, x) y = MatMul(t, v)"""
    constants = {"w": ramp(3, 4), "zero": np.zeros(4, "f"), "v": ramp(6, 2)}
    proto = model(nodes, "float[6,3] x", **constants)
    del proto.opset_import[1:]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    [y] = session.run(None, {"x": ramp(6, 3)})
    network = read_whole(proto)
    assert y.shape == (4, 2)
    assert macs(network) == 6 * 12 + 4 * 6 * 2


FITTING = """y = If(c) <
  then_branch = t () => (float[] p) { p = MatMul(x, w) },
  else_branch = e () => (float[] q) { q = MatMul(x, v) }>"""


def test_the_branch_that_the_shapes_do_not_fit_is_not_the_one_that_is_taken() -> None:
    network = read_whole(model(FITTING, "bool c, float[2,3] x", w=ramp(4, 5), v=ramp(3, 5)))
    assert [layer.name for layer in network.layers] == ["q"]
    [note] = network.notes
    assert note.startswith("If 'y': the then branch does not fit and is taken not to run: 'p' has")


@pytest.mark.parametrize(
    ("damage", "said"),
    [("MatMul(x, nowhere)", "reads 'nowhere'"), ("MatMul(x)", "has 1 inputs, and needs 2")],
)
def test_a_damaged_branch_is_not_one_that_does_not_fit(damage: str, said: str) -> None:
    nodes = FITTING.replace("p = MatMul(x, w)", f"p = {damage}")
    with pytest.raises(ModelError, match=said):
        read_whole(model(nodes, "bool c, float[2,3] x", v=ramp(3, 5)))


def test_where_no_branch_fits_the_first_says_why() -> None:
    with pytest.raises(ModelError, match="'p' has weights of shape 4×5, which need 4 inputs"):
        read_whole(model(FITTING, "bool c, float[2,3] x", w=ramp(4, 5), v=ramp(6, 5)))


def test_a_body_reads_weights_and_values_of_the_graphs_around_it() -> None:
    nodes = """h = Conv(x, w) z = If(c) <
      then_branch = t () => (float[] a) { a = Conv(h, v) },
      else_branch = e () => (float[] b) { b = Identity(h) }>
      y = Relu(z)"""
    proto: ModelProto = model(nodes, CONDITION, w=W, v=V)
    network = read_whole(proto)
    assert [layer.weight.origin for layer in network.layers] == ["w", "v"]
    assert network.layers[1].geometry.input_size == (4, 3)
    np.testing.assert_array_equal(
        network.layers[1].channels, network.layers[0].first_filter + np.arange(4)
    )
