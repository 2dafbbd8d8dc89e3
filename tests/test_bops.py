"""BOPs: where widths of activations come from, and what each definition counts."""

import json
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto

import esnsim
from esnsim import Geometry, Layer, Scheme
from esnsim.costs.bops import ALWAYS, DEFINITIONS, total_bops
from esnsim.model.network import Weight
from tests.commandline import esnsim as command
from tests.commandline import refused, report
from tests.importer.models import model, ramp
from tests.samples import saved, weights

OTHERS = [name for name in DEFINITIONS if name not in ALWAYS]
HAWQ = json.loads((Path(__file__).parent / "goldens" / "hawq_bops.json").read_text())
QUANT = "qonnx.custom_op.general.Quant<signed=1, narrow=0>"
TYPED = {"s": np.float32(0.5), "u": np.uint8(3), "i": np.int8(0)}
FORMS: dict[str, tuple[str, dict[str, Any], int | None]] = {
    "float": ("a = Relu(x)", {}, None),
    "QDQ": ("q = QuantizeLinear(x, s, u) a = DequantizeLinear(q, s, u)", {}, 8),
    "QDQ of 4 bits": (
        "q = QuantizeLinear<output_dtype=21>(x, s) a = DequantizeLinear(q, s)", {}, 4
    ),
    "what keeps elements": (
        "q = QuantizeLinear(x, s, u) d = DequantizeLinear(q, s, u) r = Relu(d) "
        "p = MaxPool<kernel_shape=[1,1]>(r) a = Concat<axis=0>(p)", {}, 8,
    ),
    "what computes": (
        "q = QuantizeLinear(x, s, u) d = DequantizeLinear(q, s, u) a = Add(d, d)", {}, None,
    ),
    "Clip": (
        "q = QuantizeLinear(x, s, i) c = Clip(q, low, high) a = DequantizeLinear(c, s, i)",
        {"low": np.int8(-4), "high": np.int8(3)}, 3,
    ),
    "QONNX": (f"a = {QUANT}(x, s, z, b)", {"z": np.float32(0), "b": np.float32(5)}, 5),
    "BipolarQuant": ("a = qonnx.custom_op.general.BipolarQuant(x, s)", {}, 1),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_widths_of_activations_come_from_what_quantises_them(form: str) -> None:
    nodes, tensors, bits = FORMS[form]
    used = {name: array for name, array in {**TYPED, **tensors}.items() if f" {name}" in nodes}
    proto = model(f"{nodes} y = Conv(a, w)", "float[1,3,4,2] x", w=weights(2, 3, 1, 1), **used)
    cost = esnsim.cost(proto)
    assert cost.layers[0].activation_bits == bits
    expected = None if bits is None else cost.total.esn_d_tilde.macs * bits
    assert cost.bops["live"] == expected
    assert (cost.bops["effectual"] is None) == (bits is None)


def test_operators_on_integers_say_their_widths() -> None:
    proto = model(
        """h = QLinearConv(x, s, u, q, s, i, s, u) f = Flatten(h) m = MatMulInteger(f, b, u, i)
           c = Cast<to=1>(m) d, e, z = DynamicQuantizeLinear(c) y = MatMulInteger(d, k, z, i)""",
        "uint8[1,2,4,3] x",
        q=ramp(4, 2, 1, 1, dtype=np.int8), b=ramp(48, 5, dtype=np.int8),
        k=ramp(5, 2, dtype=np.int8), **TYPED,
    )  # fmt: skip
    assert [row.activation_bits for row in esnsim.cost(proto).layers] == [8, 8, 8]


def test_an_option_says_what_the_model_does_not(tmp_path: Path) -> None:
    nodes = (
        "q = QuantizeLinear<output_dtype=21>(x, s) a = DequantizeLinear(q, s) "
        "h = Conv(a, w) y = Conv(h, v)"
    )
    tensors = {"w": weights(4, 3, 1, 1), "v": weights(2, 4, 1, 1), "s": np.float32(0.5)}
    path = saved(model(nodes, **tensors), tmp_path)
    assert "BOPs      –, as nothing says" in command("cost", path).out
    found = report(command("cost", path, "--activation-bits", 6, "--bops", "hawq", "--json"))
    assert [layer["activation_bits"] for layer in found["layers"]] == [4, 6]
    assert [entry["definition"] for entry in found["bops"]] == [*ALWAYS, "hawq"]
    assert found["bops"][0]["total"] == sum(layer["bops"] for layer in found["layers"])
    refused(command("cost", path, "--activation-bits", 17), "activations of 17 bits: give 1 to 16")
    refused(command("cost", path, "--bops", "mine"), "'mine' is none of qonnx, nncf", code=2)
    with pytest.raises(esnsim.UsageError, match="'mine' is no definition of BOPs: give one of"):
        esnsim.cost(path, bops=["mine"])


def two(first: np.ndarray[Any, Any], second: np.ndarray[Any, Any]) -> ModelProto:
    return model("h = Conv(x, w) y = Conv(h, v)", "float[1,3,2,5] x", w=first, v=second)


def test_each_definition_by_hand() -> None:
    """10 windows; codes of 2 bits, and of a filter of zeros, which is pruned."""
    first = np.array([[1.5, -0.5, 0], [0, 0, 0]], np.float32).reshape(2, 3, 1, 1)
    second = np.array([[1.5, 0.5]], np.float32).reshape(1, 2, 1, 1)
    scheme = Scheme(bits=2, given_steps=1.0)
    found = esnsim.cost(two(first, second), scheme=scheme, activation_bits=3, bops=OTHERS)
    assert found.bops == {
        "live": 10 * (3 * 2 + 1 * 2) * 3,
        "effectual": 10 * (1 + 2 + 0 + 1) * 3,  # k = 1, −1, 0, and 1, in two bits each
        "qonnx": 10 * (2 * 2 + 2 * 2) * 3,  # the weight on a dead channel is not zero
        "nncf": 10 * (6 + 2) * 3,
        "mct": 10 * (6 + 2) * 2 * 3, "aimet": 10 * (6 + 2) * 2 * 3, "hawq": 10 * (6 + 2) * 2 * 3,
        "uniq": 10 * (6 * (2 * 3 + 2 + 3 + log2(3)) + 2 * (2 * 3 + 2 + 3 + log2(2))),
        "ebops": 10 * (2 + 1 + 2) * 3,  # q = 3 and −1, and 3
    }  # fmt: skip


def test_integers_are_as_wide_as_what_their_outermost_ones_enclose() -> None:
    values = np.array([0, 1, -4, 6, 80, -96], np.int8)  # 0, 1, 1, 2, 3, 2 bits
    proto = model(
        "w = DequantizeLinear(q, s) y = Conv(x, w)", "float[1,6,1,1] x",
        q=values.reshape(1, 6, 1, 1), s=np.float32(1),
    )  # fmt: skip
    assert esnsim.cost(proto, activation_bits=2, bops=["ebops"]).bops["ebops"] == 9 * 2


@given(st.integers(1, 6), st.integers(1, 9), st.sampled_from(["filter-max", "layer-max"]))
def test_definitions_stand_in_their_order(bits: int, b_a: int, rule: str) -> None:
    scheme = Scheme(rule, bits)
    found = esnsim.cost(
        two(weights(4, 3, 1, 1), weights(2, 4, 1, 1)), scheme=scheme, activation_bits=b_a,
        bops=OTHERS,
    ).bops  # fmt: skip
    assert found["effectual"] <= found["live"]
    assert found["ebops"] <= found["live"] <= found["hawq"] == found["mct"] < found["uniq"]
    assert found["qonnx"] <= found["hawq"]
    assert found["nncf"] * min(bits, b_a) == found["hawq"]


def test_activations_that_nothing_quantises_are_32_bits_where_a_definition_says_so() -> None:
    found = esnsim.cost(two(weights(4, 3, 1, 1), weights(2, 4, 1, 1)), bops=OTHERS)
    known = {name for name, value in found.bops.items() if value is not None}
    assert known == {name for name, each in DEFINITIONS.items() if "32" in each.help}
    wide = esnsim.cost(two(weights(4, 3, 1, 1), weights(2, 4, 1, 1)), activation_bits=16)
    assert found.bops["hawq"] == 2 * total_bops(wide.layers, "hawq")


def hawq(macs: list[int], bits: str) -> esnsim.Network:
    """Layers of one filter of one weight that is used for every MAC."""
    base = esnsim.read_onnx(two(weights(1, 3, 1, 1), weights(1, 1, 1, 1)))
    layers = tuple(
        Layer(
            f"{index}", "MatMul",
            Weight(f"{index}", f"{index}", (1, 1), "float32", lambda: np.ones((1, 1), np.float32)),
            Geometry(batch=count), np.zeros(1, np.int32), 2 + index, activation_bits=int(b_a),
        )
        for index, (count, b_a) in enumerate(zip(macs, bits, strict=True))
    )  # fmt: skip
    return replace(base, layers=layers, merges=(), channel_ids=2 + len(layers))


@pytest.mark.parametrize("net", HAWQ["nets"])
def test_hawqs_own_nets(net: str) -> None:
    """Within 3 % of what it states, in whole billions."""
    macs = HAWQ["nets"][net]["macs"]
    for name, stated in HAWQ["nets"][net]["configurations"].items():
        widths = {str(index): int(bits) for index, bits in enumerate(stated["bits"])}
        network = hawq(macs, stated["bits"])
        found = esnsim.cost(network, scheme=Scheme(widths=widths), bops=["hawq"]).bops["hawq"]
        assert abs(found / 1e9 - stated["bops_G"]) <= 0.03 * stated["bops_G"] + 0.5, name


SHAPES = [(4, 3, 3, 2), (6, 3, 1, 1), (2, 3, 2, 2), (5, 3, 1, 3), (3, 3, 3, 3)]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("place", range(len(SHAPES)))
def test_qonnx_counts_the_same(place: int, sparse: bool, tmp_path: Path) -> None:
    counted = pytest.importorskip("qonnx.util.inference_cost")
    first = weights(*SHAPES[place])
    if sparse:
        first[:, 0] = 0
    bits = {"b": np.float32(2 + place), "c": np.float32(7 - place), "s": np.float32(0.25)}
    kernel = f"<kernel_shape=[{SHAPES[place][2]},{SHAPES[place][3]}]>"
    proto = model(
        f"a = {QUANT}(x, s, z, c) p = {QUANT}(w, s, z, b) h = Conv{kernel}(a, p) "
        f"r = {QUANT}(h, s, z, b) f = Flatten(r) q = {QUANT}(v, s, z, c) y = MatMul(f, q)",
        "float[1,3,5,4] x", w=first, z=np.float32(0), **bits,
        v=weights(SHAPES[place][0] * (6 - SHAPES[place][2]) * (5 - SHAPES[place][3]), 7),
    )  # fmt: skip
    path = saved(proto, tmp_path)
    theirs = counted.inference_cost(str(path))["total_cost"]
    ours = esnsim.cost(path, bops=["qonnx"])
    assert ours.bops["qonnx"] == theirs["total_bops"]
