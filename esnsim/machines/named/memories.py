"""Memories that have names, and those of files: sizes, bits a cycle and energies with units."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from esnsim.errors import UsageError, find_known
from esnsim.machines.files import MEMORY, PLAIN, named_or_read, nearest
from esnsim.machines.named.memory import Memory
from esnsim.units import read_bytes, read_energy, read_rate

MEMORIES: Mapping[str, Memory] = {
    "bitsim": Memory(
        source="yc2367/BitSim@6845fad: 288 + 256 KB, 128 bits a cycle, 1,000 pJ a 64 bits",
        weights=288 << 10, activations=256 << 10, dram_bits=128, dram_pj=15.625,
    ),
    "bitfusion": Memory(
        source="hsharma35/bitfusion@04ec1c8: 64 + 48 KB (32 of inputs, 16 of outputs, here taken "
        "together), 192 bits a cycle, 15 pJ a bit as in its code (its comment says 6); 512, 16 and "
        "32 banks of 32 bits",
        weights=64 << 10, activations=48 << 10, dram_bits=192, dram_pj=15.0,
        weight_port=512 * 32, input_port=16 * 32, output_port=32 * 32,
    ),
}  # fmt: skip


def find_memory(name: str, option: str = "--memory") -> Memory:
    """The memory of a name or of a file. Raises UsageError, EsnsimError."""
    return named_or_read(name, "memory", MEMORIES, option, MEMORY, _read)


def _read(kind: str, values: dict[str, Any]) -> Memory:
    """A memory of a file, each value with its unit; `preset` names one to start from."""
    start = None
    if "preset" in values:
        start = find_known("memory", values.pop("preset"), MEMORIES)
    told: dict[str, Any] = {"source": str(values.pop("source", "your own"))}
    for key, value in values.items():
        if key not in FIELDS:
            raise UsageError(f"no field '{key}': {nearest(key, (*FIELDS, *PLAIN))}")
        told |= FIELDS[key](key, str(value))
    if start is not None:
        return replace(start, **told)
    lacking = next((key for key in NEEDED if key not in values), None)
    if lacking:
        raise UsageError(f"a memory without {lacking}: give {lacking} = {NEEDED[lacking]}")
    return Memory(**told)


def _bytes(key: str, text: str) -> dict[str, object]:
    return {key: read_bytes(text)}


def _bits(key: str, text: str) -> dict[str, object]:
    number = text.strip().removesuffix("bits").strip()
    if text != IDEAL and (number == text.strip() or not number.isdecimal()):
        raise UsageError(f"{key} = {text!r} is no number of bits a cycle: give '128 bits'")
    return {key: None if text == IDEAL else int(number[:20])}


def _dram(key: str, text: str) -> dict[str, object]:
    if text.strip().lower().endswith("/s"):
        return {"dram_bits": None, "dram_rate": read_rate(text)}
    return {"dram_bits": _bits(key, text)[key], "dram_rate": None}


def _energy(key: str, text: str) -> dict[str, object]:
    found = read_energy(text)
    if not found.picojoules:
        raise UsageError(f"{key} = {text!r} is in no unit: give an energy such as '15pJ'")
    return {"dram_pj": found.amount}


IDEAL = "ideal"  # a port that gives as much as is asked for
#: What a file's keys mean.
FIELDS: Mapping[str, Callable[[str, str], dict[str, object]]] = {
    "weights": _bytes, "activations": _bytes, "dram": _dram, "dram_energy": _energy,
    "weight_port": _bits, "input_port": _bits, "output_port": _bits,
}  # fmt: skip
NEEDED = {
    "weights": "'64KB'", "activations": "'64KB'", "dram": "'128 bits' (a cycle) or '12.8GB/s'",
    "dram_energy": "'15pJ' (a bit)",
}  # fmt: skip
