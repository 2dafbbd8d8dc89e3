"""Laws of the machines by name.

- active and idle unit-cycles are all that there are, and no cause is negative
- in one encoding, one ≤ ones ≤ columns ≤ width ≤ stored
- what is active does not depend on the size of the machine
- one unit a plane takes ESNd~; BISMO takes MAC·b_w·b_a; the schedules are those of the array
- images add, and blocks in which a layer is looked at change nothing
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esnsim.machines.array.engine import DigitalEngine
from esnsim.machines.array.spec import ArraySpec
from esnsim.machines.named import cycles, weight_side
from esnsim.machines.named import work as windows
from esnsim.machines.named.cartesian import Cartesian
from esnsim.machines.named.catalog import machines
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Described
from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.systolic import Systolic
from tests.named.tasks import Task, tasks

SMALL = st.integers(1, 5)
KNOWN = machines()
LANES = [name for name, machine in KNOWN.items() if machine.kind == "lanes"]
ORDER = ("one", "ones", "columns", "width", "stored")


def sized(name: str, rows: int, lanes: int, windows: int) -> Described:
    found: Described = replace(KNOWN[name], rows=rows, lanes=lanes, windows=windows)  # type: ignore[type-var]
    return found


def masks(task: Task) -> int:
    """One-bit filters that say where kept zeros are, times their MACs."""
    work = task.work
    return sum(
        len(work.base) * alike.reduction * alike.masks.shape[0] * alike.masks.shape[1]
        for alike in work.groups
    )


@given(tasks(), SMALL, SMALL, SMALL)
def test_active_and_idle_are_all_unit_cycles(
    task: Task, rows: int, lanes: int, windows: int
) -> None:
    work = task.work
    chosen = [sized(name, rows, lanes, windows) for name in LANES]
    others = [Systolic(rows=rows, columns=lanes), Cartesian(side=rows, weights=lanes)]
    for machine in (*chosen, *others):
        count = machine.count(work)
        assert count.active + sum(count.idle.values()) == count.slots, machine
        assert min(count.idle.values(), default=0) >= 0, machine


@given(tasks(), SMALL, SMALL, SMALL, st.sampled_from(["activation", "weight"]))
def test_statistics_are_in_order(
    task: Task, rows: int, lanes: int, windows: int, operand: str
) -> None:
    work, common = task.work, {"rows": rows, "lanes": lanes, "windows": windows}
    found = [
        Lanes(**common, encoding="midrise", bits=17, **{operand: statistic}).count(work).cycles  # type: ignore[arg-type]
        for statistic in ORDER
    ]
    if operand == "weight" or not task.signed:
        assert found == sorted(found)


@given(tasks(), st.sampled_from(LANES), SMALL, SMALL, SMALL)
def test_what_is_active_does_not_depend_on_the_size(
    task: Task, name: str, rows: int, lanes: int, windows: int
) -> None:
    work = task.work
    one, other = sized(name, rows, lanes, windows), sized(name, 1, lanes, 2)
    assert one.count(work).active == other.count(work).active


@given(tasks())
def test_one_unit_takes_what_ideal_hardware_takes(task: Task) -> None:
    work, bits = task.work, -(-task.bits // 8)
    assert KNOWN["ideal-digital"].count(work).cycles == bits * (work.mac_bits + masks(task))


@given(tasks())
def test_bismo_takes_both_widths_where_it_is_full(task: Task) -> None:
    work = task.work
    wanted = task.bits * (work.macs * work.width + masks(task))
    assert sized("bismo", 1, 1, 1).count(work).cycles == wanted


@pytest.mark.parametrize(
    ("name", "schedule"),
    [("maki", "bit-parallel"), ("maki-serial", "serial"), ("sorted", "sorted")],
)
@given(task=tasks(), rows=SMALL, lanes=SMALL, windows=SMALL)
def test_schedules_take_what_the_array_takes(
    name: str, schedule: str, task: Task, rows: int, lanes: int, windows: int
) -> None:
    spec = ArraySpec(rows, lanes, windows, schedule, task.bits)
    run = DigitalEngine(spec).run(task.layer, task.x, task.zero, task.signed)
    machine: Any = replace(sized(name, rows, lanes, windows), bits=16)  # type: ignore[type-var]
    count = machine.count(task.work)
    assert count.cycles == run.counts.all_cycles
    assert count.active == run.counts.active + run.counts.mask_active


@given(tasks(), st.sampled_from([*KNOWN]), st.integers(1, 200))
def test_blocks_change_nothing(task: Task, name: str, size: int) -> None:
    whole = sized(name, 2, 3, 2) if name in LANES else KNOWN[name]
    wanted = whole.count(task.work)
    with pytest.MonkeyPatch.context() as patch:
        for module, limit in ((weight_side, "BLOCK"), (windows, "BLOCK"), (cycles, "PAIRS")):
            patch.setattr(module, limit, size)
        assert whole.count(task.work) == wanted


@given(tasks(), st.sampled_from([*KNOWN]))
def test_images_add(task: Task, name: str) -> None:
    rows, machine = task.layer.layer.geometry.rows, KNOWN[name]
    apart = sum(
        (
            machine.count(replace(task, x=task.x[at : at + rows]).work)
            for at in range(0, len(task.x), rows)
        ),
        Count(),
    )
    together = machine.count(task.work)
    assert (together.active, together.slots - together.idle.get("constant", 0)) == (
        apart.active, apart.slots - apart.idle.get("constant", 0)
    )  # fmt: skip
