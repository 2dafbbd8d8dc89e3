"""The passes over float32 weights as object code, which Numba made once and LLVM loads without it.

Loading Numba takes near half a second, loading this a tenth of that. The file stands where Numba
keeps what it compiled: in NUMBA_CACHE_DIR, or in `__pycache__` beside the kernels. Its name tells
what it was made of and for: the source of the kernels, the version of LLVM, the processor.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from ctypes import CFUNCTYPE, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from esnsim.files.replace import replacing

Floats32 = NDArray[np.float32]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

POINTER, NUMBER = c_void_p, c_int64
ENTRIES = (
    ("largest", (POINTER, NUMBER, NUMBER, POINTER)),
    ("statistics", (POINTER, NUMBER, NUMBER, POINTER, POINTER, NUMBER, *(POINTER,) * 4)),
)
FLOATS, CODES = 640, 512  # of working memory, which the code takes from its caller
SOURCES = ("exported.py", "magnitude.py", "midrise.py")  # of esnsim_kernels
CHECK = 4  # bytes of a checksum before the code: a file that was damaged must not be run


@dataclass(frozen=True, slots=True)
class Passes:
    """Kernels of `esnsim_kernels.exported`; arrays are in C order. `engine` holds their code."""

    code: Mapping[str, Callable[..., None]]
    engine: object

    def largest(self, weights: Floats32, out: Floats) -> None:
        """out[m] = max |weights[m, :]|."""
        self.code["largest"](_at(weights), *weights.shape, _at(out))

    def statistics(
        self,
        weights: Floats32,
        step: Floats,
        limit: Ints,
        keep_zeros: bool,
        counts: Ints,
        energies: Floats,
    ) -> None:
        """Sums over the midrise codes of each row: see `esnsim_kernels.midrise.statistics`."""
        step, limit = np.require(step, float, "C"), np.require(limit, np.int64, "C")
        floats, codes = np.empty(FLOATS), np.empty(CODES, np.int32)
        self.code["statistics"](
            _at(weights), *weights.shape, _at(step), _at(limit), keep_zeros,
            _at(counts), _at(energies), _at(floats), _at(codes),
        )  # fmt: skip


@cache
def load() -> Passes | None:
    """The passes, or None where no file of them is there or it can't be loaded."""
    folder = _folder()
    if folder is None or not any(folder.glob(f"esnsim-{_source()}-*.o")):
        return None
    with suppress(OSError, RuntimeError):
        content = (folder / _name()).read_bytes()
        if _check(content[CHECK:]) == content[:CHECK]:
            return _linked(content[CHECK:])
    return None


def loaded() -> Passes | None:
    """What `load` found; None before it was called."""
    return load() if load.cache_info().currsize else None


def keep() -> None:
    """Make the file where none can be loaded and one may be written; needs seconds, and Numba."""
    folder = _folder()
    if load() is not None or folder is None or not os.access(folder, os.W_OK):
        return
    with suppress(OSError, RuntimeError):  # LLVM has no target where Numba is not to compile
        code = import_module("esnsim_kernels.exported").object_code()
        with replacing(folder / _name()) as file:
            file.write(_check(code) + code)
    load.cache_clear()


def _folder() -> Path | None:
    """Where the file stands; None where kernels are not files of their own."""
    kernels, given = _kernels(), os.environ.get("NUMBA_CACHE_DIR")
    return kernels and (Path(given) if given else kernels / "__pycache__")


@cache
def _kernels() -> Path | None:
    """The folder of the kernels, which are not imported: that would load Numba."""
    spec = find_spec("esnsim_kernels")
    found = Path(spec.origin).parent if spec and spec.origin else None
    return found if found and all((found / name).is_file() for name in SOURCES) else None


def _source() -> str:
    folder = _kernels()
    content = b"".join((folder / name).read_bytes() for name in SOURCES) if folder else b""
    return _check(content).hex()


def _name() -> str:
    import llvmlite
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    made_for = f"{llvmlite.__version__} {binding.get_host_cpu_name()} {features}"
    return f"esnsim-{_source()}-{_check(made_for.encode()).hex()}.o"


def _check(content: bytes) -> bytes:
    return crc32(content).to_bytes(CHECK, "big")


def _linked(content: bytes) -> Passes:
    from llvmlite import binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(content))
    engine.finalize_object()
    code = {name: CFUNCTYPE(None, *of)(engine.get_function_address(name)) for name, of in ENTRIES}
    return Passes(code, engine)


def _at(values: NDArray[Any]) -> int:
    """The address of values."""
    return values.ctypes.data
