"""Vectors of 16 numbers: seven words that numba lacks, for loops that keep their sums in registers.

A *register* is a place inside the processor; what stands there is at hand without any wait.  A processor of today holds
16 (AVX-512) or 8 (AVX2) numbers of single precision in one register, and multiplies and adds them all with a single
instruction.  Compilers seldom leave sums in registers through nested loops.  A kernel that says `load`, `spread`,
`fma` and `store` gives them no choice.

The NumPy bodies below say what each word means.  Compiled, a word is an instruction of LLVM, the compiler behind numba,
and a vector is one register of AVX-512, or two of AVX2.  Nothing checks an index: who says `load(b, k, j)` has made
sure that b[k, j] to b[k, j + 15] exist.
"""
import functools

import numpy as np

LANES = 16


def load(b, k, j):
    """The 16 numbers b[k, j:j + 16]."""
    return b[k, j:j + LANES].copy()


def store(v, c, i, j):
    """c[i, j:j + 16] = v."""
    c[i, j:j + LANES] = v


def spread(a, i, k):
    """The number a[i, k], 16 times."""
    return np.full(LANES, a[i, k])


def fma(x, y, s):
    """x y + s for each of 16 numbers: a *fused multiply-add*, which rounds once, at its end."""
    return x * y + s


def zeros():
    """16 zeros."""
    return np.zeros(LANES, np.float32)


def sum_up(v):
    """The sum of the 16 numbers."""
    return v.sum()


def transpose(b, j, k, c, t):
    """c[k:k + 16, t:t + 16] = b[j:j + 16, k:k + 16].T, in registers: 16 loads and 16 stores instead of 256."""
    c[k:k + LANES, t:t + LANES] = b[j:j + LANES, k:k + LANES].T


@functools.cache
def teach_numba():
    """Tell numba the words: the type of each one's result, and the instruction that it stands for."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import lower_builtin, models, register_model, type_callable

    number, index = ir.FloatType(), ir.IntType(32)
    register = ir.VectorType(number, LANES)

    class Vector(types.Type):
        def __init__(self):
            super().__init__("Vector of 16 float32")

    @register_model(Vector)
    class VectorModel(models.PrimitiveModel):
        def __init__(self, manager, numba_type):
            super().__init__(manager, numba_type, register)

    def address(context, builder, kind, array, i, j):
        """Where the vector begins whose first number is array[i, j]."""
        array = context.make_array(kind)(context, builder, array)
        return builder.bitcast(cgutils.get_item_pointer(context, builder, kind, array, [i, j]), register.as_pointer())

    def order(places):
        """Which numbers of two vectors a shuffle takes: 0 to 15 are those of the first, 16 to 31 of the second."""
        return ir.Constant(ir.VectorType(index, LANES), places)

    def word(function, result, *arguments):
        """The decorated function writes the instruction that `function` stands for, given its arguments' values."""
        type_callable(function)(lambda context: functools.wraps(function)(lambda *given: result))

        def decorate(emit):
            def instruction(context, builder, signature, values):
                if types.Array in arguments:    # array, i, j -> the address of array[i, j]
                    at = arguments.index(types.Array)
                    values = [*values[:at], address(context, builder, signature.args[at], *values[at:])]
                return emit(builder, *values)
            lower_builtin(function, *arguments)(instruction)
        return decorate

    def intrinsic(builder, name, result, arguments):
        return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)

    array_and_place = types.Array, types.Integer, types.Integer

    @word(load, Vector(), *array_and_place)
    def emit_load(builder, place):
        return builder.load(place, align=4)

    @word(store, types.void, Vector, *array_and_place)
    def emit_store(builder, v, place):
        builder.store(v, place, align=4)

    @word(spread, Vector(), *array_and_place)
    def emit_spread(builder, place):
        one = builder.load(builder.bitcast(place, number.as_pointer()))
        first = builder.insert_element(ir.Constant(register, ir.Undefined), one, index(0))
        return builder.shuffle_vector(first, first, order([0] * LANES))

    @word(fma, Vector(), Vector, Vector, Vector)
    def emit_fma(builder, x, y, s):
        return builder.call(intrinsic(builder, f"llvm.fma.v{LANES}f32", register, [register] * 3), [x, y, s])

    @word(zeros, Vector())
    def emit_zeros(builder):
        return register([0.0] * LANES)

    @word(sum_up, types.float32, Vector)
    def emit_sum_up(builder, v):
        add = intrinsic(builder, f"llvm.vector.reduce.fadd.v{LANES}f32", number, [number, register])
        return builder.call(add, [number(0.0), v], fastmath=("reassoc",))    # in pairs, not one after the other

    # A block of 16 x 16 numbers in 16 registers.  Shuffle the last 8 registers into the first 8 as the two halves of a
    # pack of cards, number by number.  What stood in register r at place c, in binary rrrrcccc, now stands where
    # these eight digits say after the first has moved to the end.  After four shuffles they are ccccrrrr: r and c have
    # changed places.
    half = LANES // 2
    lower = order([n for i in range(half) for n in (i, i + LANES)])
    upper = order([n for i in range(half, LANES) for n in (i, i + LANES)])

    type_callable(transpose)(lambda context: functools.wraps(transpose)(lambda *given: types.void))

    @lower_builtin(transpose, types.Array, types.Integer, types.Integer, types.Array, types.Integer)
    def emit_transpose(context, builder, signature, values):
        b_kind, _, _, c_kind, _ = signature.args
        b, j, k, c, t = values
        rows = [builder.load(address(context, builder, b_kind, b, builder.add(j, j.type(n)), k), align=4)
                for n in range(LANES)]
        for _ in range(4):
            rows = [builder.shuffle_vector(x, y, part)
                    for x, y in zip(rows[:half], rows[half:]) for part in (lower, upper)]
        for n, row in enumerate(rows):
            builder.store(row, address(context, builder, c_kind, c, builder.add(k, k.type(n)), t), align=4)
