"""`esnsim machines`, `simulate --machines`, and the library: reports, files, bad input."""

import csv
import io
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from onnx import ModelProto, numpy_helper

import esnsim as library
from esnsim.evaluate.cells import run_cells
from esnsim.evaluate.operands import products_on_images
from esnsim.evaluate.simulation import Activations
from esnsim.graph.model import open_model
from esnsim.images.sets import ImageSet
from esnsim.machines.activations import quantize
from esnsim.machines.base import Activations as Integers
from esnsim.machines.named.catalog import HELP, as_file, machines, read_named
from esnsim.machines.named.description import own_fields
from esnsim.machines.named.lanes import Lanes
from esnsim.page.pages import page_of
from esnsim.quantization.quantizer import codes
from esnsim.run.cut import cut
from tests.commandline import esnsim, refused, report
from tests.engines import calibrate
from tests.importer.models import model
from tests.samples import convolutions, one_layer, saved, two_layers
from tests.simulate.test_document import keys

SCHEMA: dict[str, Any] = json.loads(
    (files("esnsim") / "schemas" / "machines-1.json").read_text("utf-8")
)
PAGE = (Path(__file__).parents[2] / "docs" / "machines.md").read_text("utf-8")
NAMES = list(machines())


@pytest.mark.parametrize("name", NAMES)
def test_every_machine_has_a_source_and_is_a_file_to_start_from(name: str, tmp_path: Path) -> None:
    ended = esnsim("machines", name, "-o", tmp_path / "mine.toml")
    assert (ended.code, ended.out) == (0, "")
    text = (tmp_path / "mine.toml").read_text("utf-8")
    assert machines()[name].source in text
    assert own_fields(read_named(tmp_path / "mine.toml")) == own_fields(machines()[name])


def test_the_list_names_source_and_assumptions_of_all() -> None:
    text = esnsim("machines").out
    assert [line.split()[0] for line in text.splitlines() if line[0] != " "] == NAMES
    words = "".join(text.split())
    for machine in machines().values():
        for part in (machine.source, machine.assumed, machine.leaves_out):
            assert "".join(part.split()) in words


def test_every_field_is_explained() -> None:
    assert {key for machine in machines().values() for key in own_fields(machine)} == set(HELP)


def test_the_page_has_every_machine_and_key() -> None:
    assert [name for name in NAMES if f"`{name}`" not in PAGE and name[:4] != "tpu-"] == []
    assert sorted(key for key in set(keys(SCHEMA)) if f"`{key}`" not in PAGE) == []


def test_a_document_is_what_the_schema_says_and_adds_up(tmp_path: Path) -> None:
    Draft202012Validator.check_schema(SCHEMA)
    model = saved(convolutions(), tmp_path)
    found = report(esnsim("simulate", model, "--machines", "all", "--json"))
    Draft202012Validator(SCHEMA).validate(found)
    assert [machine["name"] for machine in found["machines"]] == NAMES
    for machine in found["machines"]:
        assert machine["cycles"] == sum(layer["cycles"] for layer in machine["layers"])
        assert machine["slots"] == machine["active"] + sum(machine["idle"].values())
        if machine["multipliers"]:
            assert machine["one_bit"] == machine["cycles"] * machine["multipliers"]
    ideal = next(m for m in found["machines"] if m["name"] == "ideal-digital")
    assert (ideal["cycles"], ideal["of_ideal"]) == (found["esn_d_tilde"], 1)


def test_tables_and_csv_hold_the_same_machines(tmp_path: Path) -> None:
    model = saved(two_layers(), tmp_path)
    words = ["simulate", model, "--machines", "stripes,maki,isaac", "-q"]
    table = esnsim(*words).out.splitlines()
    assert {line.split()[0] for line in table[2:5]} == {"stripes", "maki", "isaac"}
    assert table[4].split()[-1] == "–"  # analog machines have no entry, and stand last
    assert "multipliers" in esnsim(*words, "--equal", "none").out.splitlines()[0]
    rows = list(csv.DictReader(io.StringIO(esnsim(*words, "--csv").out)))
    assert [(row["machine"], row["name"]) for row in rows] == [
        (machine, layer) for machine in ("stripes", "maki", "isaac") for layer in ("first", "y")
    ]


def test_a_memory_adds_what_moves_and_names_the_bound(tmp_path: Path) -> None:
    model = saved(convolutions(), tmp_path)
    words = ["simulate", model, "--machines", "maki,tpu,isaac", "-q"]
    found = report(esnsim(*words, "--memory", "bitsim", "--json"))
    Draft202012Validator(SCHEMA).validate(found)
    alone = report(esnsim(*words, "--json"))
    for machine, before in zip(found["machines"], alone["machines"], strict=True):
        for layer, work in zip(machine["layers"], before["layers"], strict=True):
            if machine["kind"] == "crossbar":
                assert layer == work
                continue
            transfers = -(-layer["dram_bits"] // found["memory"]["dram_bits"])
            port = -(-layer["events"]["input_bits"] // (found["memory"]["input_port"] or 1 << 40))
            assert layer["cycles"] >= max(work["cycles"], transfers, port)
            longest = max(transfers, port)
            assert (layer["bound"] == "compute") == (layer["cycles"] == work["cycles"])
            assert layer["bound"] != "memory" or layer["cycles"] == transfers == longest
        assert machine["dram_bits"] == sum_of(machine["layers"], "dram_bits")
    heading, _, *rows = esnsim(*words, "--memory", "bitsim").out.splitlines()
    assert heading.split()[-2:] == ["DRAM", "bound"]
    assert all(row.split()[-2] == "of" or row.startswith("isaac") for row in rows[:3])


def test_a_node_prices_every_part_and_a_clock_gives_speeds(tmp_path: Path) -> None:
    model = saved(convolutions(), tmp_path)
    words = ["simulate", model, "--machines", "maki,tpu,scnn,isaac,ideal-analog", "-q", "--memory"]
    words += ["bitsim", "--clock", "100MHz", "--node"]
    digital, analog = (report(esnsim(*words, node, "--json")) for node in ("28nm", "32nm"))
    for found in (digital, analog):
        Draft202012Validator(SCHEMA).validate(found)
        for machine in found["machines"]:
            priced = (machine["kind"] == "crossbar") == (found is analog)
            assert (machine["energy_pj"] is not None) == priced
            if priced:
                for part, spent in machine["energy_pj"].items():
                    layers = sum(layer["energy_pj"][part] for layer in machine["layers"])
                    assert spent == pytest.approx(layers)
            if machine["lost"]:
                assert sum(machine["lost"].values()) == pytest.approx(1)
    assert [m["energy_pj"]["DRAM"] for m in digital["machines"][:3]] == [
        m["dram_pj"] for m in digital["machines"][:3]
    ]
    assert digital["machines"][0]["inferences_per_second"] == 1e8 / digital["machines"][0]["cycles"]
    assert [m["of_ideal"] for m in analog["machines"][3:]] == [
        pytest.approx(sum(m["energy_pj"].values()) / ideal)
        for m in analog["machines"][3:]
        for ideal in [analog["machines"][4]["energy_pj"]["cells"]]
    ]
    isaac = analog["machines"][3]
    slowest = max(layer["cycles"] for layer in isaac["layers"])
    assert isaac["inferences_per_second"] == pytest.approx(1e7 / slowest)  # layers are a pipeline
    assert slowest < isaac["cycles"]
    heading = esnsim(*words, "28nm").out.splitlines()[0].split()
    assert heading[-2:] == ["energy", "images/s"]


def test_a_picture_has_bars_and_a_roofline(tmp_path: Path) -> None:
    model, out = saved(convolutions(), tmp_path), tmp_path / "a.png"
    words = ["--machines", "all", "--memory", "bitsim", "--node", "28nm", "--picture", out]
    assert esnsim("simulate", model, *words, "-q").code == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_clock_is_no_hindrance_to_a_page(tmp_path: Path) -> None:
    """That of one machine has no place for it; that of machines by name has cycles."""
    out, words = tmp_path / "a.html", ["--machines", "maki", "--clock", "1GHz", "--html"]
    assert "images/s" in esnsim("simulate", one_layer(tmp_path), *words, out, "-q").out
    assert "maki" in out.read_text("utf-8")


def test_bars_add_up_to_the_distance_from_ideal(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    model = str(saved(convolutions(), tmp_path))
    found = library.simulate(model, machines="stripes,loom,bismo", memory="bitsim", node="28nm")
    work, energy, roofline = page_of(found).pictures
    wanted = {taken.name: found.of_ideal(taken) for taken in found.taken}
    spent = {taken.name: sum(taken.energy.values()) / 1e6 for taken in found.taken}
    for drawing, totals in ((work, wanted), (energy, spent)):
        axes = Figure().subplots()
        drawing.draw(axes)
        names = [label.get_text() for label in axes.get_yticklabels()]
        ends = dict.fromkeys(names, 0.0)
        for bar in axes.patches:
            ends[names[round(bar.get_y() + bar.get_height() / 2)]] += bar.get_width()
        assert ends == pytest.approx(totals)
    axes = Figure().subplots()
    roofline.draw(axes)
    assert len(axes.texts) == 3


def lstm(folder: Path) -> Path:
    """An LSTM over five steps, its outputs times themselves, and what nobody can run."""
    rng = np.random.default_rng(0)
    weights = {"w": (1, 16, 6), "r": (1, 16, 4)}
    made = model(
        "states = LSTM <hidden_size = 4> (x, w, r) q = Reshape (states, shape) "
        "k = Transpose <perm = [1, 0]> (q) scores = MatMul (q, k) y = unheard.of.Mystery (scores)",
        "float[5,1,6] x",
        shape=np.array([5, 4]),
        **{n: rng.standard_normal(shape).astype(np.float32) for n, shape in weights.items()},
    )
    return saved(made, folder)


def test_cells_products_and_custom_operators_run_without_images(tmp_path: Path) -> None:
    """No graph runs: an operator that nobody has is no hindrance."""
    path = lstm(tmp_path)
    found = report(esnsim("simulate", path, "--machines", "all", "--json", "-q"))
    Draft202012Validator(SCHEMA).validate(found)
    layers = found["machines"][0]["layers"]
    assert [layer["op"] for layer in layers] == ["LSTM", "LSTM", "MatMul"]
    assert found["macs"] == 5 * 16 * (6 + 4) + 5 * 4 * 5
    assert found["not_simulated"] == []
    told = esnsim("simulate", path, "--machines", "maki").err
    assert "is not simulated" not in told


FEATURES, HIDDEN, STEPS = 6, 4, 5


def recurrent(op: str, gates: int, more: str = "", initial: bool = True) -> ModelProto:
    """A cell over five steps in both directions, with hidden states to start from, and a MatMul."""
    rng = np.random.default_rng(0)
    shapes = {
        "w": (2, gates * HIDDEN, FEATURES), "r": (2, gates * HIDDEN, HIDDEN),
        "m": (STEPS * 2 * HIDDEN, 3),
    }  # fmt: skip
    if initial:
        shapes["h"] = (2, 1, HIDDEN)
    start = ', "", "", h' if initial else ""
    return model(
        f"t = Transpose <perm = [1, 0, 2]> (x) states = {op} "
        f'<hidden_size = {HIDDEN}, direction = "bidirectional"{more}> (t, w, r{start}) '
        "f = Reshape (states, shape) y = MatMul (f, m)",
        f"float[1,{STEPS},{FEATURES}] x",
        shape=np.array([1, STEPS * 2 * HIDDEN]),
        **{n: rng.standard_normal(shape).astype(np.float32) for n, shape in shapes.items()},
    )


def step_by_step(made: ModelProto, x: np.ndarray) -> np.ndarray:
    """The hidden states that each step of an LSTM starts from, (steps, 2·H), by its equations."""
    w, r, h0 = (
        numpy_helper.to_array(t) for n in "wrh" for t in made.graph.initializer if t.name == n
    )
    before = np.zeros((STEPS, 2, HIDDEN))
    for way, order in enumerate((range(STEPS), reversed(range(STEPS)))):
        h, c = h0[way, 0].astype(np.float64), np.zeros(HIDDEN)
        for t in order:
            before[t, way] = h
            i, o, f, g = np.split(w[way] @ x[t] + r[way] @ h, 4)
            c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
            h = np.tanh(c) / (1 + np.exp(-o))
    return before.reshape(STEPS, -1)


def test_cells_run_on_the_states_that_they_have_on_images(tmp_path: Path) -> None:
    """An LSTM's hidden states are those of its equations, quantised; its inputs those of images."""
    made, rng = recurrent("LSTM", 4), np.random.default_rng(1)
    x = rng.standard_normal((4, STEPS, FEATURES)).astype(np.float32)
    found: dict[int, list[Integers]] = {}
    images = ImageSet("here", len(x), lambda start, stop: x[start:stop])
    given = Activations(images=images, count=2)
    graph = cut(open_model(made))
    run_cells(graph, given, 8, lambda i, a: found.setdefault(i, []).append(a))
    assert sorted(found) == [0, 1]
    for index, of_image in ((0, lambda x: x), (1, lambda x: step_by_step(made, x))):
        integers = np.concatenate([each.integers for each in found[index]])
        zero = found[index][0].zero_point
        few, run = given.split()
        scale = calibrate(np.concatenate([of_image(x) for x in few.read(0, few.count)]))
        wanted = np.concatenate([of_image(x) for x in run.read(0, run.count)])
        back = (integers.astype(np.float64) - zero) * scale.scale
        inside = (wanted >= back.min()) & (wanted <= back.max())
        assert np.abs(back - wanted)[inside].max() <= scale.scale * 0.51


@pytest.mark.parametrize(
    ("op", "gates", "more", "left_out"),
    [("LSTM", 4, "", 0), ("RNN", 1, "", 0), ("GRU", 3, ", linear_before_reset = 1", 0),
     ("GRU", 3, "", 1)],
)  # fmt: skip
def test_cells_of_images_are_layers_like_others(
    op: str, gates: int, more: str, left_out: int, tmp_path: Path
) -> None:
    """But for what a gated GRU multiplies, its states times a gate, which no value holds."""
    path = saved(recurrent(op, gates, more, initial=False), tmp_path)
    images = np.random.default_rng(1).standard_normal((4, STEPS, FEATURES)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=images)
    words = ["simulate", path, "--machines", "all", "--data", tmp_path / "x.npz", "--images", 2]
    found = report(esnsim(*words, "--json", "-q"))
    Draft202012Validator(SCHEMA).validate(found)
    ops = [layer["op"] for layer in found["machines"][0]["layers"]]
    assert ops == [op] * (2 - left_out) + ["MatMul"]
    assert [item["name"] for item in found["not_simulated"]] == ["states.R"] * left_out
    macs = STEPS * 2 * gates * HIDDEN * (FEATURES + HIDDEN * (1 - left_out))
    assert found["macs"] == macs + STEPS * 2 * HIDDEN * 3


HEADS, ROWS, DEPTH = 2, 3, 4


def attention() -> ModelProto:
    """Queries of two heads by keys that are shared, a MatMul with weights behind them."""
    return model(
        "k = Relu (x) one = ReduceMax <axes = [1], keepdims = 1> (k) "
        "t = Transpose <perm = [0, 1, 3, 2]> (one) scores = MatMul (x, t) y = MatMul (scores, w)",
        f"float[N,{HEADS},{ROWS},{DEPTH}] x",
        opset=13,
        w=np.ones((ROWS, 2), np.float32),
    )


def test_products_of_images_multiply_what_they_have_there() -> None:
    """Integers of both matrices are those that their values have on the images."""
    x = np.random.default_rng(1).standard_normal((4, HEADS, ROWS, DEPTH)).astype(np.float32)
    given = Activations(images=ImageSet("here", len(x), lambda a, b: x[a:b]), count=2)
    few, chosen = (each.read(0, each.count) for each in given.split())
    keys = [np.maximum(each, 0).max(axis=1, keepdims=True).swapaxes(2, 3) for each in (few, chosen)]
    first, second = calibrate(few), calibrate(np.repeat(keys[0], HEADS, axis=1), signed=True)
    [runs] = products_on_images(cut(open_model(attention())), given, 8).values()
    assert len(runs) == 2
    for image, (layer, activations) in enumerate(runs):
        a = quantize(chosen[image], first).astype(int)
        b = quantize(np.repeat(keys[1][image], HEADS, axis=0), second).astype(int)
        assert (layer.layer.geometry.groups, layer.layer.geometry.rows) == (HEADS, ROWS)
        found = activations.integers.reshape(ROWS, HEADS, DEPTH).swapaxes(0, 1)
        assert np.array_equal(found, a)
        assert activations.zero_point == first.zero_point
        stored = codes(layer).reshape(HEADS, ROWS, DEPTH)
        assert np.array_equal(stored.swapaxes(1, 2), b)


def test_products_are_counted_on_images(tmp_path: Path) -> None:
    """Zeros of images count: a machine that skips bits takes less where keys are 0."""
    path = saved(attention(), tmp_path)
    taken = {}
    for name, sign in (("some", 1), ("none", -1)):
        x = np.random.default_rng(1).random((4, HEADS, ROWS, DEPTH)).astype(np.float32)
        np.savez(tmp_path / "x.npz", x=sign * x)
        words = ["simulate", path, "--machines", "laconic,maki", "--data", tmp_path / "x.npz"]
        found = report(esnsim(*words, "--images", 2, "--json", "-q"))
        assert [layer["op"] for layer in found["machines"][0]["layers"]] == ["MatMul"] * 2
        assert found["macs"] == HEADS * ROWS * ROWS * (DEPTH + 2)
        taken[name] = found["machines"][0]["layers"][-1]["active"]
    assert taken["none"] == 0 < taken["some"]


def test_fewer_activations_take_less_where_bits_are_skipped(tmp_path: Path) -> None:
    model, counts = one_layer(tmp_path), tmp_path / "counts.json"
    counts.write_text("[3, 1]")
    words = ["simulate", model, "--machines", "laconic,stripes", "--json", "-q"]
    few = [*words, "--density", "20%"], [*words, "--density", counts]
    whole, sparse, given = (report(esnsim(*each)) for each in (words, *few))
    for found in (sparse, given):
        laconic, stripes = found["machines"]
        assert laconic["active"] < whole["machines"][0]["active"]
        assert stripes["cycles"] == whole["machines"][1]["cycles"]
    assert "0.2 of them not 0" in sparse["activations"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "counts.json' is no JSON list of counts"),
        ("[0, 0]", "give a list of counts of 0 or more, not all of them 0"),
        ("[1, -1]", "give a list of counts of 0 or more"),
        ("[1", "is no JSON list of counts"),
        (str([1] * 257), "a histogram of 257 integers: give 256 at most"),
    ],
)
def test_bad_counts_are_one_line(text: str, said: str, tmp_path: Path) -> None:
    counts = tmp_path / "counts.json"
    counts.write_text(text)
    ended = esnsim("simulate", one_layer(tmp_path), "--machines", "maki", "--density", counts)
    refused(ended, said, code=2 if "257" in said else 1)


def test_a_density_is_of_integers_that_are_drawn(tmp_path: Path) -> None:
    words = ["--machines", "maki", "--density"]
    refused(esnsim("simulate", one_layer(tmp_path), *words, "7"), "a density of 7: give", code=2)
    said = "a density is of integers that are drawn"
    refused(esnsim("simulate", "builtin:resnet8", *words, "50%"), said, code=2)


def sum_of(layers: list[dict[str, Any]], key: str) -> int | None:
    """The sum of a figure over layers, None where no layer has it."""
    values = [layer[key] for layer in layers if layer[key] is not None]
    return sum(values) if values else None


def test_the_library_gives_what_the_command_prints(tmp_path: Path) -> None:
    model = one_layer(tmp_path)
    found = library.simulate(str(model), machines=["stripes", "loom"])
    told = report(esnsim("simulate", model, "--machines", "stripes,loom", "--json", "-q"))
    assert [float(taken.cycles) for taken in found.taken] == [m["cycles"] for m in told["machines"]]
    assert repr(found).startswith("machine")
    behind = library.simulate(str(model), machines="stripes", memory="bitfusion")
    assert behind.taken[0].moved
    with pytest.raises(library.UsageError, match="no memory 'ddr4': use one of bitsim, bitfusion"):
        library.simulate(str(model), machines="stripes", memory="ddr4")
    with pytest.raises(library.UsageError, match="memory= is about machines by name"):
        library.simulate(str(model), memory="bitsim")  # type: ignore[call-overload]
    with pytest.raises(library.UsageError, match="machines= goes with neither"):
        library.simulate(str(model), "maki-serial", machines="all")  # type: ignore[call-overload]


def test_images_set_activations(tmp_path: Path) -> None:
    words = ["simulate", "builtin:resnet8", "--machines", "loom", "--json", "-q", "--images"]
    one, two = (report(esnsim(*words, count)) for count in (1, 2))
    assert (one["images"], two["images"]) == (1, 2)
    assert two["machines"][0]["slots"] > one["machines"][0]["slots"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--machines strips", "no machine 'strips': did you mean 'stripes'?"),
        ("--machines eyeriss", "no machine 'eyeriss': use one of dadiannao, stripes,"),
        ("--machines ,", "no machine is named: give some of dadiannao,"),
        ("--machines all --array maki", "--array does not go with --machines"),
        ("--machines all --e-bit 50fJ", "--e-bit does not go with --machines"),
        ("--machines all --end-to-end", "--end-to-end does not go with --machines"),
        ("--equal none", "--equal is about machines by name: give --machines"),
        ("--memory bitsim", "--memory is about machines by name: give --machines"),
        ("--node 28nm", "--node is about machines by name: give --machines"),
        ("--picture a.png", "--picture is about machines by name: give --machines"),
        ("--machines all --picture a.txt", "give a .png, .svg, .pdf file"),
        ("--machines all --node 7nm", "no node '7nm': use one of 45nm, 32nm, 28nm, 16nm, or a"),
    ],
)
def test_wrong_usage_is_one_line(words: str, said: str) -> None:
    refused(esnsim("simulate", "builtin:resnet8", *words.split()), said, code=2)


def test_activations_are_narrow_enough_without_images_too(tmp_path: Path) -> None:
    words = ["simulate", one_layer(tmp_path), "--machines", "all", "--activation-bits", "17"]
    refused(esnsim(*words), "activations of 17 bits: give 1 to 16", code=2)


def test_an_unknown_machine_has_no_file() -> None:
    refused(esnsim("machines", "lacnic"), "did you mean 'laconic'?", code=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no tables: give one table, lanes or systolic or cartesian or crossbar"),
        ("[digital]\nrows = 1", "has 'digital': give one table"),
        ("[lanes]\nrow = 3", "lanes: no field 'row': did you mean 'rows'?"),
        ("[lanes]\nrows = 0", "a machine with rows = 0: give a whole number from 1"),
        ("[lanes]\nleast_weight = 256", "least_weight = 256: give a whole number from 0 to 255"),
        ("[lanes]\nrows = true", "rows = True: give a whole number"),
        ("[lanes]\nsort = 1", "sort = 1: give true or false"),
        ("[lanes]\nweight = 'lanes'", "no weight 'lanes': use one of one, stored, planes"),
        ("[lanes]\nactivation = 'planes'", "no activation 'planes': use one of one, stored"),
        ("[lanes]\nwait = 'lanes'", 'lanes that wait apart need activation and weight = "ones"'),
        ("[lanes]\nbricks = true\nweight = 'width'", "bricks hold whole operands"),
        ("[lanes]\nlookahead = 2", 'a lookahead, and a lookaside, need weight = "lines"'),
        ("[lanes]\nlookaside = 2", 'a lookahead, and a lookaside, need weight = "lines"'),
        (
            "[lanes]\nstep_extra = -1.0",
            "step_extra and zero_extra: give numbers from 0 to 1,04",
        ),
        ("[lanes]\nzero_extra = 1e308", "step_extra and zero_extra: give numbers from 0 to"),
        ("[crossbar]\ncell_bits = 100", "cell_bits = 100: give a whole number from 1 to 16"),
        ("[lanes]\npreset = 'tpu'", "the preset is a systolic machine: write [systolic]"),
        ("[lanes]\npreset = 'strips'", "no machine 'strips': did you mean 'stripes'?"),
        (
            "[systolic]\nweight = 'ones'",
            "systolic: no field 'weight': use one of source, assumed,",
        ),
        ("[crossbar]\nactivation = 'width'", "crossbar: no field 'activation'"),
        ("[lanes]\nclock_mhz = 0", "a clock of 0 MHz: give a number above 0"),
        ("[crossbar]\ncells = 'ones'", "no cells 'ones': use one of array, weights, inputs"),
        ("[systolic]\ndataflow = 'weight'", "no dataflow 'weight': use one of weight-stationary"),
        ("[crossbar]\nread_ns = 'fast'", "read_ns = 'fast': give a number"),
        ("[crossbar]\nread_ns = nan", "a read of nan ns: give a number above 0"),
    ],
)
def test_a_bad_file_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    ended = esnsim("simulate", "builtin:resnet8", "--machines", path)
    refused(ended, "mine.toml'", said)


def test_a_file_of_one_s_own_runs_beside_names(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("lanes: {preset: stripes, rows: 32}")
    model = one_layer(tmp_path)
    found = report(esnsim("simulate", model, "--machines", f"stripes,{mine}", "--json", "-q"))
    assert [m["description"]["rows"] for m in found["machines"]] == [16, 32]
    assert as_file("stripes").startswith("# stripes: Stripes (MICRO 2016)")
    assert Lanes().multipliers == 16 * 16 * 64
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.toml").write_text("[lanes]\nrows = 3")
    both = f"{mine},{tmp_path / 'other' / 'mine.toml'}"
    refused(esnsim("simulate", model, "--machines", both), "two machines are called 'mine'", code=2)


def test_descriptions_run_from_python(tmp_path: Path) -> None:
    found = library.simulate(str(one_layer(tmp_path)), machines=["stripes", Lanes(rows=3)])
    assert [taken.name for taken in found.taken] == ["stripes", "lanes 3×16×1"]
