"""Vectors of eight 32-bit integers in Numba, each two halves of 16 bits whose products add up.

One instruction, pmaddwd of AVX2, multiplies and adds sixteen halves; LLVM does not find it in a
loop. Elsewhere the same is written out and vectorised as the CPU can.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, register_model

__all__ = ["LANES", "add_products", "broadcast", "load", "store"]

LANES = 8
WORD, HALF = ir.IntType(32), ir.IntType(16)
WORDS, HALVES = ir.VectorType(WORD, LANES), ir.VectorType(HALF, 2 * LANES)


class Vector(types.Type):
    """Eight int32."""

    def __init__(self):
        super().__init__(name=f"int32x{LANES}")


vector = Vector()


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector register."""

    def __init__(self, manager, kind):
        super().__init__(manager, kind, WORDS)


@intrinsic
def load(typing, words, i):
    """Eight elements of a C-contiguous int32 array, flat, from element i on."""

    def generate(context, builder, signature, arguments):
        loaded = builder.load(address(context, builder, signature, arguments))
        loaded.align = 4
        return loaded

    return vector(words, types.uint64), generate


@intrinsic
def store(typing, words, i, value):
    """Write eight elements of a C-contiguous int32 array, flat, from element i on."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], address(context, builder, signature, arguments)).align = 4
        return context.get_dummy_value()

    return types.void(words, types.uint64, vector), generate


@intrinsic
def broadcast(typing, word):
    """An int32 in all eight places."""

    def generate(context, builder, signature, arguments):
        none = ir.Constant(WORDS, ir.Undefined)
        first = builder.insert_element(none, arguments[0], WORD(0))
        return builder.shuffle_vector(first, none, ir.Constant(WORDS, [0] * LANES))

    return vector(types.int32), generate


@intrinsic
def add_products(typing, total, a, b):
    """total + low half of a · low half of b + high half of a · high half of b, all signed."""

    def generate(context, builder, signature, arguments):
        total, *factors = arguments
        halves = [builder.bitcast(factor, HALVES) for factor in factors]
        if "+avx2" in context.codegen().magic_tuple()[2]:
            kind = ir.FunctionType(WORDS, [HALVES, HALVES])
            name = "llvm.x86.avx2.pmadd.wd"
            multiply = builder.module.declare_intrinsic(name, (), kind)
            return builder.add(total, builder.call(multiply, halves))
        return multiply_halves(builder, total, halves)

    return vector(vector, vector, vector), generate


def multiply_halves(builder, total, halves):
    """The same for any CPU: the low halves sign-extended and multiplied, then the high ones."""
    for start in (0, 1):
        places = ir.Constant(WORDS, list(range(start, 2 * LANES, 2)))
        a, b = (builder.sext(builder.shuffle_vector(h, h, places), WORDS) for h in halves)
        total = builder.add(total, builder.mul(a, b))
    return total


def address(context, builder, signature, arguments):
    """Pointer to a vector from element arguments[1] of the array arguments[0] on."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(builder.gep(array.data, [arguments[1]]), WORDS.as_pointer())
