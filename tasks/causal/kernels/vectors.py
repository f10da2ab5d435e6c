"""Sixty-four floats at a time: LLVM vectors for numba.

A loop that keeps its sums in registers cannot be written with arrays: LLVM leaves them in memory.
A value of type `Lanes` is one LLVM vector of 64 float32, which the compiler cuts into as many
registers as the machine has (four with AVX-512, eight with AVX2, sixteen with NEON or SSE).
No operation is contracted or reordered, so that results equal NumPy's float32 to the bit, except
`multiply_add`, which rounds once by definition.
"""

from collections.abc import Callable, Sequence

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

LANES = 64
"""Floats in one vector, and bits in the mask of a comparison."""

CACHE_LINE = 64
"""Bytes of a cache line: where arrays of such vectors should begin."""

_VECTOR = ir.VectorType(ir.FloatType(), LANES)


class Lanes(types.Type):
    """numba's name for a vector of 64 float32."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


lanes = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):  # type: ignore[no-untyped-def]
        super().__init__(manager, kind, _VECTOR)


def compiled[F: Callable[..., object]](function: F) -> F:
    """Compile without the GIL; keep the machine code on disk where a folder allows it."""
    try:
        fast: F = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no folder to write to (a read-only installation)
        fast = njit(nogil=True)(function)
    return fast


def inner[F: Callable[..., object]](function: F) -> F:
    """Compile a function that only compiled functions call: part of them, and of their cache."""
    fast: F = njit(nogil=True)(function)
    return fast


def _address(context, builder, array_type, array, index):  # type: ignore[no-untyped-def]
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _splat(builder, value, vector):  # type: ignore[no-untyped-def]
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, everywhere)


def _bits(builder, mask):  # type: ignore[no-untyped-def]
    return builder.bitcast(mask, ir.IntType(mask.type.count))


@intrinsic
def load(typing_context, array, index):  # type: ignore[no-untyped-def]
    """Return array[index : index + 64] of a C-contiguous float32 array; unchecked."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        where = context.cast(builder, args[1], signature.args[1], types.intp)
        address = _address(context, builder, signature.args[0], args[0], where)
        return builder.load(address, align=4)

    return lanes(array, index), generate


@intrinsic
def store(typing_context, array, index, value):  # type: ignore[no-untyped-def]
    """Write `value` to array[index : index + 64]; unchecked."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        where = context.cast(builder, args[1], signature.args[1], types.intp)
        address = _address(context, builder, signature.args[0], args[0], where)
        builder.store(args[2], address, align=4)
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def fill(typing_context, value):  # type: ignore[no-untyped-def]
    """Return a vector that holds the float32 `value` 64 times."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _splat(builder, args[0], _VECTOR)

    return lanes(types.float32), generate


def _arithmetic(operation: str):  # type: ignore[no-untyped-def]
    @intrinsic
    def combine(typing_context, left, right):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return getattr(builder, operation)(*args)

        return lanes(lanes, lanes), generate

    return combine


add = _arithmetic("fadd")
subtract = _arithmetic("fsub")
multiply = _arithmetic("fmul")


@intrinsic
def multiply_add(typing_context, left, right, addend):  # type: ignore[no-untyped-def]
    """Return left * right + addend, rounded once."""

    def generate(context, builder, signature, args: Sequence[ir.Value]):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
        return builder.call(function, args)

    return lanes(lanes, lanes, lanes), generate


@intrinsic
def mask_at_most(typing_context, left, right):  # type: ignore[no-untyped-def]
    """Return a bit a lane, set where left <= right; never set for NaN."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _bits(builder, builder.fcmp_ordered("<=", args[0], args[1]))

    return types.uint64(lanes, lanes), generate


@intrinsic
def lowest_bit(typing_context, mask):  # type: ignore[no-untyped-def]
    """Return the position of the lowest set bit; undefined for zero."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def count_bits(typing_context, mask):  # type: ignore[no-untyped-def]
    """Return how many bits are set."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


def _counter(comparison: str, width: int):  # type: ignore[no-untyped-def]
    """Return a function that counts how many of `width` floats compare so with a value."""

    @intrinsic
    def count(typing_context, array, start, value):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
            vector = ir.VectorType(ir.FloatType(), width)
            first = context.cast(builder, args[1], signature.args[1], types.intp)
            data = context.make_array(signature.args[0])(context, builder, args[0]).data
            address = builder.bitcast(builder.gep(data, [first]), vector.as_pointer())
            mask = builder.fcmp_ordered(
                comparison, builder.load(address, align=4), _splat(builder, args[2], vector)
            )
            return builder.zext(builder.ctpop(_bits(builder, mask)), ir.IntType(64))

        return types.int64(array, start, types.float32), generate

    return count


count_below_32, count_below_64 = _counter("<", 32), _counter("<", 64)
"""How many of array[start : start + 32] (64) are less than a value; unchecked."""

count_at_most_16, count_at_most_32, count_at_most_64 = (_counter("<=", n) for n in (16, 32, 64))
"""How many of array[start : start + 16] (32, 64) are at most a value; unchecked."""


@intrinsic
def minimum(typing_context, left, right):  # type: ignore[no-untyped-def]
    """Return the smaller of each pair; `right` where `left` is NaN."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        smaller = builder.fcmp_ordered("<", args[0], args[1])
        return builder.select(smaller, args[0], args[1])

    return lanes(lanes, lanes), generate


@intrinsic
def bits_of_float(typing_context, value):  # type: ignore[no-untyped-def]
    """Return the 32 bits of a float32, as uint64; they sort as the value does if it is >= 0."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.zext(builder.bitcast(args[0], ir.IntType(32)), ir.IntType(64))

    return types.uint64(types.float32), generate


@intrinsic
def float_of_bits(typing_context, bits):  # type: ignore[no-untyped-def]
    """Undo `bits_of_float`."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.bitcast(builder.trunc(args[0], ir.IntType(32)), ir.FloatType())

    return types.float32(types.uint64), generate


@intrinsic
def two_to(typing_context, rounded):  # type: ignore[no-untyped-def]
    """Return 2^n for the whole number n from -126 to 127 in the lowest bits of a float32."""

    def generate(context, builder, signature, args):  # type: ignore[no-untyped-def]
        word = ir.IntType(32)
        n = builder.shl(builder.bitcast(args[0], word), ir.Constant(word, 23))
        return builder.bitcast(builder.add(n, ir.Constant(word, 0x3F800000)), ir.FloatType())

    return types.float32(types.float32), generate


ZERO = np.float32(0)
