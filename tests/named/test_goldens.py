"""Machines by name against published and independently computed numbers (tests/goldens)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from esnsim.machines.base import Activations
from esnsim.machines.named.catalog import machine
from esnsim.machines.named.description import Count, Described, Lanes
from esnsim.machines.named.statistics import MAGNITUDE, TWOS, ones, patterns
from esnsim.machines.named.systolic import Systolic
from esnsim.machines.named.work import Groups, Work, work_of
from esnsim.machines.random_layers import stored_layer
from esnsim.machines.windows import addresses
from esnsim.model.network import Codes, Geometry

GOLDENS = Path(__file__).parents[1] / "goldens"
EXTRA = json.loads((GOLDENS / "machines_extra.json").read_text("utf-8"))
Ints = NDArray[Any]


def golden(name: str) -> Any:
    return json.loads((GOLDENS / f"{name}.json").read_text("utf-8"))


def weights(channels: int = 32) -> Ints:
    """w[f, c, x, y] of dnnsim.json, whose windows go x fastest: rows of the plane are y."""
    f, c, i, j = np.indices((32, channels, 3, 3))
    most = 2 ** (1 + f % 7) - 1
    return ((7 * f + 3 * c + 5 * i + 11 * j) % (2 * most + 1) - most).swapaxes(2, 3)


def activations(channels: int = 32) -> Ints:
    c, x, y = np.indices((channels, 8, 8))
    return (((13 * c + 5 * x + 3 * y) % 256) >> (c % 4)).swapaxes(1, 2)


def plane(groups: int = 1) -> Geometry:
    return Geometry(1, (8, 8), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), groups)


def work(values: Ints, x: Ints, geometry: Geometry) -> Work:
    stored = Codes(8, False, False, lambda: np.ones(len(values), np.float32))
    return work_of(stored_layer(values, geometry, stored), Activations(x[None].astype(np.uint8)))


TOY = work(weights(), activations(), plane())
LAYERS = {
    "toy": TOY,
    "first": work(weights(3), activations(3), plane()),
    "dw": work(weights(1), activations(), plane(32)),
    "fc": work(weights()[:, :, 0, 0], activations()[:, 0, 0], Geometry()),
}


def of(shape: Geometry, channels: int, filters: int, bits: int, width: int, images: int) -> Work:
    """Work of a shape alone: machines that ask for widths see no values."""
    taps = int(np.prod(shape.kernel))
    zeros = np.broadcast_to(np.int8(0), (1, filters, taps, channels))
    alike = Groups(zeros, zeros, zeros[:, :0], np.full((1, filters), width), zeros[:, 0])
    base, offsets = addresses(shape, shape.rows * images)
    return Work(
        geometry=shape,
        groups=(alike,),
        channels=channels,
        base=base,
        offsets=offsets,
        images=images,
        activation_bits=bits,
        signed=False,
    )


def square(side: int, kernel: int) -> Geometry:
    size, ones = (side + kernel - 1,) * 2, (1, 1)
    return Geometry(1, size, (kernel, kernel), ones, ones, ((0, 0),) * 2)


def sized(name: str, **fields: Any) -> Described:
    changed: Described = replace(machine(name), **fields)  # type: ignore[type-var]
    return changed


def test_the_layer_of_dnnsim_is_the_one_that_it_ran() -> None:
    layer = golden("dnnsim")["layer"]
    assert activations().sum() == layer["sum_activations"]
    assert weights().sum() == layer["sum_weights"]


@pytest.mark.parametrize("grid", golden("dnnsim")["grids"], ids=str)
def test_cycles_of_dnnsim(grid: dict[str, Any]) -> None:
    for name, cycles in grid["cycles"].items():
        sizes = {side: grid[side] for side in ("rows", "lanes", "windows")}
        found = sized("loom" if name == "loom-dynamic" else name, **sizes)
        assert found.count(TOY).cycles == cycles, name


def test_terms_of_laconic() -> None:
    wanted = golden("dnnsim")["potentials"]["laconic_terms"]
    assert machine("laconic").count(TOY).active == wanted


@pytest.mark.parametrize("row", golden("bitfusion")["rows"], ids=lambda row: row[0])
def test_cycles_of_bit_fusion(row: list[Any]) -> None:
    _, channels, filters, side, kernel, bits, width, cycles, im2col = row
    found = machine("bitfusion")
    assert isinstance(found, Lanes)
    assert im2col == (channels <= found.flat_channels)
    given = of(square(side, kernel), channels, filters, bits, width, 16)
    assert found.count(given).cycles == cycles


@pytest.mark.parametrize("row", golden("scalesim")["rows"], ids=str)
def test_cycles_of_scale_sim_traces(row: dict[str, Any]) -> None:
    shape = Geometry(row["M"])
    given = of(shape, row["K"], row["N"], 8, 8, 1)
    found = Systolic(rows=32, columns=32, dataflow=row["dataflow"]).count(given)
    assert found.cycles == row["cycles"]
    if "utilisation" in row:
        assert found.active / found.slots == pytest.approx(row["utilisation"], abs=5e-6)


@pytest.mark.parametrize("row", EXTRA["scalesim"]["rows"], ids=str)
def test_cycles_of_scale_sim(row: dict[str, Any]) -> None:
    """machines_extra.json: scalesim, with the share of the grid that holds something."""
    letters = {"ws": "weight", "is": "input", "os": "output"}
    sizes = {"rows": row["rows"], "columns": row["columns"]}
    found = Systolic(**sizes, dataflow=f"{letters[row['dataflow']]}-stationary")
    count = found.count(of(Geometry(row["M"]), row["K"], row["N"], 8, 8, 1))
    assert count.cycles == row["cycles"]
    flowing = count.slots - count.idle["fill"]
    assert count.active / flowing == pytest.approx(row["mapping_efficiency"], abs=1e-6)


@pytest.mark.parametrize("row", EXTRA["scalesim"]["rows"], ids=str)
def test_requests_of_scale_sim(row: dict[str, Any]) -> None:
    """machines_extra.json: scalesim, elements at the edge of the grid.

    Where outputs are held its count of them has the skew of the grid in it: they are not compared.
    """
    letters = {"ws": "weight", "is": "input", "os": "output"}
    sizes = {"rows": row["rows"], "columns": row["columns"]}
    found = Systolic(**sizes, dataflow=f"{letters[row['dataflow']]}-stationary")
    seen = requests(found.count(of(Geometry(row["M"]), row["K"], row["N"], 8, 8, 1)))
    compared = 2 if row["dataflow"] == "os" else 3
    assert seen[:compared] == row["requests"][:compared]


def requests(count: Count) -> list[int]:
    """Elements of inputs, weights and outputs; a partial sum is written once and read once."""
    events = count.events
    partial = events["partial-sum bits"] // 64
    return [events["input bits"] // 8, events["weight bits"] // 8,
            events["output bits"] // 8 + partial]  # fmt: skip


def test_utilisation_of_scale_sim_s_golden_trace() -> None:
    trace = EXTRA["scalesim"]["golden_trace"]
    found = Systolic(rows=32, columns=32).count(of(Geometry(3025), 363, 96, 8, 8, 1))
    assert found.cycles == trace["cycles"]
    kinds = ("ifmap_reads", "filter_reads", "ofmap_writes")
    assert requests(found) == [trace[f"sram_{kind}"] for kind in kinds]
    assert 100 * found.active / found.slots == pytest.approx(trace["overall_util_percent"])
    flowing = found.slots - found.idle["fill"]
    assert 100 * found.active / flowing == pytest.approx(trace["mapping_efficiency_percent"])


BITSIM = {
    "stripes_8b": {"weight": "stored"},
    "pragmatic": {"preset": "pragmatic-weights"},
    "bitlet": {"preset": "bitlet"},
    "bitvert_no_bbs": {"preset": "bitvert-bits"},
    "bitvert_bbs_8b": {"weight": "stored"},
    "bitwave_hw_magnitude_columns": {"preset": "bitwave", "step_extra": 0.0, "zero_extra": 0.0},
    "bitwave_no_flip": {
        "weight": "columns", "encoding": "sign bit", "least_weight": 0,
    },
}  # fmt: skip


@pytest.mark.parametrize("row", EXTRA["bitsim"]["rows"], ids=lambda r: f"{r['layer']}-{r['rows']}")
def test_cycles_of_bitsim(row: dict[str, Any]) -> None:
    """Stored columns of 6 and 4 bits are those shares of 8; `no_flip` takes one off each step."""
    sizes = {side: row[side] for side in ("rows", "lanes", "windows")}
    given = LAYERS[row["layer"]]
    common = {**sizes, "order": "channel", "run": "row", "stored": "layer"}
    found = {}
    for column, fields in BITSIM.items():
        start, changes = fields.get("preset"), {k: v for k, v in fields.items() if k != "preset"}
        each = sized(start, **common, **changes) if start else Lanes(**common, **fields)  # type: ignore[arg-type]
        found[column] = each.count(given).cycles
    steps = Lanes(**common, weight="one").count(given).cycles  # type: ignore[arg-type]
    found["bitwave_no_flip"] -= steps
    found["bitvert_all_6b"], found["bitvert_all_4b"] = 6 * steps, 4 * steps
    assert found == {column: row[column] for column in found}


def test_bits_of_the_layer() -> None:
    """machines_extra.json: bits."""
    bits, k = EXTRA["bits"], weights()
    assert ones(patterns(k, TWOS, 8)).sum() == bits["ones_twos_complement"]
    assert ones(patterns(k, MAGNITUDE)).sum() == bits["ones_magnitude"]
    assert ((k < 0).sum(), (k == 0).sum()) == (bits["negative_weights"], bits["zero_weights"])


def test_bars_of_bitwave() -> None:
    """bitwave.json, measured: the fit of two numbers stays within 5.2 % of each bar."""
    silicon, bars = EXTRA["bitwave_silicon"], golden("bitwave")
    assert silicon["btops"] == bars["btops"]
    found = machine("bitwave")
    geometry = Geometry(1, (28, 28), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    rates, steps = [], 28 * 7 * 4 * 9 * 4
    for zero in bars["zero_columns"]:
        values = np.full((128, 128, 3, 3), (1 << 7 - zero) - 1)
        values[0, 0, 0, 0] = 64  # the layer keeps its 8 bits
        given = work(values, np.zeros((128, 28, 28), np.uint8), geometry)
        each = found.count(given).cycles / steps
        rates.append(2 * 64 * silicon["units_one_bit"] * silicon["clock_mhz"] * 1e6 / each / 1e12)
    assert rates == pytest.approx(bars["btops"], rel=0.052)


@pytest.mark.parametrize("row", EXTRA["scnn"]["rows"], ids=lambda row: str(row["pe_columns"]))
def test_cycles_of_scnn(row: dict[str, Any]) -> None:
    sizes = {"side": row["pe_columns"], "accumulator": row["accumulator"]}
    found = sized("scnn", **sizes, activations=row["I"], weights=row["F"])
    count = found.count(TOY)
    assert count.cycles == row["cycles_without_bank_conflicts"]
    assert count.active == row["mults"]
    assert replace(found, banks=row["banks"]).count(TOY).cycles == row["cycles"]  # type: ignore[type-var]
    dense = work(np.ones_like(weights()), np.ones_like(activations()), plane())
    [alike] = dense.groups  # zeros of the padding count too
    full = replace(dense, groups=(alike._replace(pixels=np.ones_like(alike.pixels)),))
    assert found.count(full).cycles == row["dense_cycles"]


@pytest.mark.parametrize("row", EXTRA["bittactical"]["rows"], ids=str)
def test_lines_of_bittactical(row: dict[str, Any]) -> None:
    values, keep = weights(), row["keep_one_in"]
    if keep:
        values = np.where(np.indices(values.shape).sum(axis=0) % keep, 0, values)
    sizes = {"rows": row["rows"], "lanes": row["lanes"], "windows": 64}
    search = {"lookahead": row["lookahead_h"], "lookaside": row["lookaside_d"]}
    given = work(values, activations(), plane())
    assert sized("bittactical", **sizes, **search).count(given).cycles == row["lines_kept"]
    assert sized("dadiannao", **sizes).count(given).cycles == row["lines"]


@pytest.mark.parametrize("row", EXTRA["puma"]["rows"], ids=str)
def test_times_of_puma(row: dict[str, Any]) -> None:
    """12.5 ns a bit of the converter for the 8 crossbars that share it."""
    each = {"dac_bits": row["dac_bits"], "cell_bits": row["cell_bits"]}
    given = of(Geometry(), 128, 128, row["activation_bits"], row["weight_bits"], 1)
    read = machine("puma").read_ns * row["adc_bits"] / 8  # type: ignore[attr-defined]
    assert sized("puma", **each).count(given).cycles * read == row["ns"]


@pytest.mark.parametrize("row", EXTRA["bismo"]["rows"], ids=str)
def test_cycles_of_bismo(row: dict[str, Any]) -> None:
    sizes = {"rows": row["Dn"], "lanes": row["Dk"], "windows": row["Dm"]}
    given = of(Geometry(row["M"]), row["K"], row["N"], *row["bits"], 1)
    assert sized("bismo", **sizes).count(given).cycles == row["cycles"]


def test_peak_rates() -> None:
    """machines_extra.json: bismo, unpu, tpu_v1; headlines.json: BISMO within 0.3 %."""
    bismo, unpu, tpu = EXTRA["bismo"], EXTRA["unpu"], EXTRA["tpu_v1"]
    default = machine("bismo").multipliers or 0
    assert 2e-3 * default * bismo["default"]["mhz"] == bismo["default"]["gbinops"]
    ultra = sized("bismo", rows=10, lanes=256, windows=10).multipliers or 0
    [headline] = [r for r in golden("headlines")["rows"] if r["what"] == "binary TOPS"]
    assert 2 * ultra * 0.3e9 / 1e12 == pytest.approx(headline["value"], rel=0.003)
    assert machine("unpu").multipliers == unpu["derived"]["bit_macs_per_cycle"]
    assert 2e-3 * (machine("unpu").multipliers or 0) / 16 * unpu["mhz"] == unpu["gops"]["16"]
    assert machine("tpu").multipliers == 64 * tpu["macs"]


def test_passes_of_the_schedules() -> None:
    """schedules.json, as the engine of the arrays has them."""
    layer, lanes = golden("schedules"), {"lanes": 8, "windows": 1}
    for rows, schedules in layer["rows"].items():
        for name, schedule in (("maki", "bit-parallel"), ("sorted", "sorted"),
                               ("maki-serial", "serial")):  # fmt: skip
            found = sized(name, rows=int(rows), **lanes).count(TOY).cycles
            assert found == schedules[schedule]["plane_steps"] * 64 * 36
