"""Machines by name against what others published, for `esnsim selftest` and the tests."""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from esnsim.machines.base import Activations
from esnsim.machines.named.catalog import machine
from esnsim.machines.named.counts import Count
from esnsim.machines.named.description import Described
from esnsim.machines.named.lanes import Lanes
from esnsim.machines.named.memories import MEMORIES
from esnsim.machines.named.prices import NODES
from esnsim.machines.named.systolic import Systolic
from esnsim.machines.named.work import Groups, Work, work_of
from esnsim.machines.random_layers import stored_layer
from esnsim.machines.windows import addresses
from esnsim.model.network import Codes, Geometry

GOLDENS = Path(__file__).parent / "goldens"
Ints = NDArray[Any]
DATAFLOWS = {"ws": "weight-stationary", "is": "input-stationary", "os": "output-stationary"}
TOLERANCE = 0.052  # of BitWave's measured bars
HEADLINES = 0.003  # of BISMO's and ISAAC's, which are rounded to three digits
ENDS = 1508  # cycles of Bit Fusion's first and last tile, at most


@cache
def golden(name: str) -> Any:
    """A file of published numbers."""
    return json.loads((GOLDENS / f"{name}.json").read_text("utf-8"))


def weights(channels: int = 32) -> Ints:
    """w[f, c, x, y] of dnnsim.json, whose windows go x fastest: rows of the plane are y."""
    f, c, i, j = np.indices((32, channels, 3, 3))
    most = 2 ** (1 + f % 7) - 1
    k: Ints = ((7 * f + 3 * c + 5 * i + 11 * j) % (2 * most + 1) - most).swapaxes(2, 3)
    return k


def activations(channels: int = 32) -> Ints:
    """a[c, x, y] of dnnsim.json."""
    c, x, y = np.indices((channels, 8, 8))
    a: Ints = (((13 * c + 5 * x + 3 * y) % 256) >> (c % 4)).swapaxes(1, 2)
    return a


def plane(groups: int = 1) -> Geometry:
    """Its 3 × 3 kernel over 8 × 8 with a border."""
    return Geometry(1, (8, 8), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), groups)


def work(values: Ints, x: Ints, geometry: Geometry) -> Work:
    """8-bit integers of weights and activations as machines read them."""
    stored = Codes(8, False, False, lambda: np.ones(len(values), np.float32))
    return work_of(stored_layer(values, geometry, stored), Activations(x[None].astype(np.uint8)))


@cache
def layer(name: str) -> Work:
    """A layer of BitSim's: dnnsim.json's, that of 3 channels, a depthwise one, a matrix."""
    return LAYERS[name]()


LAYERS: dict[str, Callable[[], Work]] = {
    "toy": lambda: work(weights(), activations(), plane()),
    "first": lambda: work(weights(3), activations(3), plane()),
    "dw": lambda: work(weights(1), activations(), plane(32)),
    "fc": lambda: work(weights()[:, :, 0, 0], activations()[:, 0, 0], Geometry()),
}


def of(shape: Geometry, channels: int, filters: int, bits: int, width: int, images: int) -> Work:
    """Work of a shape alone: machines that ask for widths see no values."""
    taps = int(np.prod(shape.kernel))
    zeros = np.broadcast_to(np.int8(0), (1, filters, taps, channels))
    alike = Groups(zeros, zeros, zeros[:, :0], np.full((1, filters), width), zeros[:, 0])
    base, offsets = addresses(shape, shape.rows * images)
    return Work(
        geometry=shape,
        groups=(alike,),
        channels=channels,
        base=base,
        offsets=offsets,
        images=images,
        activation_bits=bits,
        signed=False,
    )


def square(side: int, kernel: int) -> Geometry:
    """A kernel over a plane that leaves side × side outputs."""
    size, ones = (side + kernel - 1,) * 2, (1, 1)
    return Geometry(1, size, (kernel, kernel), ones, ones, ((0, 0),) * 2)


def sized(name: str, **fields: Any) -> Described:
    """The machine of a name with other fields."""
    changed: Described = replace(machine(name), **fields)
    return changed


def dnnsim(grid: dict[str, Any]) -> dict[str, int]:
    """Cycles of DNNsim's machines on a grid of its size."""
    sizes = {side: grid[side] for side in ("rows", "lanes", "windows")}
    named = {name: "loom" if name == "loom-dynamic" else name for name in grid["cycles"]}
    return {key: sized(name, **sizes).count(layer("toy")).cycles for key, name in named.items()}


def bitfusion(row: list[Any]) -> int:
    """Cycles of a layer of Bit Fusion's own sweep, a batch of 16."""
    _, channels, filters, side, kernel, bits, width, _, _ = row
    given = of(square(side, kernel), channels, filters, bits, width, 16)
    return machine("bitfusion").count(given).cycles


def scalesim(row: dict[str, Any]) -> Count:
    """What a product M × K by K × N takes on a grid, of its size or 32 × 32."""
    dataflow = DATAFLOWS.get(row["dataflow"], row["dataflow"])
    sizes = {"rows": row.get("rows", 32), "columns": row.get("columns", 32)}
    given = of(Geometry(row["M"]), row["K"], row["N"], 8, 8, 1)
    return Systolic(**sizes, dataflow=dataflow).count(given)


#: Columns of BitSim's rows, and the machine of each; others have the defaults of lanes.
BITSIM: dict[str, dict[str, Any]] = {
    "stripes_8b": {"weight": "stored"},
    "pragmatic": {"preset": "pragmatic-weights"},
    "bitlet": {"preset": "bitlet"},
    "bitvert_no_bbs": {"preset": "bitvert-bits"},
    "bitvert_bbs_8b": {"weight": "stored"},
    "bitwave_hw_magnitude_columns": {"preset": "bitwave", "step_extra": 0.0, "zero_extra": 0.0},
    "bitwave_no_flip": {
        "weight": "columns", "encoding": "sign bit", "least_weight": 0,
    },
}  # fmt: skip


def bitsim(row: dict[str, Any]) -> dict[str, int]:
    """Cycles of BitSim's machines on a layer.

    Stored columns of 6 and 4 bits are those shares of 8; `no_flip` takes one off each step.
    """
    sizes = {side: row[side] for side in ("rows", "lanes", "windows")}
    common = {**sizes, "order": "channel", "run": "row", "stored": "layer"}
    given, found = layer(row["layer"]), {}
    for column, fields in BITSIM.items():
        start, changes = fields.get("preset"), {k: v for k, v in fields.items() if k != "preset"}
        each = sized(start, **common, **changes) if start else Lanes(**common, **changes)
        found[column] = each.count(given).cycles
    steps = Lanes(**common, weight="one").count(given).cycles
    found["bitwave_no_flip"] -= steps
    return found | {"bitvert_all_6b": 6 * steps, "bitvert_all_4b": 4 * steps}


def bitwave(zero: int) -> tuple[Work, Count]:
    """The layer of BitWave's bars with `zero` zero columns, and what it takes."""
    geometry = Geometry(1, (28, 28), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    values = np.full((128, 128, 3, 3), (1 << 7 - zero) - 1)
    values[0, 0, 0, 0] = 64  # the layer keeps its 8 bits
    given = work(values, np.zeros((128, 28, 28), np.uint8), geometry)
    return given, machine("bitwave").count(given)


def bitwave_btops(zero: int) -> float:
    """BTOPS at its clock, of two operations of 64 bits a MAC."""
    silicon = golden("machines_extra")["bitwave_silicon"]
    steps = bitwave(zero)[1].cycles / (28 * 7 * 4 * 9 * 4)
    return float(2 * 64 * silicon["units_one_bit"] * silicon["clock_mhz"] * 1e6 / steps / 1e12)


def scnn(row: dict[str, Any]) -> tuple[int, int, int]:
    """Cycles of SCNN without bank conflicts and with them, and its products."""
    sizes = {"side": row["pe_columns"], "accumulator": row["accumulator"]}
    found = sized("scnn", **sizes, activations=row["I"], weights=row["F"])
    count = found.count(layer("toy"))
    banked = replace(found, banks=row["banks"])
    return count.cycles, banked.count(layer("toy")).cycles, count.active


def bittactical(row: dict[str, Any]) -> tuple[int, int]:
    """Lines that BitTactical's front end keeps of the layer's, and all of them."""
    values, keep = weights(), row["keep_one_in"]
    if keep:
        values = np.where(np.indices(values.shape).sum(axis=0) % keep, 0, values)
    sizes = {"rows": row["rows"], "lanes": row["lanes"], "windows": 64}
    search = {"lookahead": row["lookahead_h"], "lookaside": row["lookaside_d"]}
    given = work(values, activations(), plane())
    kept, lines = sized("bittactical", **sizes, **search), sized("dadiannao", **sizes)
    return kept.count(given).cycles, lines.count(given).cycles


def puma(row: dict[str, Any]) -> float:
    """ns of a product: 12.5 ns a bit of the converter for the 8 crossbars that share it."""
    each = {"dac_bits": row["dac_bits"], "cell_bits": row["cell_bits"]}
    given = of(Geometry(), 128, 128, row["activation_bits"], row["weight_bits"], 1)
    read: float = 1e9 / machine("puma").hertz * row["adc_bits"] / 8
    return sized("puma", **each).count(given).cycles * read


def bismo(row: dict[str, Any]) -> int:
    """Cycles of a product on BISMO."""
    sizes = {"rows": row["Dn"], "lanes": row["Dk"], "windows": row["Dm"]}
    left, right = row["bits"]
    given = of(Geometry(row["M"]), row["K"], row["N"], left, right, 1)
    return sized("bismo", **sizes).count(given).cycles


def bismo_tops() -> float:
    """Binary TOPS of BISMO on an Ultra96, 10 × 256 × 10 at 300 MHz, on a product that fills it."""
    given = of(Geometry(40), 1024, 40, 1, 1, 1)
    cycles = sized("bismo", rows=10, lanes=256, windows=10).count(given).cycles
    return 2 * given.macs / cycles * 0.3e9 / 1e12


def isaac_mac() -> float:
    """pJ of a MAC of 16 by 16 bits on ISAAC: a full array of 16 filters, without its buffers."""
    given = of(Geometry(), 128, 16, 16, 16, 1)
    parts = NODES["32nm"].of("isaac", machine("isaac"), machine("isaac").count(given), 16)
    assert parts is not None
    return (sum(parts.values()) - parts["buffer"]) / given.macs


def bitfusion_wait(row: dict[str, Any]) -> tuple[int, int]:
    """Cycles of a layer behind Bit Fusion's memory, and what its sweep takes longer."""
    work = row["cycles"] - row["memory_wait"]
    moved = row["dram_read_bits"] + row["dram_write_bits"]
    count = Count(cycles=work, slots=work, active=work)
    cycles = work + MEMORIES["bitfusion"].wait(count, moved).cycles
    return cycles, row["cycles"] - cycles


def check_headlines() -> str:
    """Headlines that follow from a mapping: BISMO's rate, ISAAC's energy of a MAC."""
    rows = {row["machine"].split(",")[0]: row["value"] for row in golden("headlines")["rows"]}
    found = {"BISMO": bismo_tops(), "ISAAC": isaac_mac()}
    off = max(abs(value / rows[name] - 1) for name, value in found.items())
    same("headlines within the tolerance", off < HEADLINES, True)
    told = f"{found['BISMO']:.2f} binary TOPS, {found['ISAAC']:.3f} pJ a MAC"
    return f"{told}: within {off:.2%}"


def check_memory() -> str:
    """Layers of Bit Fusion that wait for its memory, but for their first and last tile."""
    rows = golden("machines_extra")["bitfusion_memory"]["rows"]
    more = [bitfusion_wait(row)[1] for row in rows]
    same("transfers of the first and last tile", min(more) >= 0 and max(more) <= ENDS, True)
    return f"{len(rows)} rows within their first and last tile, at most {max(more):,} cycles"


def check_dnnsim() -> str:
    """Each grid of DNNsim's."""
    grids = golden("dnnsim")["grids"]
    return _met((f"DNNsim, {grid['rows']} rows", dnnsim(grid), grid["cycles"]) for grid in grids)


def check_bitfusion() -> str:
    """Each layer of Bit Fusion's."""
    rows = golden("bitfusion")["rows"]
    return _met((f"Bit Fusion, {row[0]}", bitfusion(row), row[7]) for row in rows)


def check_scalesim() -> str:
    """Each golden trace of SCALE-Sim's."""
    return _met(_scalesim_rows(golden("scalesim")["rows"]))


def check_bitwave() -> str:
    """BitWave's measured bars, within the tolerance of their fit."""
    bars = golden("bitwave")
    off = [
        abs(bitwave_btops(zero) / bar - 1)
        for zero, bar in zip(bars["zero_columns"], bars["btops"], strict=True)
    ]
    same("bars within the tolerance", max(off) < TOLERANCE, True)
    return f"{len(off)} bars within {max(off):.1%}"


def check_others() -> str:
    """BitSim, SCALE-Sim, SCNN, BitTactical, PUMA and BISMO, row by row."""
    extra = golden("machines_extra")
    seen, lines = ("cycles_without_bank_conflicts", "cycles", "mults"), ("lines_kept", "lines")
    return _met([
        *_scalesim_rows(extra["scalesim"]["rows"]),
        *(("BitSim", found, {column: row[column] for column in found})
          for row in extra["bitsim"]["rows"] for found in [bitsim(row)]),
        *(("SCNN", scnn(row), tuple(row[key] for key in seen)) for row in extra["scnn"]["rows"]),
        *(("BitTactical", bittactical(row), tuple(row[key] for key in lines))
          for row in extra["bittactical"]["rows"]),
        *(("PUMA", puma(row), row["ns"]) for row in extra["puma"]["rows"]),
        *(("BISMO", bismo(row), row["cycles"]) for row in extra["bismo"]["rows"]),
    ])  # fmt: skip


def _scalesim_rows(rows: list[dict[str, Any]]) -> list[tuple[str, object, object]]:
    return [(f"SCALE-Sim, {r['dataflow']}", scalesim(r).cycles, r["cycles"]) for r in rows]


def _met(pairs: Iterable[tuple[str, object, object]]) -> str:
    """How many found and published figures are the same. Raises AssertionError where one is not."""
    number = 0
    for what, found, wanted in pairs:
        same(what, found, wanted)
        number += 1
    return f"{number} rows, exactly"


def same(what: str, found: object, wanted: object) -> None:
    """Raise AssertionError where two differ."""
    if found != wanted:
        raise AssertionError(f"{what}: {found}, but {wanted} is right")
