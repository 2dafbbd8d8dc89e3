"""DRAM behind machines by name: what moves, who waits, and the published cycles."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.machines.named.catalog import machines
from esnsim.machines.named.description import Count
from esnsim.machines.named.events import BUFFER
from esnsim.machines.named.memory import MEMORIES, Memory, moved_bits
from esnsim.selfcheck.accelerators import ENDS, bitfusion_wait, golden
from tests.named.tasks import Task, tasks

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
    nothing = Memory(source="here", weights=1 << 40, activations=0, dram_bits=1, dram_pj=1.0)
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
