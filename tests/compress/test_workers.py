"""Work on several processes: every item once, whatever happens to the workers."""

import multiprocessing
import signal
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from esnsim.errors import EsnsimError
from esnsim.sweeps.workers import _without_interrupts, spread
from tests.compress.errands import die, die_once, slow_square, square

ITEMS = range(7)


def test_every_item_is_done_once_by_as_many_processes_as_asked_for() -> None:
    found = sorted(spread(slow_square, ITEMS, 2))
    assert [f[:2] for f in found] == [(i, i * i) for i in ITEMS]
    assert len({pid for *_, pid in found}) == 2


def test_no_more_processes_start_than_there_are_items() -> None:
    with closing(spread(square, [3], 5)) as found:
        assert next(found)[:2] == (3, 9)
        assert len(multiprocessing.active_children()) == 1


def test_an_item_whose_worker_is_killed_is_done_by_another(tmp_path: Path) -> None:
    found = sorted(spread(partial(die_once, tmp_path), ITEMS, 2))
    assert [f[:2] for f in found] == [(i, i * i) for i in ITEMS]
    assert (tmp_path / "died").exists()


def test_an_item_that_ends_two_workers_ends_the_work() -> None:
    with pytest.raises(EsnsimError) as error:
        list(spread(die, ["heavy"], 2))
    assert str(error.value) == (
        "heavy ended its process 2 times (exit code 7): give fewer --jobs if memory is short; "
        "finished points are kept, --resume goes on"
    )


def test_an_interrupt_while_a_process_begins_is_heard_after_it() -> None:
    begun = False
    with pytest.raises(KeyboardInterrupt), _without_interrupts():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        begun = True
    assert begun


def test_the_processes_end_with_the_generator() -> None:
    with closing(spread(slow_square, ITEMS, 2)) as found:
        next(found)
    assert multiprocessing.active_children() == []
