"""What commands do, from Python: any source, the same figures, errors that name the right call."""

import json
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import onnx
import pytest

import esnsim
from esnsim.images.sets import embedded
from tests.commandline import esnsim as command
from tests.samples import EMBEDDED

MODEL = "builtin:resnet8"


def test_cost_takes_any_source() -> None:
    network = esnsim.read_onnx(MODEL)
    proto = onnx.load(EMBEDDED / "resnet8.onnx")
    quantized = esnsim.quantize(network)
    sources = (MODEL, EMBEDDED / "resnet8.onnx", proto, network, quantized)
    wanted = json.loads(command("cost", MODEL, "--json").out)["totals"]
    for source in sources:
        found = esnsim.cost(source)
        assert found.total == esnsim.cost(quantized).total
        assert found.total.esn_d_tilde.macs == wanted["esn_d_tilde"]["macs"]
        assert found.total.esn_a.macs == wanted["esn_a"]["macs"]


def test_cost_takes_a_module_with_an_example() -> None:
    torch = pytest.importorskip("torch")
    module = torch.nn.Conv2d(3, 5, (3, 2))
    found = esnsim.cost(module, example=torch.zeros(1, 3, 8, 7))
    assert found.total.macs == 3 * 5 * 6 * 6 * 6


def test_simulate_is_the_command() -> None:
    found = esnsim.simulate(MODEL, "8x16x4", scheme=esnsim.Scheme(bits=4))
    ran = command("simulate", MODEL, "--array", "8x16x4", "--bits", 4, "--json")
    totals = json.loads(ran.out)["totals"]
    assert found.total.cycles == totals["cycles"]
    assert (
        found.total.esn_d_tilde
        == esnsim.cost(MODEL, scheme=esnsim.Scheme(bits=4)).total.esn_d_tilde.macs
    )


def test_compress_meets_its_budget() -> None:
    found = esnsim.compress(MODEL, budget=30e6)
    assert esnsim.cost(found.model).total.esn_d_tilde.macs <= 30e6


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: esnsim.cost(3), "a int is no model: give a path"),  # type: ignore[arg-type]
        (lambda: esnsim.compress(MODEL, bugdet=1), "compress takes no 'bugdet': give some of"),
        (lambda: esnsim.simulate(MODEL, "mak"), "neither a preset"),
        (lambda: esnsim.simulate(MODEL, 7), "a int is no machine: give a name"),
        (lambda: esnsim.cost("resnet8"), "there is no file 'resnet8'"),
        (lambda: esnsim.cost(MODEL, scheme=4), "a int is no scheme: give Scheme"),
        (lambda: esnsim.cost(MODEL, input_shapes=[1, 2]), "give a mapping of names to shapes"),
        (lambda: esnsim.simulate(MODEL, images=3), "a int is no set of images: give"),
        (lambda: esnsim.compress(MODEL, images="x.npz"), "a str is no set of images: give"),
        (lambda: esnsim.sweep(MODEL, calibration="x.npz"), "a str is no set of images: give"),
        (lambda: esnsim.compress(MODEL, budget="3M"), "budget '3M': give a finite number"),
        (lambda: esnsim.compress(MODEL, drop=float("nan")), "drop nan: give a finite number"),
        (lambda: esnsim.sweep(count=9), "the grid has no point: give models"),
        (lambda: esnsim.cost(MODEL, input_shapes={"image": "1,1,28,28"}), "is no usable shape"),
        (
            lambda: esnsim.cost(MODEL, input_shapes={"image": (1.5, 1, 28, 28)}),
            "is no usable shape",
        ),
    ],
)
def test_errors_name_the_right_call(call, said: str) -> None:
    with pytest.raises(esnsim.EsnsimError, match=said):
        call()


def test_a_grid_without_a_point_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(esnsim.UsageError, match="bits, which uniform takes as whole numbers alone"):
        esnsim.sweep(MODEL, bits=[2.5], count=9, results=tmp_path / "found.jsonl")
    assert not list(tmp_path.iterdir())


def test_a_sweep_that_fails_before_a_point_leaves_no_file_that_it_made(tmp_path: Path) -> None:
    path = tmp_path / "found.jsonl"
    for _ in range(2):  # the second is not refused for what the first left
        with pytest.raises(esnsim.ModelError, match="names 'no', which is no input"):
            esnsim.sweep(MODEL, bits=[4], input_shapes={"no": (1,)}, results=path)
        assert not path.exists()


def test_a_repr_is_one_screen() -> None:
    for result in (
        esnsim.cost("builtin:resnet20"),
        esnsim.simulate(MODEL),
        esnsim.compress(MODEL, budget=30e6),
    ):
        assert len(repr(result)) < 4000
        assert len(repr(result).splitlines()) < 45


def test_public_functions_stay_functions_after_all_modules_are_imported() -> None:
    for module in walk_packages(esnsim.__path__, "esnsim."):
        if not module.name.startswith(
            ("esnsim.training", "esnsim.__main__", "esnsim.sweeps.cluster")
        ):
            import_module(module.name)
    for old in ("esnsim.compress", "esnsim.compress.evaluate"):  # if others have imported it
        sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match="is now esnsim"):
        import_module("esnsim.compress.evaluate")
    assert all(callable(getattr(esnsim, name)) for name in esnsim.__all__)
    small = esnsim.compress(MODEL, budget=30e6)
    with pytest.warns(DeprecationWarning, match="is now evaluation"):
        assert small.found is small.evaluation is None


def test_sweep_is_the_command(tmp_path: Path) -> None:
    near = {"ratios": [0], "count": 9, "rounding": "nearest"}
    found = esnsim.sweep(MODEL, bits=[2, 4], **near)
    words = ("--ratios", "0", "--bits", "2,4", "--images", 9, "--rounding", "nearest")
    words = (*words, "--results", tmp_path / "r")
    wanted = json.loads(command("pareto", MODEL, *words, "--json").out)
    assert [p.candidate.bits for p in found.frontier] == [
        wanted["points"][place]["bits"] for place in wanted["frontier"]
    ]
    assert [found.price(p) for p in found.cheapest_first] == [p["cost"] for p in wanted["points"]]
    assert "within 1 point of float" in repr(found)
    assert len(repr(found).splitlines()) < 20
    again = esnsim.sweep(MODEL, bits=[2], **near, results=tmp_path / "r", resume=True)
    assert [p.seconds for p in again.points] == [
        p["seconds"] for p in wanted["points"] if p["bits"] == 2
    ]


def test_sweep_takes_models_and_images_in_memory_and_files() -> None:
    images = embedded().first(18)
    proto = onnx.load(EMBEDDED / "resnet8.onnx")
    grid = {"ratios": [0], "bits": [3], "images": images}
    in_memory, file = (
        esnsim.sweep(model, **grid).points[0] for model in (proto, EMBEDDED / "resnet8.onnx")
    )
    assert in_memory.evaluation == file.evaluation
    assert in_memory.candidate.model == proto.graph.name
    with pytest.raises(esnsim.UsageError, match="images in memory stay in this process"):
        esnsim.sweep(MODEL, **grid, jobs=2)
    with pytest.raises(esnsim.UsageError, match="a model is given twice, 'builtin:resnet8'"):
        esnsim.sweep(MODEL, MODEL)
    with pytest.raises(esnsim.UsageError, match="'bits' is no metric"):
        esnsim.sweep(MODEL, metric="bits")


def test_images_that_calibrate_are_not_run(tmp_path: Path) -> None:
    found = esnsim.simulate(MODEL, images=embedded(), count=2)
    assert found.images == 2
    assert "2 of 1,000 images" in found.activations
    assert "64 others calibrate" in found.activations
    assert found.total.cycles == esnsim.simulate(MODEL).total.cycles


@pytest.mark.parametrize("clock", [0, -1, float("nan"), float("inf")])
def test_a_clock_that_is_none_is_refused(clock: float) -> None:
    with pytest.raises(esnsim.UsageError, match=r"a clock of .* Hz is none: give clock=500e6"):
        esnsim.simulate(MODEL, clock=clock)
