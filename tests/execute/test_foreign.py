"""Quantisers of QONNX and OpenVINO as standard operators; Loops that nothing ends."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import ModelProto

from esnsim import ModelError
from esnsim.graph.model import open_model
from esnsim.run import cut, float_compute
from esnsim.run.foreign import standardise
from tests.commandline import esnsim, refused
from tests.execute.models import model, normal, whole
from tests.importer.quantized_layers import FLOATS
from tests.naive.quantized import ROUNDINGS, qonnx_quant

F = np.float32
DOMAIN = "qonnx.custom_op.general"


def given(node: str, **constants: object) -> np.ndarray:
    """What ONNX Runtime gives for FLOATS through a node."""
    proto = standardise(model(node, "float[4,5] x", **constants))
    del proto.opset_import[1:]
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": FLOATS})[0])


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize(("bits", "signed", "narrow"), [(4, 1, 0), (3, 1, 1), (3, 0, 0), (2, 0, 1)])
def test_quant_gives_the_specifications_values(
    rounding: str, bits: int, signed: int, narrow: int
) -> None:
    scale = F([[0.5], [0.25], [1], [2]])
    node = (
        f'y = {DOMAIN}.Quant<signed={signed}, narrow={narrow}, rounding_mode="{rounding}">'
        "(x, s, z, b)"
    )
    wanted = qonnx_quant(FLOATS, scale, 1, bits, bool(signed), bool(narrow), rounding) * scale
    np.testing.assert_array_equal(given(node, s=scale, z=F(1), b=F(bits)), wanted)


def test_bipolar_quant_is_the_sign_and_trunc_drops_bits() -> None:
    signs = given(f"y = {DOMAIN}.BipolarQuant(x, s)", s=F(0.5))
    np.testing.assert_array_equal(signs, np.where(FLOATS >= 0, 0.5, -0.5))
    cut_off = given(f"y = {DOMAIN}.Trunc(x, s, z, i, o)", s=F(0.25), z=F(0), i=F(8), o=F(6))
    np.testing.assert_array_equal(cut_off, np.floor(np.round(FLOATS / 0.25) / 4) * F(0.25))


def test_fake_quantize_rounds_to_its_levels() -> None:
    node = "y = org.openvinotoolkit.FakeQuantize<levels=4>(x, a, b, c, d)"
    got = given(node, a=F(-1), b=F(0.5), c=F(0), d=F(6))
    levels = np.rint((np.clip(FLOATS, -1, 0.5) + 1) / 0.5)
    np.testing.assert_allclose(got, 2 * levels)


def quantised() -> ModelProto:
    """Weights and activations of four bits, as QONNX has them."""
    nodes = f"""q = {DOMAIN}.Quant<signed=1, narrow=1, rounding_mode="ROUND">(w, s, z, b)
      h = Conv(x, q) r = Relu(h)
      a = {DOMAIN}.Quant<signed=0, narrow=0, rounding_mode="ROUND">(r, s, z, b)
      y = Conv(a, v)"""
    proto = model(nodes, "float[1,3,6,5] x", s=F(0.1), z=F(0), b=F(4), w=normal(4, 3, 3, 3),
                  v=normal(2, 4, 1, 1))  # fmt: skip
    proto.graph.output[0].CopyFrom(
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 2, 4, 3])
    )
    return proto


def test_a_network_of_quantised_activations_runs_as_a_whole_and_in_parts() -> None:
    proto = quantised()
    feeds = {"x": normal(1, 3, 6, 5)}
    parts = cut(open_model(proto))
    plain = standardise(proto)
    del plain.opset_import[1:]
    np.testing.assert_allclose(
        parts.run(feeds, float_compute(parts))["y"], whole(plain, feeds)["y"], rtol=1e-5
    )


@pytest.mark.parametrize("more", [[], ["--end-to-end", "--data", "x.npy"]])
def test_it_is_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(quantised(), "m.onnx")
    np.save("x.npy", normal(8, 3, 6, 5))
    done = esnsim("simulate", "m.onnx", "-q", *more)
    assert (done.code, done.err) == (0, "")
    assert "simulated 1.39k of 1.39k MACs" in done.out


BODY = """<body = b (int64 i, bool c, float[1,3,6,5] s) => (bool d, float[1,3,6,5] t)
  { d = Identity(c) t = Conv(s, w) }> y = Relu(z)"""


@pytest.mark.parametrize(
    ("loop", "trips"),
    [("z = Loop(n, go, h)", 1 << 31), ("z = Loop(n, go, h)", 1 << 25), ('z = Loop("", go, h)', 1)],
)
def test_a_loop_that_nothing_ends_is_counted_and_not_run(
    tmp_path: Path, loop: str, trips: int
) -> None:
    proto = model(
        f"h = Conv(x, w) {loop} {BODY}", "float[1,3,6,5] x", w=normal(3, 3, 1, 1),
        n=np.int64(trips), go=np.array(True),
    )  # fmt: skip
    onnx.save(proto, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", normal(4, 3, 6, 5))
    assert esnsim("cost", tmp_path / "m.onnx", "-q").code == 0
    refused(
        esnsim("simulate", tmp_path / "m.onnx", "--data", tmp_path / "x.npy"),
        "Loop 'z' would run more than 16,777,216 times, and nothing in it ends it",
    )
    with pytest.raises(ModelError, match="nothing in it ends it"):
        cut(open_model(proto))
