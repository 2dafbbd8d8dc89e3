"""Two processes of DistributedDataParallel measure what one process on all images does."""

import json
import multiprocessing
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from esnsim.training.tracker import ESNTracker

RANKS, STEPS, ACCUMULATED = 2, 3, 2
IMAGES = torch.rand((STEPS * ACCUMULATED * 4, 1, 6, 8), generator=torch.Generator().manual_seed(0))


def build() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, (2, 3)), nn.ReLU(), nn.Flatten(), nn.Linear(90, 2))


def train(model: nn.Module, share: slice) -> ESNTracker:
    """Two backward passes a step, each on the `share` of four images."""
    tracker, sgd = ESNTracker(model), torch.optim.SGD(model.parameters(), 0.1)
    for index, batch in enumerate(IMAGES.split(4)):
        model(batch[share]).square().mean().backward()
        if index % ACCUMULATED:
            sgd.step()
            sgd.zero_grad()
            tracker.step()
    tracker.epoch()
    return tracker


def one_rank(rank: int, folder: Path, both_done: Any) -> None:
    """Write what this rank measured, and end without Python's shutdown.

    In some hundred shutdowns PyTorch's threads abort one process whose work is done. That is not
    what this test is about.
    """
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/store",
        timeout=timedelta(seconds=60),
        rank=rank,
        world_size=RANKS,
    )
    tracker = train(DistributedDataParallel(build()), slice(2 * rank, 2 * rank + 2))
    (folder / f"{rank}.json").write_text(tracker.to_json())
    both_done.wait(60)
    os._exit(0)


def test_all_ranks_measure_what_one_process_does(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    both_done = spawn.Barrier(RANKS)
    ranks = [
        spawn.Process(target=one_rank, args=(rank, tmp_path, both_done)) for rank in range(RANKS)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(90)
        process.kill()
    assert [process.exitcode for process in ranks] == [0, 0]
    first, second = (json.loads((tmp_path / f"{r}.json").read_text()) for r in range(RANKS))
    assert first == second
    whole = train(build(), slice(None)).history[0]
    assert first["epochs"][0]["iterations"] == whole.iterations == STEPS
    for row, alone in zip(first["epochs"][0]["layers"], whole.layers, strict=True):
        assert row["name"] == alone.name
        assert row["esn_a"] == pytest.approx(alone.esn_a, rel=1e-4)
