"""DRAM behind machines by name: what moves, who waits, and the published cycles."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.machines.files import TABLES
from esnsim.machines.named.catalog import DESCRIPTIONS, machines
from esnsim.machines.named.counts import Count
from esnsim.machines.named.events import BUFFER
from esnsim.machines.named.memories import MEMORIES, find_memory
from esnsim.machines.named.memory import Memory, moved_bits
from esnsim.selfcheck.accelerators import ENDS, bitfusion_wait, golden
from tests.commandline import esnsim, refused, report
from tests.named.tasks import Task, tasks
from tests.samples import one_layer

EXTRA = golden("machines_extra")
BITS = st.integers(0, 400)
SMALL = Memory(source="here", weights=8, activations=4, dram_bits=3, dram_pj=1.0)


@pytest.mark.parametrize("row", EXTRA["bitfusion_memory"]["rows"], ids=lambda row: row["layer"])
def test_cycles_of_bit_fusion_with_its_memory(row: dict[str, Any]) -> None:
    """The first and the last tile's transfers, up to 1,508 cycles, come on top."""
    assert 0 <= bitfusion_wait(row)[1] <= ENDS


def test_memories_are_the_published_ones() -> None:
    bitfusion, bitsim = EXTRA["bitfusion_memory"], EXTRA["bitsim_memory"]
    found = MEMORIES["bitfusion"]
    assert found.weights == bitfusion["weight_buffer_bytes"]
    assert found.activations == bitfusion["input_buffer_bytes"] + bitfusion["output_buffer_bytes"]
    assert found.dram_bits == bitfusion["dram_bits_per_cycle"]
    assert found.dram_pj == bitfusion["dram_pj_per_bit"]
    ports = {"weight": found.weight_port, "input": found.input_port, "output": found.output_port}
    banks = {kind: bitfusion["word_bits"] * number for kind, number in bitfusion["banks"].items()}
    assert ports == banks
    found = MEMORIES["bitsim"]
    assert (found.weights, found.activations) == (
        bitsim["weights_bytes"], bitsim["activations_bytes"]
    )  # fmt: skip
    assert found.dram_bits == bitsim["dram_bits_per_cycle"]
    assert found.dram_pj * 64 == bitsim["dram_pj_per_64_bits"]


@given(BITS, BITS, BITS)
def test_what_moves_is_what_does_not_fit(weights: int, inputs: int, outputs: int) -> None:
    """Buffers of 64 and 32 bits; the tensor that moves again does so for each load of the other."""
    moved = SMALL.traffic(weights, inputs, outputs)
    loads = {"weights": len(range(0, weights, 64)), "inputs": len(range(0, inputs, 32))}
    if inputs + outputs <= 32:
        wanted = weights
    elif weights > 64 and inputs > 32:
        again = (weights * loads["inputs"] + inputs, weights + inputs * loads["weights"])
        wanted = min(again) + outputs
    else:
        wanted = weights + inputs + outputs
    assert moved == wanted


@given(st.integers(0, 99), st.integers(1, 9), BITS)
def test_a_layer_takes_the_longer_of_work_and_transfers(
    cycles: int, units: int, moved: int
) -> None:
    work = Count(cycles=cycles, slots=cycles * units, active=cycles)
    wait = SMALL.wait(work, moved)
    assert cycles + wait.cycles == max(cycles, -(-moved // 3))
    assert wait.slots == wait.idle["memory"] == (units if cycles else 0) * wait.cycles


@given(st.integers(0, 99), st.integers(1, 9), BITS, *[st.integers(0, 400)] * 4)
def test_a_port_is_a_bound_like_dram(
    cycles: int, units: int, moved: int, weights: int, inputs: int, outputs: int, partial: int
) -> None:
    """Ports of 5, 7 and 11 bits; the level that takes longest is what is waited for."""
    events = dict(zip(BUFFER, (weights, inputs, outputs, partial), strict=True))
    memory = replace(SMALL, weight_port=5, input_port=7, output_port=11)
    work = Count(cycles=cycles, slots=cycles * units, active=cycles, events=events)
    wait = memory.wait(work, moved)
    buffer = max(-(-weights // 5), -(-inputs // 7), -(-(outputs + partial) // 11))
    dram = -(-moved // 3)
    assert cycles + wait.cycles == max(cycles, buffer, dram)
    assert list(wait.idle) == ["buffer" if buffer > dram else "memory"]


@given(tasks())
def test_weights_move_as_a_machine_stores_them(task: Task) -> None:
    """An empty machine moves the most: nothing fits, and no width exceeds a word of the layer's."""
    nothing = Memory(source="here", weights=1 << 40, activations=1, dram_bits=1, dram_pj=1.0)
    sums, known = task.layer.sums, machines()
    weights = (sums.weights * sums.width_code).sum()
    moved = {name: moved_bits(nothing, m, task.layer, task.bits) for name, m in known.items()}
    rest = moved["maki"] - weights
    masks = int((sums.weights * ((sums.coded < sums.weights) & (sums.width_code > 0))).sum())
    if task.layer.layer.weight.codes is None:
        rest -= masks
    word = -(-int(sums.width_code.max(initial=0)) // 8) * 8
    assert moved["int8"] - rest == word * sums.weights[sums.width_code > 0].sum()
    assert moved["int8"] == moved["stripes"] == moved["tpu"] == moved["scnn"]
    assert moved["maki"] <= moved["bismo"]


MINE = """
weights = "2KB"
activations = "1.5KB"
dram = "24 bits"
dram_energy = "4pJ"
input_port = "64 bits"
"""


def test_a_memory_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[memory]{MINE}")
    wanted = Memory(weights=2048, activations=1536, dram_bits=24, dram_pj=4.0, input_port=64)
    assert find_memory(str(path)) == wanted
    path.write_text("[memory]\npreset = 'bitfusion'\ndram = '1.2GB/s'\ninput_port = 'ideal'")
    found = find_memory(str(path))
    assert found == replace(
        MEMORIES["bitfusion"], source="your own", dram_bits=None, dram_rate=1.2e9, input_port=None
    )
    assert found.bits_a_cycle(400e6) == 24


@given(st.integers(0, 99), BITS, st.integers(1, 9))
def test_a_rate_is_so_many_bits_a_cycle_of_the_clock(cycles: int, moved: int, bits: int) -> None:
    work = Count(cycles=cycles, slots=cycles, active=cycles)
    rate = replace(SMALL, dram_bits=None, dram_rate=bits * 1e6)
    assert rate.wait(work, moved, 8e6) == replace(SMALL, dram_bits=bits).wait(work, moved)


def test_a_machine_waits_for_the_memory_of_its_own_file(tmp_path: Path) -> None:
    """Unless another is put behind all; a clock makes DRAM of so many bytes a second faster."""
    mine, model = tmp_path / "mine.toml", one_layer(tmp_path)
    text = "[lanes]\npreset = 'int8'\nclock_mhz = 100\n[memory]\npreset = 'bitsim'\n"
    mine.write_text(f"{text}dram = '1KB/s'\n[prices]\npreset = '28nm'\n")
    words = ["simulate", model, "--machines", f"{mine},int8,isaac", "--json", "-q"]
    own, behind, slow = (
        report(esnsim(*words, *more)) for more in ([], ["--memory", "bitsim"], ["--clock", "1MHz"])
    )
    bound = {m["name"]: m["layers"][0]["bound"] for m in own["machines"]}
    assert bound == {"mine": "memory", "int8": None, "isaac": None}
    assert own["memory"] is None
    assert own["machines"][0]["memory"]["dram_rate"] == 1000
    assert own["machines"][1]["memory"] is None
    [layer] = own["machines"][0]["layers"]
    assert layer["cycles"] == -(-layer["dram_bits"] * 100_000_000 // 8000)
    assert slow["machines"][0]["cycles"] == -(-layer["dram_bits"] * 1_000_000 // 8000)
    assert behind["machines"][0]["memory"] == behind["machines"][1]["memory"] == behind["memory"]
    table = esnsim("simulate", model, "--machines", f"{mine},int8", "-q", "--node", mine).out
    assert "memory    behind mine: your own" in table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a memory without weights: give weights = '64KB'"),
        ("weights = '64'", "'64' is no size: give bytes as 64KB or 2MB"),
        ("weights = 64", "'64' is no size"),
        (
            "preset = 'bitsim'\nweights = '0KB'",
            "a memory with weights = 0: give a whole number",
        ),
        ("weights = '1.5B'", "'1.5B' is no size"),
        (
            "preset = 'bitsim'\nweights = '9999999999GB'",
            "number from 1 to 1,125,899,906,842,624",
        ),
        ("dram = 128", "dram = '128' is no number of bits a cycle: give '128 bits'"),
        ("dram = '12.8MHz/s'", "'12.8MHz/s' is no rate: give 12.8GB/s"),
        ("dram = '0GB/s'", "'0GB/s' is no rate"),
        ("preset = 'bitsim'\ndram = 'ideal'", "DRAM gives so many bits a cycle, or bytes a second"),
        (
            "preset = 'bitsim'\ndram = '0 bits'",
            "a memory with dram_bits = 0: give a whole number",
        ),
        ("dram_energy = '15'", "dram_energy = '15' is in no unit: give an energy such as '15pJ'"),
        ("dram_energ = '15pJ'", "no field 'dram_energ': did you mean 'dram_energy'?"),
        ("preset = 'ddr4'", "no memory 'ddr4': use one of bitsim, bitfusion"),
        ("preset = 'mine.toml'", "no memory 'mine.toml'"),
        ("input_port = [1]", "input_port = '[1]' is no number of bits a cycle"),
    ],
)
def test_a_bad_memory_is_one_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"[memory]\n{text}")
    refused(esnsim("simulate", one_layer(tmp_path), "--machines", "maki", "--memory", path), said)


def test_tables_of_a_file_are_the_kinds_and_what_is_beside_them() -> None:
    assert {*TABLES} == {*DESCRIPTIONS, "memory", "prices"}
