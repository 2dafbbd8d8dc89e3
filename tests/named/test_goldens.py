"""Machines by name against published and independently computed numbers, row by row."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from esnsim.machines.named.catalog import machine
from esnsim.machines.named.counts import Count
from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.statistics import MAGNITUDE, TWOS, ones, patterns
from esnsim.machines.named.systolic import Systolic
from esnsim.model.network import Geometry
from esnsim.selfcheck.accelerators import (
    HEADLINES,
    TOLERANCE,
    activations,
    bismo,
    bismo_tops,
    bitfusion,
    bitsim,
    bittactical,
    bitwave_btops,
    dnnsim,
    golden,
    isaac_mac,
    layer,
    of,
    plane,
    puma,
    scalesim,
    scnn,
    sized,
    weights,
    work,
)  # fmt: skip
from esnsim.selfcheck.selftest import CHECKS

EXTRA = golden("machines_extra")


def test_the_layer_of_dnnsim_is_the_one_that_it_ran() -> None:
    layer = golden("dnnsim")["layer"]
    assert activations().sum() == layer["sum_activations"]
    assert weights().sum() == layer["sum_weights"]


@pytest.mark.parametrize("grid", golden("dnnsim")["grids"], ids=str)
def test_cycles_of_dnnsim(grid: dict[str, Any]) -> None:
    assert dnnsim(grid) == grid["cycles"]


def test_terms_of_laconic() -> None:
    wanted = golden("dnnsim")["potentials"]["laconic_terms"]
    assert machine("laconic").count(layer("toy")).active == wanted


@pytest.mark.parametrize("row", golden("bitfusion")["rows"], ids=lambda row: row[0])
def test_cycles_of_bit_fusion(row: list[Any]) -> None:
    found = machine("bitfusion")
    assert isinstance(found, Lanes)
    assert row[8] == (row[1] <= found.flat_channels)
    assert bitfusion(row) == row[7]


@pytest.mark.parametrize("row", golden("scalesim")["rows"], ids=str)
def test_cycles_of_scale_sim_traces(row: dict[str, Any]) -> None:
    found = scalesim(row)
    assert found.cycles == row["cycles"]
    if "utilisation" in row:
        assert found.active / found.slots == pytest.approx(row["utilisation"], abs=5e-6)


@pytest.mark.parametrize("row", EXTRA["scalesim"]["rows"], ids=str)
def test_cycles_of_scale_sim(row: dict[str, Any]) -> None:
    """machines_extra.json: scalesim, with the share of the grid that holds something."""
    count = scalesim(row)
    assert count.cycles == row["cycles"]
    flowing = count.slots - count.idle["fill"]
    assert count.active / flowing == pytest.approx(row["mapping_efficiency"], abs=1e-6)


def requests(count: Count) -> list[int]:
    """Elements of inputs, weights and outputs; a partial sum is written once and read once."""
    events = count.events
    partial = events["partial-sum bits"] // 64
    return [events["input bits"] // 8, events["weight bits"] // 8,
            events["output bits"] // 8 + partial]  # fmt: skip


@pytest.mark.parametrize("row", EXTRA["scalesim"]["rows"], ids=str)
def test_requests_of_scale_sim(row: dict[str, Any]) -> None:
    """machines_extra.json: scalesim, elements at the edge of the grid.

    Where outputs are held its count of them has the skew of the grid in it: they are not compared.
    """
    seen = requests(scalesim(row))
    compared = 2 if row["dataflow"] == "os" else 3
    assert seen[:compared] == row["requests"][:compared]


def test_utilisation_of_scale_sim_s_golden_trace() -> None:
    trace = EXTRA["scalesim"]["golden_trace"]
    found = Systolic(rows=32, columns=32).count(of(Geometry(3025), 363, 96, 8, 8, 1))
    assert found.cycles == trace["cycles"]
    kinds = ("ifmap_reads", "filter_reads", "ofmap_writes")
    assert requests(found) == [trace[f"sram_{kind}"] for kind in kinds]
    assert 100 * found.active / found.slots == pytest.approx(trace["overall_util_percent"])
    flowing = found.slots - found.idle["fill"]
    assert 100 * found.active / flowing == pytest.approx(trace["mapping_efficiency_percent"])


@pytest.mark.parametrize("row", EXTRA["bitsim"]["rows"], ids=lambda r: f"{r['layer']}-{r['rows']}")
def test_cycles_of_bitsim(row: dict[str, Any]) -> None:
    """machines_extra.json: bitsim, seven machines on four layers and five arrays."""
    found = bitsim(row)
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
    rates = [bitwave_btops(zero) for zero in bars["zero_columns"]]
    assert rates == pytest.approx(bars["btops"], rel=TOLERANCE)


@pytest.mark.parametrize("row", EXTRA["scnn"]["rows"], ids=lambda row: str(row["pe_columns"]))
def test_cycles_of_scnn(row: dict[str, Any]) -> None:
    sizes = {"side": row["pe_columns"], "accumulator": row["accumulator"]}
    found = sized("scnn", **sizes, activations=row["I"], weights=row["F"])
    kinds = ("cycles_without_bank_conflicts", "cycles", "mults")
    assert scnn(row) == tuple(row[kind] for kind in kinds)
    dense = work(np.ones_like(weights()), np.ones_like(activations()), plane())
    [alike] = dense.groups  # zeros of the padding count too
    full = replace(dense, groups=(alike._replace(pixels=np.ones_like(alike.pixels)),))
    assert found.count(full).cycles == row["dense_cycles"]


@pytest.mark.parametrize("row", EXTRA["bittactical"]["rows"], ids=str)
def test_lines_of_bittactical(row: dict[str, Any]) -> None:
    assert bittactical(row) == (row["lines_kept"], row["lines"])


@pytest.mark.parametrize("row", EXTRA["puma"]["rows"], ids=str)
def test_times_of_puma(row: dict[str, Any]) -> None:
    """12.5 ns a bit of the converter for the 8 crossbars that share it."""
    assert puma(row) == row["ns"]


@pytest.mark.parametrize("row", EXTRA["bismo"]["rows"], ids=str)
def test_cycles_of_bismo(row: dict[str, Any]) -> None:
    assert bismo(row) == row["cycles"]


def test_peak_rates() -> None:
    """machines_extra.json: bismo, unpu, tpu_v1."""
    bismo, unpu, tpu = EXTRA["bismo"], EXTRA["unpu"], EXTRA["tpu_v1"]
    default = machine("bismo").multipliers or 0
    assert 2e-3 * default * bismo["default"]["mhz"] == bismo["default"]["gbinops"]
    assert machine("unpu").multipliers == unpu["derived"]["bit_macs_per_cycle"]
    assert 2e-3 * (machine("unpu").multipliers or 0) / 16 * unpu["mhz"] == unpu["gops"]["16"]
    assert machine("tpu").multipliers == 64 * tpu["macs"]


def test_headlines_that_follow_from_a_mapping() -> None:
    """headlines.json: BISMO and ISAAC, run; rounded to three digits there.

    UNPU's and Maki's ratios follow from no mapping alone: UNPU's tables, Maki's own widths.
    """
    rows = {row["machine"]: row for row in golden("headlines")["rows"]}
    bismo = next(value for name, value in rows.items() if name.startswith("BISMO"))
    assert bismo_tops() == pytest.approx(bismo["value"], rel=HEADLINES)
    assert isaac_mac() == pytest.approx(rows["ISAAC"]["value"], rel=HEADLINES)
    assert "headlines.json" in "".join(name for name, _ in CHECKS)


def test_passes_of_the_schedules() -> None:
    """schedules.json, as the engine of the arrays has them."""
    numbers, lanes = golden("schedules"), {"lanes": 8, "windows": 1}
    for rows, schedules in numbers["rows"].items():
        for name, schedule in (("maki", "bit-parallel"), ("sorted", "sorted"),
                               ("maki-serial", "serial")):  # fmt: skip
            found = sized(name, rows=int(rows), **lanes).count(layer("toy")).cycles
            assert found == schedules[schedule]["plane_steps"] * 64 * 36
