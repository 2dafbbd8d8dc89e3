"""Budgets and metrics of machines in `compress` and `pareto`: cycles@maki, energy@isaac."""

import json
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esnsim.commands import options
from esnsim.compression.allocate.allocate import WIDEST, allocate, choices, every_width
from esnsim.errors import UsageError
from esnsim.evaluate.comparison import Choice
from esnsim.importer.read import read_onnx
from esnsim.machines.base import random_integers
from esnsim.machines.named.aim import Aim, read_aim
from esnsim.machines.named.catalog import machines
from esnsim.machines.named.comparison import Counter
from esnsim.machines.named.memories import MEMORIES
from esnsim.machines.named.memory import moved_bits
from esnsim.machines.named.prices import NODES
from esnsim.model.network import Network
from esnsim.quantization.quantizer import quantize
from esnsim.units import rounded_up
from tests.commandline import esnsim, refused, report
from tests.samples import convolutions, saved
from tests.strategies import networks

MEMORY = "bitfusion"  # whose buffers are the smaller ones
METRICS = ("cycles@maki", "cycles@bitfusion", "cycles@bismo", "time@tpu", "energy@isaac",
           "energy@puma", "energy@maki-serial", "energy@stripes@45nm", "time@maki@bitfusion",
           "energy@bismo@bitsim@28nm")  # fmt: skip


def aimed(network: Network, metric: str) -> Aim:
    found = {i: random_integers(x, 8, (i,)) for i, x in enumerate(network.layers)}
    return read_aim(metric, found)


def usable(network: Network) -> bool:
    return all(not x.geometry.transposed and x.repeats == 1 for x in network.layers)


@settings(max_examples=5)
@given(networks().filter(usable), st.sampled_from(METRICS), st.integers(1, WIDEST))
def test_filters_of_one_width_take_what_the_network_takes(
    network: Network, metric: str, bits: int
) -> None:
    """Costs of filters add up to those of the machine, but for parts that were rounded up."""
    aim = aimed(network, metric)
    for index, runs in enumerate(every_width(network, "filter-max")):
        run, shares = runs[bits - 1], aim.of_filters(index, runs[bits - 1])
        whole = aim.of_layer(index, run) * aim.parts
        if (run.sums.width_code > 0).any():
            assert whole - 1e-6 * whole <= shares.sum() <= whole * (1 + 1e-6) + len(shares)


@settings(max_examples=4)
@given(networks().filter(usable), st.floats(1.0, 4.0))
def test_a_machine_of_whole_layers_gets_one_width_a_layer_within_its_budget(
    network: Network, factor: float
) -> None:
    aim = aimed(network, "cycles@bitfusion")
    offer = choices(network, "cycles@bitfusion", "filter-max", aim=aim)
    found = allocate(offer, factor * offer.least)
    for widths in found.widths.values():
        assert len(np.unique(widths)) == 1
    assert aim.of(quantize(network, found.scheme)) <= factor * offer.least * (1 + 1e-9)


def test_a_budget_of_a_machine_is_kept(tmp_path: Path) -> None:
    model, out = saved(convolutions(), tmp_path), tmp_path / "small.onnx"
    for name, behind in (("bitfusion", []), ("maki", []), ("maki", ["bitsim"])):
        words = ["compress", model, "-o", out, "-q", "--report", tmp_path / "r.json"]
        at = "@".join((name, *behind))
        least = esnsim(*words, "--budget", f"1@{at}").err.split("can be, ")[1].split(":")[0]
        budget = 1.3 * float(least.replace(",", ""))
        assert esnsim(*words, "--budget", f"{budget:.0f}@{at}").code == 0
        found = json.loads((tmp_path / "r.json").read_text())
        assert found["metric"] == f"cycles@{at}"
        memory = ["--memory", *behind] if behind else []
        told = report(esnsim("simulate", out, "--machines", name, *memory, "--json", "-q"))
        assert told["machines"][0]["cycles"] <= budget


@settings(max_examples=10)
@given(networks().filter(usable), st.sampled_from(["maki", "bitfusion", "tpu"]))
def test_an_aim_waits_for_its_memory_as_a_comparison_does(network: Network, name: str) -> None:
    """Cycles, time and energy of the whole network, all filters at 8 bits."""
    quantized, found = quantize(network), aimed(network, f"cycles@{name}@{MEMORY}").activations
    choice = Choice(
        machines={name: machines()[name]}, memory=MEMORIES[MEMORY], prices=NODES["28nm"]
    )
    counter = Counter(quantized, choice.machines, 8)
    for index, activations in found.items():
        counter.run(index, activations)
    [taken] = counter.comparison((), "", choice.memory, choice.prices).taken
    seconds = float(taken.cycles) / taken.machine.hertz
    wanted = {"cycles": taken.cycles, "time": 1e6 * seconds, "energy": sum(taken.energy.values())}
    for quantity, value in wanted.items():
        assert aimed(network, f"{quantity}@{name}@{MEMORY}").of(quantized) == pytest.approx(value)


def test_a_machine_of_a_file_is_an_aim_and_its_memory_counts(tmp_path: Path) -> None:
    """A port of one bit makes the layers wait, cycle by cycle; so does DRAM of one."""
    mine, network = tmp_path / "mine.toml", read_onnx("builtin:resnet8")
    mine.write_text("[lanes]\npreset = 'maki'\n")
    alone = aimed(network, f"cycles@{mine}")
    assert alone.of(quantize(network)) == aimed(network, "cycles@maki").of(quantize(network))
    with mine.open("a") as file:
        file.write("[memory]\npreset = 'bitsim'\ndram = '1 bits'\n")
    waits = aimed(network, f"cycles@{mine}")
    moved = sum(moved_bits(waits.memory, waits.machine, q, 8) for q in quantize(network).layers)  # type: ignore[arg-type]
    assert waits.of(quantize(network)) >= moved
    assert aimed(network, f"cycles@{mine}@bitsim").memory == MEMORIES["bitsim"]


@pytest.mark.parametrize(("name", "wanted"), [("bitfusion", {2, 4, 8}), ("maki", {*range(1, 9)})])
def test_machines_get_the_widths_that_they_charge(name: str, wanted: set[int]) -> None:
    """ResNet-8, by the error of its weights: bricks of 2, 4 and 8 bits, and bit planes.

    Its layers of 16 channels fill Bit Fusion's lanes at 4 bits, and gain nothing from 2.
    """
    network = read_onnx("builtin:resnet8")
    offer = choices(network, f"cycles@{name}", aim=aimed(network, f"cycles@{name}"))
    budgets = [offer.least * factor for factor in (1.05, 1.2, 1.5, 2, 3, 5)]
    asked = [bits for budget in budgets for bits in allocate(offer, budget).widths.values()]
    found = set(np.concatenate(asked).tolist())
    assert {4, 8} <= found <= wanted
    assert found >= wanted - {1, 2}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("200M", (2e8, None)),
        ("2ms@maki", (2000.0, "time@maki")),
        ("40us@bitfusion", (40.0, "time@bitfusion")),
        ("5uJ@isaac", (5e6, "energy@isaac")),
        ("90k@bismo", (90e3, "cycles@bismo")),
        ("90kcycles@bismo", (90e3, "cycles@bismo")),
    ],
)
def test_budgets_are_of_a_metric_or_of_a_machine(
    text: str, wanted: tuple[float, str | None]
) -> None:
    amount, metric = options.budget(text)
    assert (pytest.approx(amount), metric) == wanted


def test_a_budget_without_a_number_is_none() -> None:
    with pytest.raises(ArgumentTypeError, match="give"):
        options.budget("fast@maki")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("--budget 2ms@mki", "no machine 'mki': did you mean 'maki'?"),
        ("--budget 2ms@maki --metric esn_a", "--budget is of time@maki, --metric of esn_a"),
        ("--budget 2ms@maki --policy uniform", "a machine's budget is shared by the policy alloc"),
        ("--budget 2 --metric speed@maki", "'speed@maki' is no metric of a machine: give cycles@"),
        ("--budget 2 --metric energy@maki@32nm", "32nm has no price for that machine; leave"),
        (
            "--budget 2 --metric energy@maki@7nm",
            "after the machine give a node, a memory or both, of 45nm,",
        ),
        ("--budget 2 --metric time@isaac@bitsim", "analog machines hold their weights: leave the"),
        ("--budget 2 --metric time@maki@bitsim@bitsim", "after the machine give a node, a memory"),
        ("--budget 2 --metric time@maki@45nm", "a node prices energy, not time: leave it out"),
    ],
)
def test_wrong_aims_are_one_line(asked: str, said: str, tmp_path: Path) -> None:
    words = [*asked.split(), "-o", str(tmp_path / "small.onnx")]
    refused(esnsim("compress", "builtin:resnet8", *words), said, code=2)


def test_no_output_replaces_the_machine_of_an_aim(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text("[lanes]\npreset = 'maki'\n")
    for words in (["--budget", f"2ms@{mine}"], ["--drop", "1%", "--metric", f"time@maki@{mine}"]):
        ended = esnsim("compress", "builtin:resnet8", *words, "-o", mine)
        refused(ended, "mine.toml", code=2)
    ended = esnsim("pareto", "builtin:resnet8", "--metric", f"cycles@{mine}", "-o", mine)
    refused(ended, "mine.toml", code=2)
    assert mine.read_text().startswith("[lanes]")


@given(st.floats(1e-6, 1e15))
def test_a_least_that_is_told_is_one_that_may_be_given(least: float) -> None:
    told = float(rounded_up(least).replace(",", ""))
    assert least <= told <= least * (1 + 1e-9)


def test_a_clock_is_a_number_above_0() -> None:
    with pytest.raises(UsageError, match="a clock of 0 MHz"):
        replace(machines()["maki"], clock_mhz=0)  # type: ignore[type-var, call-arg]


def test_a_sweep_may_be_priced_on_a_machine(tmp_path: Path) -> None:
    words = ["--ratios", "0", "--bits", "2,8", "--images", "8", "--rounding", "nearest", "-q"]
    words += ["--json", "--results", tmp_path / "r.jsonl", "--metric"]
    found = report(esnsim("pareto", "builtin:resnet8", *words, "energy@isaac"))
    assert found["metric"] == "energy@isaac"
    costs = {point["bits"]: point["cost"] for point in found["points"]}
    assert 0 < costs[2] < costs[8]
    ended = esnsim("pareto", "builtin:resnet8", *words, "cycles@maki", "--resume")
    refused(ended, "was made with other options (metric energy@isaac, now cycles@maki)")
