"""Prices of nodes: published energies come out, parts add up, files and what is refused."""

from dataclasses import replace
from math import isclose
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.errors import EsnsimError
from esnsim.machines.named.catalog import machine, machines
from esnsim.machines.named.counts import Count
from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.memory import LEVELS
from esnsim.machines.named.prices import NODES, Prices, find_prices
from esnsim.machines.named.reads import Reads
from esnsim.model.network import Geometry
from esnsim.selfcheck.accelerators import bitwave, golden, of, work
from tests.commandline import esnsim, refused
from tests.named.tasks import Task, tasks

KNOWN = machines()
EXTRA = golden("machines_extra")


def energy(node: str, name: str, count: Count, bits: int = 8) -> dict[str, float]:
    found = NODES[node].of(name, machine(name), count, bits)
    assert found is not None
    return found


def test_an_array_read_of_isaac() -> None:
    """isaac.json: 296 pJ with converters, 72 % of it in them (and their shift–adds)."""
    derived = golden("isaac")["derived"]
    given = of(Geometry(), 128, 32, 1, 8, 1)  # 32 filters of four 2-bit cells, one bit of input
    count = machine("isaac").count(given)
    assert count.events["array reads"] == 1
    parts = energy("32nm", "isaac", count, 1)
    spent = sum(parts.values()) - parts["buffer"]
    assert round(spent) == derived["energy_pj_per_array_read_with_converters"]
    adc = golden("isaac")["adc"]["energy_pj_per_conversion"] * 128
    assert round(adc / spent, 2) == derived["adc_share"]


def test_eight_bits_lose_nothing_with_flipped_columns() -> None:
    """isaac.json: its converters have 8 bits; 128 rows of 2-bit cells sum to 9 without flipping."""
    values = np.random.default_rng(0).integers(-128, 128, (16, 256))
    values[0], values[1] = 127, -128
    given = work(values, np.zeros(256, np.uint8), Geometry())
    flipped, plain = machine("isaac"), replace(machine("isaac"), flip=False)  # type: ignore[type-var, call-arg]
    assert isinstance(flipped, Reads)
    assert isinstance(plain, Reads)
    assert flipped.adc_bits(given) == golden("isaac")["adc"]["bits"]
    assert plain.adc_bits(given) == 9


def test_prices_of_isaac_s_memory() -> None:
    """machines_extra.json: isaac_more."""
    more, prices = EXTRA["isaac_more"], NODES["32nm"]
    wanted = more["edram_pj_per_bit"] + more["bus_pj_per_bit"]
    assert prices.input_read == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("zero", range(7))
def test_efficiency_of_bitwave(zero: int) -> None:
    """bitwave.json, measured: cycles within 5.2 %, and power within 1.3 %."""
    bars = golden("bitwave")
    given, count = bitwave(zero)
    spent = sum(energy("16nm", "bitwave", count).values())
    operations = 2 * 64 * given.macs  # of one bit by one
    assert operations / spent == pytest.approx(bars["btops_per_watt"][zero], rel=0.066)


def test_a_cycle_of_bit_fusion() -> None:
    """machines_extra.json: bitfusion_memory."""
    published, count = (
        EXTRA["bitfusion_memory"],
        Count(cycles=1, slots=512, active=100, idle={"rows": 412}),
    )
    parts = energy("45nm", "bitfusion", count)
    assert parts["active"] + parts["idle"] == pytest.approx(published["core_pj_per_cycle"])
    stalled = energy("45nm", "bitfusion", Count(cycles=1, slots=512, idle={LEVELS[0]: 512}))
    leaks = published["core_leak_mw"] * 1e3 / published["clock_mhz"]
    assert sum(stalled.values()) == pytest.approx(leaks)
    banks = published["sram_pj_per_bit"]
    prices = NODES["45nm"]
    assert [prices.weight_read, prices.input_read, prices.output_read, prices.output_write] == [
        banks["weight 128 B"][0], banks["input 2048 B"][0], *banks["output 512 B"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "element", "row", "lanes"),
    [("stripes", "stripes 8-way", "stripes", 8), ("bitlet", "bitlet", "bitlet", 16),
     ("pragmatic-weights", "pragmatic 8-way", "pragmatic", 8),
     ("bitvert", "bitvert 16-way", "bitvert", 16)],
)  # fmt: skip
def test_an_element_and_its_registers_of_bitsim(
    name: str, element: str, row: str, lanes: int
) -> None:
    """machines_extra.json: bitsim_prices, an array of one row and one column for a cycle."""
    published = EXTRA["bitsim_prices"]
    found = replace(
        Lanes(), rows=1, lanes=lanes, windows=1, weight="stored", bits=8, share=lanes // 8
    )
    count = Count(cycles=1, slots=lanes, active=lanes, events={
        "weight-register cycles": lanes, "activation-register steps": lanes,
    })  # fmt: skip
    parts = NODES["28nm"].of(name, found, count, 8)
    assert parts is not None
    column = published["column_pj_per_step"]
    registers = (
        published["row_pj_per_cycle"][row] + column[row] + column["dispatcher, added to each"]
    )
    assert parts["active"] == pytest.approx(1.5 * published["pe_pj_per_cycle"][element])
    assert parts["registers"] == pytest.approx(1.5 * registers)


@given(tasks(), st.sampled_from(sorted(KNOWN)), st.sampled_from(sorted(NODES)))
def test_nothing_is_free_and_energies_add(task: Task, name: str, node: str) -> None:
    count = KNOWN[name].count(task.work)
    parts = NODES[node].of(name, KNOWN[name], count, task.bits)
    analog = KNOWN[name].multipliers is None
    assert (parts is None) == (analog != (node == "32nm")) or not count.events
    if parts is None:
        return
    twice = NODES[node].of(name, KNOWN[name], count + count, task.bits)
    assert twice is not None
    assert isclose(sum(twice.values()), 2 * sum(parts.values()))
    assert min(parts.values()) >= 0
    if not analog:
        assert (parts["idle"] > 0) == (sum(count.idle.values()) > 0)


def test_prices_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[prices]\npreset = "28nm"\nactive = "20fJ"\nsource = "mine"')
    found = find_prices(str(path))
    assert (found.active, found.idle) == (0.02, NODES["28nm"].idle)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("active = 3", "active = 3 is in no unit: give an energy such as '50fJ'"),
        ("active = '3'", "active = '3' is in no unit"),
        ("actve = '3fJ'", "no price 'actve': did you mean 'active'?"),
        ("active = '3fJ'", "active and idle multipliers are priced together: give both"),
        ("preset = '90nm'", "no node '90nm': use one of 45nm, 32nm, 28nm, 16nm"),
    ],
)
def test_a_bad_price_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[prices]\n{text}")
    with pytest.raises(EsnsimError, match=r"mine\.toml"):
        find_prices(str(path))
    refused(esnsim("simulate", "builtin:resnet8", "--machines", "maki", "--node", path), said)


def test_prices_are_not_negative() -> None:
    with pytest.raises(EsnsimError, match="a price row = -1: give 0 or more"):
        Prices(source="here", row=-1)
