"""Sums of products of 16-bit integers, two to a word: quads of columns times panels of lanes.

One instruction, pmaddwd of AVX2, multiplies and adds sixteen halves of eight words; LLVM does not
find it in a loop. Elsewhere the same is written out and vectorised as the CPU can. The eight sums
of a quad and a panel, of two vectors, stay in registers.
"""

from llvmlite import ir
from numba import njit, types, uint64
from numba.extending import intrinsic, models, register_model

__all__ = ["PANEL", "QUAD", "multiply"]

LANES = 8
PANEL, QUAD = 2 * LANES, 4
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


@njit(nogil=True, error_model="numpy")
def multiply(words, panel, constants, sums, at):
    """sums[i, at + lane] = constants[i] + Σ of the products of words[pair, i], panel[pair, lane].

    words (pairs, QUAD), panel (pairs, PANEL), constants (QUAD,), sums (QUAD, lanes), all int32.
    """
    a0 = a1 = broadcast(constants[0])
    b0 = b1 = broadcast(constants[1])
    c0 = c1 = broadcast(constants[2])
    d0 = d1 = broadcast(constants[3])
    place = uint64(0)
    for pair in range(len(words)):
        x0, x1 = load(panel, place), load(panel, place + uint64(LANES))
        place += uint64(PANEL)
        w = broadcast(words[pair, 0])
        a0, a1 = add_products(a0, w, x0), add_products(a1, w, x1)
        w = broadcast(words[pair, 1])
        b0, b1 = add_products(b0, w, x0), add_products(b1, w, x1)
        w = broadcast(words[pair, 2])
        c0, c1 = add_products(c0, w, x0), add_products(c1, w, x1)
        w = broadcast(words[pair, 3])
        d0, d1 = add_products(d0, w, x0), add_products(d1, w, x1)
    at, pitch = uint64(at), uint64(sums.shape[1])
    store(sums, at, a0), store(sums, at + uint64(LANES), a1)
    at += pitch
    store(sums, at, b0), store(sums, at + uint64(LANES), b1)
    at += pitch
    store(sums, at, c0), store(sums, at + uint64(LANES), c1)
    at += pitch
    store(sums, at, d0), store(sums, at + uint64(LANES), d1)
