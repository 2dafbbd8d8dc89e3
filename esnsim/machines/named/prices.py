"""What events take at a node, by part: all in pJ, each with where it was published."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any

from esnsim.errors import UsageError, find_known
from esnsim.machines.files import PLAIN, PRICES, named_or_read, nearest
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Described
from esnsim.machines.named.events import (
    AMPLITUDE,
    CONVERSIONS,
    DRIVES,
    INPUT_POWER,
    INPUTS,
    OUTPUTS,
    PARTIAL_SUMS,
    READS,
    REGISTER_CYCLES,
    REGISTER_STEPS,
    WEIGHTS,
)
from esnsim.machines.named.memory import LEVELS
from esnsim.units import Energy, read_energy


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Energies in pJ at a node, None where nobody published them.

    Of a one-bit multiplier in a cycle: `active`, `idle`, and `stalled` while memory is waited for.
    Registers of a lane: `row` in a cycle, `window` in a step. A bit read from the buffer or written
    to it, by operand; a partial sum is both. Of analog machines: an `array_read`, or of machines
    whose cells take what they hold a `cell` at |W| = 1 and at the largest input, a `conversion`
    with its shift and add, a `drive` of a row.
    `own` are fields that machines of these names have instead.
    """

    source: str
    assumed: str = ""
    nm: int = 0
    active: float | None = None
    idle: float | None = None
    stalled: float = 0.0
    row: float = 0.0
    window: float = 0.0
    weight_read: float = 0.0
    input_read: float = 0.0
    output_read: float = 0.0
    output_write: float = 0.0
    array_read: float | None = None
    cell: float | None = None
    conversion: float | None = None
    drive: float = 0.0
    own: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ENERGIES:
            value = getattr(self, name)
            if value is not None and not (isfinite(value) and value >= 0):
                raise UsageError(f"a price {name} = {value}: give 0 or more, as 50fJ")
        if (self.active is None) != (self.idle is None):
            raise UsageError("active and idle multipliers are priced together: give both")

    def of(self, name: str, machine: Described, count: Count, bits: int) -> "Parts | None":
        """Energy by part of what a layer took, on activations of `bits` bits.

        None where the node has no price for the machine of this name.
        """
        own: dict[str, Any] = dict(self.own.get(name, {}))
        prices = replace(self, own={}, **own)
        multipliers = machine.multipliers
        parts = (
            prices._cells(count.events, machine.full_power(bits))
            if multipliers is None
            else prices._units(count, multipliers)
        )
        if parts is None:
            return None
        partial = (prices.output_read + prices.output_write) / 2
        buffer = {
            WEIGHTS: prices.weight_read, INPUTS: prices.input_read,
            OUTPUTS: prices.output_write, PARTIAL_SUMS: partial,
        }  # fmt: skip
        moved = (count.events.get(event, 0) * price for event, price in buffer.items())
        return parts | {"buffer": sum(moved)}

    def _units(self, count: Count, multipliers: int) -> "Parts | None":
        """One-bit multipliers and registers: unit-cycles are shares of all multiplier cycles."""
        if self.active is None or self.idle is None:
            return None
        each = multipliers * count.cycles / count.slots if count.slots else 0.0
        stalled = sum(count.idle.get(level, 0) for level in LEVELS)
        idle = count.slots - count.active - stalled
        registers = {REGISTER_CYCLES: self.row, REGISTER_STEPS: self.window}
        return {
            "active": each * count.active * self.active,
            "idle": each * (idle * self.idle + stalled * self.stalled),
            "registers": sum(count.events.get(name, 0) * p for name, p in registers.items()),
        }

    def _cells(self, events: Mapping[str, int], full_power: int) -> "Parts | None":
        """Cells, converters and drivers."""
        cell = self.cell
        spent = {
            READS: ("cells", self.array_read),
            AMPLITUDE: ("cells", None if cell is None else cell / 4),
            INPUT_POWER: ("cells", None if cell is None else cell / full_power),
            CONVERSIONS: ("converters", self.conversion),
            DRIVES: ("drivers", self.drive),
        }
        parts = {"cells": 0.0, "converters": 0.0, "drivers": 0.0}
        for event, (part, price) in spent.items():
            if event in events:
                if price is None:
                    return None
                parts[part] += events[event] * price
        return parts


#: pJ by part.
Parts = dict[str, float]
ENERGIES = tuple(f.name for f in fields(Prices) if f.name not in ("source", "assumed", "nm", "own"))

#: BitSim's constants are before place and route, which it puts on top of all as a factor.
ROUTED = 1.5
#: One-bit multipliers of a processing element of BitSim: 8 by 8 bits a cycle.
ELEMENT = 64


def _bitsim(element: float, row: float, window: float, lanes: int) -> dict[str, float]:
    """BitSim's constants of an element, and per lane of its row and its column of `lanes` lanes."""
    unit = ROUTED * element / ELEMENT
    return {
        "active": unit, "idle": unit,
        "row": ROUTED * row / lanes, "window": ROUTED * (window + 0.072625) / lanes,
    }  # fmt: skip


NOTHING = dict.fromkeys(
    ("row", "window", "weight_read", "input_read", "output_read", "output_write"), 0.0
)
STRIPES = _bitsim(0.28125, 0.46, 0.53, 8)
CORE_MULTIPLIERS = 16 * 32 * 64  # of Bit Fusion
WAVE = 8.938e3 / 71.4 / (4 * 32 * 32 * 8)  # pJ of a one-bit multiplier of BitWave a cycle

#: By node.
NODES: Mapping[str, Prices] = {
    "45nm": Prices(
        source="hsharma35/bitfusion@04ec1c8: 235.104 pJ a cycle of its core, 30.376 mW of leakage "
        "at 500 MHz, on 16 × 32 × 64 one-bit multipliers; SRAM by CACTI 7 (128 B, 2 KB, 512 B)",
        assumed="a multiplier of any machine is Bit Fusion's, registers in it, busy or not; while "
        "memory is waited for it leaks",
        nm=45,
        active=235.104 / CORE_MULTIPLIERS,
        idle=235.104 / CORE_MULTIPLIERS,
        stalled=30.376 / 0.5 / CORE_MULTIPLIERS,
        weight_read=0.021365,
        input_read=0.059474,
        output_read=0.033155,
        output_write=0.073084,
        own={"ideal-digital": NOTHING},
    ),
    "32nm": Prices(
        source="ISAAC (Shafiee et al. 2016) as three open code bases have it; eDRAM and bus by "
        "hwcomponents-library@8b56f7e",
        assumed="PUMA's arrays at ISAAC's prices; a cell at |W| = 1 takes ISAAC's 1.83 fJ",
        nm=32,
        array_read=30.0,
        cell=0.00183,
        conversion=1.667 + 0.021,
        drive=0.39,
        input_read=20.444 / 256 + 0.054,
        output_write=20.444 / 256 + 0.054,
    ),
    "28nm": Prices(
        source="yc2367/BitSim@6845fad: elements, registers and dispatchers × 1.5 for place and "
        "route; SRAM by CACTI (128 KB, 128 bits)",
        assumed="a multiplier, busy or not, and the registers of a lane are Stripes' where a "
        "machine has none of its own there (Pragmatic, Bitlet, BitVert; of BitWave the "
        "multiplier); none takes anything while memory is waited for, as there",
        nm=28,
        **STRIPES,
        weight_read=26.0059 / 128,
        input_read=26.0059 / 128,
        output_read=26.0059 / 128,
        output_write=23.6456 / 128,
        own={
            "pragmatic-weights": _bitsim(0.41375, 0.763, 0.53, 8),
            "bitlet": _bitsim(0.2925, 1.1325, 1.054, 16),
            "bitwave": _bitsim(0.2475, 0.46, 0.53, 8),
            "bitvert": _bitsim(0.25, 1.205, 1.06, 16),
            "bitvert-bits": _bitsim(0.25, 1.205, 1.06, 16),
            "ideal-digital": NOTHING,
        },
    ),
    "16nm": Prices(
        source="BitWave (arXiv:2507.12444), measured: 8.94 mW at 71.4 MHz, within 1.3 % the same "
        "whatever it skips, on 4 × 32 × 32 × 8 one-bit multipliers",
        assumed="the whole chip, buffers and registers in it, by the multiplier and the cycle",
        nm=16,
        active=WAVE,
        idle=WAVE,
        stalled=WAVE,
    ),
}


def find_prices(name: str) -> Prices:
    """The prices of a node or of a file. Raises UsageError, EsnsimError."""
    return named_or_read(name, "node", NODES, "--node", PRICES, _read)


def _read(kind: str, values: dict[str, Any]) -> Prices:
    """Prices of a file: energies with their unit; `preset` names a node to start from."""
    start = Prices(source="your own")
    if "preset" in values:
        start = find_known("node", values.pop("preset"), NODES)
    for key, value in values.items():
        if key in PLAIN:
            continue
        if key not in ENERGIES:
            raise UsageError(f"no price '{key}': {nearest(key, (*ENERGIES, *PLAIN))}")
        values[key] = _picojoules(key, value)
    return replace(start, **values)


def _picojoules(key: str, value: object) -> float:
    found = read_energy(value) if isinstance(value, str) else Energy(0.0, False)
    if not found.picojoules:
        raise UsageError(f"{key} = {value!r} is in no unit: give an energy such as '50fJ'")
    return found.amount
