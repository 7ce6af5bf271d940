"""Vectors of 16 numbers: six words that numba lacks, for loops that keep their sums in registers.

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

    def word(function, result, *arguments):
        """The decorated function writes the instruction that `function` stands for, given its arguments' values."""
        type_callable(function)(lambda context: functools.wraps(function)(lambda *given: result))

        def decorate(emit):
            def instruction(context, builder, signature, values):
                if types.Array in arguments:    # array, i, j -> the address of array[i, j]
                    at = arguments.index(types.Array)
                    kind = signature.args[at]
                    array = context.make_array(kind)(context, builder, values[at])
                    address = cgutils.get_item_pointer(context, builder, kind, array, values[at + 1:at + 3])
                    values = [*values[:at], address]
                return emit(builder, *values)
            lower_builtin(function, *arguments)(instruction)
        return decorate

    def intrinsic(builder, name, result, arguments):
        return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)

    array_and_place = types.Array, types.Integer, types.Integer

    @word(load, Vector(), *array_and_place)
    def emit_load(builder, address):
        return builder.load(builder.bitcast(address, register.as_pointer()), align=4)

    @word(store, types.void, Vector, *array_and_place)
    def emit_store(builder, v, address):
        builder.store(v, builder.bitcast(address, register.as_pointer()), align=4)

    @word(spread, Vector(), *array_and_place)
    def emit_spread(builder, address):
        first = builder.insert_element(ir.Constant(register, ir.Undefined), builder.load(address), index(0))
        return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(index, LANES), [0] * LANES))

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
