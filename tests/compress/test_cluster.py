"""The same on a Dask cluster of two workers on this machine."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from esnsim.errors import EsnsimError
from esnsim.sweeps.cluster import spread
from tests.compress.errands import die_once, square

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


def test_every_item_is_done_once(address: str) -> None:
    found = sorted(spread(square, range(7), address))
    assert [f[:2] for f in found] == [(i, i * i) for i in range(7)]


def test_an_item_whose_worker_is_killed_is_done_by_another(address: str, tmp_path: Path) -> None:
    found = sorted(spread(partial(die_once, tmp_path), range(7), address))
    assert [f[:2] for f in found] == [(i, i * i) for i in range(7)]
    assert (tmp_path / "died").exists()


def test_an_address_without_a_scheduler_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("esnsim.sweeps.cluster.PATIENCE", "1s")
    with pytest.raises(EsnsimError, match=r"no Dask scheduler answers at 'tcp://127.0.0.1:1'"):
        list(spread(square, [1], "tcp://127.0.0.1:1"))
