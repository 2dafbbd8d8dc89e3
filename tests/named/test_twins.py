"""Machines by name: cycles are those of a reference that goes step by step."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim.costs.equations import esn_a_x4
from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.crossbar.engine import AnalogEngine
from esnsim.machines.crossbar.spec import SIGNS, CrossbarSpec
from esnsim.machines.named.cartesian import Cartesian
from esnsim.machines.named.catalog import machines
from esnsim.machines.named.events import (
    AMPLITUDE,
    CONVERSIONS,
    DRIVES,
    INPUT_POWER,
    INPUTS,
    OUTPUTS,
    READS,
    REGISTER_STEPS,
    WEIGHTS,
)
from esnsim.machines.named.reads import Reads
from esnsim.machines.named.systolic import DATAFLOWS, Systolic
from tests.naive import machines as naive
from tests.named.tasks import Task, tasks

SMALL = st.integers(1, 5)
TWICE = 2 * settings().max_examples  # 200 layers in continuous integration
KNOWN = machines()
STEPWISE = [*naive.STEPS, "maki", "ideal-digital"]


def test_every_machine_of_lanes_has_a_reference() -> None:
    assert {n for n, m in KNOWN.items() if m.kind == "lanes"} == {*STEPWISE, "bittactical"}


@settings(max_examples=TWICE)
@given(tasks(), SMALL, SMALL, SMALL)
def test_cycles_are_those_of_the_machine_step_by_step(
    task: Task, rows: int, lanes: int, windows: int
) -> None:
    work, plain = task.work, task.plain
    sizes = {"rows": rows, "lanes": lanes, "windows": windows}
    for name in STEPWISE:
        machine = replace(KNOWN[name], **sizes, step_extra=0.0, zero_extra=0.0)  # type: ignore[type-var]
        wanted = naive.cycles(name, *sizes.values(), plain)
        assert machine.count(work).cycles == wanted, name


@given(tasks(), SMALL, SMALL, SMALL, SMALL, st.integers(0, 6))
def test_lines_are_those_of_the_scheduler_step_by_step(
    task: Task, rows: int, lanes: int, windows: int, ahead: int, aside: int
) -> None:
    sizes = {"rows": rows, "lanes": lanes, "windows": windows}
    machine = replace(KNOWN["bittactical"], **sizes, lookahead=ahead, lookaside=aside)  # type: ignore[type-var]
    wanted = naive.bittactical(*sizes.values(), ahead, aside, task.plain)
    assert machine.count(task.work).cycles == wanted


@given(tasks(), SMALL, SMALL, st.sampled_from(DATAFLOWS))
def test_a_systolic_array_takes_wave_after_wave(
    task: Task, rows: int, columns: int, dataflow: str
) -> None:
    machine = Systolic(rows=rows, columns=columns, dataflow=dataflow)
    wanted = naive.systolic(rows, columns, dataflow, task.plain)
    assert machine.count(task.work).cycles == wanted


@given(tasks(), SMALL, SMALL, SMALL, st.sampled_from([1, 5, 64]), st.sampled_from([0, 1, 5, 32]))
def test_scnn_pairs_what_is_not_zero(
    task: Task, side: int, activations: int, weights: int, accumulator: int, banks: int
) -> None:
    machine = Cartesian(
        side=side, activations=activations, weights=weights, accumulator=accumulator, banks=banks
    )
    wanted = naive.scnn(side, activations, weights, accumulator, banks, task.plain)
    assert machine.count(task.work).cycles == wanted


@settings(max_examples=TWICE)
@given(tasks(), SMALL, SMALL, SMALL)
def test_buffers_give_what_each_step_asks_for(
    task: Task, rows: int, lanes: int, windows: int
) -> None:
    work, plain = task.work, task.plain
    sizes = {"rows": rows, "lanes": lanes, "windows": windows}
    for name in STEPWISE:
        found = replace(KNOWN[name], **sizes).count(work).events  # type: ignore[type-var]
        steps, *bits = naive.moved(name, *sizes.values(), plain)
        assert [found.get(kind, 0) for kind in (WEIGHTS, INPUTS, OUTPUTS)] == bits, name
        assert found.get(REGISTER_STEPS, 0) == windows * lanes * steps, name


@given(
    tasks(), st.integers(0, 5), st.integers(1, 4), st.integers(0, 2), st.integers(0, 6),
    st.booleans(),
)  # fmt: skip
def test_a_crossbar_is_read_for_each_window_and_driver(
    task: Task, dac_bits: int, cell_bits: int, stages: int, fill: int, serial: bool
) -> None:
    machine = Reads(dac_bits=dac_bits, cell_bits=cell_bits, stages=stages, fill=fill, serial=serial)
    wanted = naive.reads(dac_bits, cell_bits, stages, fill, serial, task.plain)
    assert machine.count(task.work).cycles == wanted


@settings(max_examples=60)
@given(tasks(), SMALL, SMALL, st.integers(1, 4), st.integers(0, 5), st.booleans())
def test_what_cells_take_of_inputs_and_what_converters_need(
    task: Task, rows: int, columns: int, cell_bits: int, dac_bits: int, flip: bool
) -> None:
    machine = Reads(
        rows=rows, columns=columns, cell_bits=cell_bits, dac_bits=dac_bits, flip=flip,
        cells="inputs",
    )  # fmt: skip
    found, plain = machine.count(task.work).events, task.plain
    wanted = naive.input_power(rows, columns, cell_bits, dac_bits, flip, plain)
    assert (found.get(DRIVES, 0), found.get(INPUT_POWER, 0)) == wanted
    assert machine.adc_bits(task.work) == naive.least_adc(rows, cell_bits, dac_bits, flip, plain)


@given(tasks(), SMALL, SMALL, st.integers(1, 4), st.integers(1, 5))
def test_reads_and_conversions_are_those_that_the_crossbar_runs(
    task: Task, rows: int, columns: int, cell_bits: int, dac_bits: int
) -> None:
    sizes = {"rows": rows, "columns": columns, "dac_bits": dac_bits}
    spec = CrossbarSpec(**sizes, bits_per_cell=cell_bits, sign="offset", activation_bits=task.bits)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    ran = AnalogEngine(spec).run(task.layer, task.x, rng, task.zero, task.signed).counts
    found = Reads(**sizes, cell_bits=cell_bits).count(task.work).events
    assert [found.get(kind, 0) for kind in (READS, CONVERSIONS, DRIVES)] == [
        ran.array_reads, ran.conversions, ran.row_drives
    ]  # fmt: skip


@given(tasks(), SMALL, st.integers(1, 4), st.integers(1, 5), st.sampled_from([*SIGNS, "inverted"]))
def test_the_least_converter_loses_nothing(
    task: Task, rows: int, cell_bits: int, dac_bits: int, sign: str
) -> None:
    """Outputs are exact; with an offset its bits are those of the naive twin, column by column."""
    flip = sign == "inverted"
    spec = CrossbarSpec(
        rows=rows, columns=8, bits_per_cell=cell_bits, sign="offset" if flip else sign, flip=flip,
        activation_bits=task.bits, dac_bits=dac_bits, adc_bits="auto",
    )  # fmt: skip
    engine, rng = AnalogEngine(spec), np.random.default_rng(0)
    outputs = engine.run(task.layer, task.x, rng, task.zero, task.signed).outputs
    wanted = DigitalEngine(ArraySpec(activation_bits=task.bits)).run(
        task.layer, task.x, task.zero, task.signed
    )
    assert (outputs == wanted.outputs).all()
    if sign != "differential":
        least = naive.least_adc(rows, cell_bits, dac_bits, flip, task.plain)
        assert engine.prepare(task.layer, rng).lossless == max(1, least)


@given(tasks())
def test_ideal_cells_take_esna(task: Task) -> None:
    """Eq. 2, for all images: four times Σ MAC·W²."""
    found = KNOWN["ideal-analog"].count(task.work).events
    assert found.get(AMPLITUDE, 0) == esn_a_x4(task.layer.sums) * len(task.work.base)
