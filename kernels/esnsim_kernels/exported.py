"""Object code of the passes over float32 weights, for processes that do not load Numba.

It needs nothing of Numba's runtime and is called by pointers (ENTRIES): the kernels raise nothing
and take their working memory from the caller. LLVM sees that once nothing else is exported.
"""

import llvmlite.binding as llvm
from numba import carray, cfunc

from esnsim_kernels import magnitude, midrise

__all__ = ["object_code"]

LARGEST_TYPES = "void(CPointer(float32), int64, int64, CPointer(float64))"
STATISTICS_TYPES = (
    "void(CPointer(float32), int64, int64, CPointer(float64), CPointer(int64), int64,"
    " CPointer(int64), CPointer(float64), CPointer(float64), CPointer(int32))"
)


def _largest(weights, filters, size, out):
    """Weights (filters, size), out (filters,): see `magnitude.largest`."""
    magnitude.largest(carray(weights, (filters, size)), carray(out, filters))


def _statistics(weights, filters, size, step, limit, keep_zeros, counts, energies, floats, codes):
    """As `midrise.statistics`, with memory for FLOATS and CHUNK numbers."""
    midrise.sums(
        carray(weights, (filters, size)), carray(step, filters), carray(limit, filters),
        keep_zeros != 0, carray(counts, (filters, 6)), carray(energies, (filters, 2)),
        carray(floats, midrise.FLOATS), carray(codes, midrise.CHUNK),
    )  # fmt: skip


ENTRIES = {"largest": (LARGEST_TYPES, _largest), "statistics": (STATISTICS_TYPES, _statistics)}


def object_code():
    """An object file for this processor, in bytes, with the names of ENTRIES."""
    target = llvm.Target.from_default_triple()
    features = llvm.get_host_cpu_features().flatten()
    machine = target.create_target_machine(
        llvm.get_host_cpu_name(), features, opt=3, reloc="pic", codemodel="default"
    )
    whole = llvm.parse_assembly("")
    for name, (signature, function) in ENTRIES.items():
        whole.link_in(_module(name, cfunc(signature)(function)))
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(whole, builder)
    return machine.emit_object(whole)


def _module(name, compiled):
    """The module of a compiled function, which alone can be seen from outside, by a name."""
    module = llvm.parse_assembly(compiled.inspect_llvm())
    for function in module.functions:
        if function.name == compiled.native_name:
            function.name = name
        elif not function.is_declaration:
            function.linkage = "internal"
    return module
