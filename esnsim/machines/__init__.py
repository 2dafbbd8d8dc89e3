"""Layers on machines, bit for bit: outputs, counts, and what those cost.

`by_name()` are the accelerators that `esnsim machines` lists, `read(path)` one from a file; the
descriptions are classes, to be made with other fields.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esnsim.machines.array.spec import ArraySpec as ArraySpec
    from esnsim.machines.crossbar.spec import CrossbarSpec as CrossbarSpec
    from esnsim.machines.named.cartesian import Cartesian as Cartesian
    from esnsim.machines.named.catalog import machines as by_name
    from esnsim.machines.named.catalog import read_named as read
    from esnsim.machines.named.lanes import Lanes as Lanes
    from esnsim.machines.named.reads import Reads as Reads
    from esnsim.machines.named.systolic import Systolic as Systolic

__all__ = [
    "ArraySpec", "Cartesian", "CrossbarSpec", "Lanes", "Reads", "Systolic", "by_name", "read",
]  # fmt: skip
_HOMES = {
    "ArraySpec": "array.spec:ArraySpec", "CrossbarSpec": "crossbar.spec:CrossbarSpec",
    "Cartesian": "named.cartesian:Cartesian", "Lanes": "named.lanes:Lanes",
    "Reads": "named.reads:Reads", "Systolic": "named.systolic:Systolic",
    "by_name": "named.catalog:machines", "read": "named.catalog:read_named",
}  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'esnsim.machines' has no attribute '{name}'")
    home, _, known = _HOMES[name].partition(":")
    return getattr(import_module(f"esnsim.machines.{home}"), known)


def __dir__() -> list[str]:
    return sorted(__all__)
