"""Machines by name: cycles are those of a reference that goes step by step."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim.machines.named.cartesian import Cartesian
from esnsim.machines.named.catalog import machines
from esnsim.machines.named.reads import Reads
from esnsim.machines.named.systolic import DATAFLOWS, Systolic
from tests.naive import machines as naive
from tests.named.tasks import Task, tasks

SMALL = st.integers(1, 5)
KNOWN = machines()
STEPWISE = [*naive.STEPS, "maki", "ideal-digital"]


def test_every_machine_of_lanes_has_a_reference() -> None:
    assert {n for n, m in KNOWN.items() if m.kind == "lanes"} == {*STEPWISE, "bittactical"}


@settings(max_examples=40)
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


@given(tasks(), st.integers(0, 5), st.integers(1, 4), st.integers(0, 2), st.booleans())
def test_a_crossbar_is_read_for_each_window_and_driver(
    task: Task, dac_bits: int, cell_bits: int, stages: int, serial: bool
) -> None:
    machine = Reads(dac_bits=dac_bits, cell_bits=cell_bits, stages=stages, serial=serial)
    wanted = naive.reads(dac_bits, cell_bits, stages, serial, task.plain)
    assert machine.count(task.work).cycles == wanted
