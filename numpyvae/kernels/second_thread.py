"""A second thread of our own, which does half of a kernel's work.

A training step is a row of kernels, each over after some microseconds.  Waking a thread through Python takes as long as
many of them.  So the second thread stays awake between them, for a millisecond, and looks at a *board*, an array of
numbers that both threads see.  All that passes between them is written there:

    the caller                                           the second thread
    ----------                                           -----------------
    WORK, ARGUMENTS = the kernel                         looks at JOB until it changes
    JOB += 1                                  ------>    sees the new job
    does half 0                                          CLAIMED: JOB - 1 -> JOB.  Who changes it does half 1.
    CLAIMED: JOB - 1 -> JOB.  Mine? Do half 1.           does half 1
    Not mine? Look at DONE until it is JOB    <------    DONE = JOB

So a second thread that the system lets wait delays nobody: the caller does both halves.  After a millisecond or a few
without a job the second thread writes AWAKE = 0 and waits for an event, which costs nothing; the next caller sets it,
and begins.  Where two Python threads call kernels at the same time, one has the board (BUSY), and the other does both
halves by itself.

Each number of a result is computed in one half, in one order, so one thread and two give the same bits.
"""
from __future__ import annotations

import atexit
import os
import platform
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import jit

CACHE_LINE = 8    # numbers of 8 bytes: two threads that write to the same line would wait for each other
# Where on the board they stand:
BUSY, JOB, CLAIMED, DONE, AWAKE, FAILED, WORK, ARGUMENTS, STOP = range(0, 9 * CACHE_LINE, CACHE_LINE)
LITTLE = 4_000    # steps of a kernel; see halves.py
PATIENCE = 100_000    # looks at the board before the second thread goes to sleep: one to five milliseconds


# Words that numba lacks.  What one thread wrote before `release` or `publish` is seen by the other after `acquire`.

@intrinsic
def acquire(typing, board, i):
    """board[i], which the other thread may have just written."""
    def emit(context, builder, signature, values):
        return builder.load_atomic(_address(context, builder, signature, values), "acquire", 8)
    return types.int64(board, i), emit


@intrinsic
def release(typing, board, i, number):
    """board[i] = number, for the other thread to read."""
    def emit(context, builder, signature, values):
        builder.store_atomic(values[2], _address(context, builder, signature, values), "release", 8)
        return context.get_dummy_value()
    return types.void(board, i, types.int64), emit


@intrinsic
def publish(typing, board, i, number):
    """The same, and nothing that follows is begun before it."""
    def emit(context, builder, signature, values):
        builder.atomic_rmw("xchg", _address(context, builder, signature, values), values[2], "seq_cst")
        return context.get_dummy_value()
    return types.void(board, i, types.int64), emit


@intrinsic
def claim(typing, board, i, number):
    """If board[i] is number - 1, it becomes number; whether it did, which only one thread is told."""
    def emit(context, builder, signature, values):
        before = builder.sub(values[2], values[2].type(1))
        outcome = builder.cmpxchg(_address(context, builder, signature, values), before, values[2], "seq_cst")
        return builder.extract_value(outcome, 1)
    return types.boolean(board, i, types.int64), emit


@intrinsic
def pause(typing):
    """Let the processor rest for some tens of cycles; other processors than x86 have no such instruction."""
    def emit(context, builder, signature, values):
        if platform.machine() in ("x86_64", "AMD64"):
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()
    return types.void(), emit


def _address(context, builder, signature, values):
    board = context.make_array(signature.args[0])(context, builder, values[0])
    return cgutils.get_item_pointer(context, builder, signature.args[0], board, [values[1]])


# A kernel is handed over as two addresses: of a function (arguments, half) that calls the kernel, and of its arguments.

HALF = types.int32, [types.voidptr, types.intp]    # what such a function returns and takes


@intrinsic
def packed(typing, function, arguments):
    """The addresses of a function (arguments, half) that calls function(half, *arguments), and of the arguments."""
    def emit(context, builder, signature, values):
        function_type, kinds = signature.args
        data = context.get_value_type(kinds)
        place = cgutils.alloca_once_value(builder, values[1])
        module = builder.module
        half = ir.Function(module, context.call_conv.get_function_type(*HALF), module.get_unique_name("half"))
        half.linkage = "internal"
        inside = ir.IRBuilder(half.append_basic_block())
        where, which = context.call_conv.get_arguments(half)
        unpacked = cgutils.unpack_tuple(inside, inside.load(inside.bitcast(where, data.as_pointer())), len(kinds))
        called = function_type.get_call_type(context.typing_context, (types.intp, *kinds.types), {})
        context.get_function(function_type, called)(inside, [which, *unpacked])
        context.call_conv.return_value(inside, ir.IntType(32)(0))
        number = context.get_value_type(types.intp)
        return context.make_tuple(builder, signature.return_type,
                                  [builder.ptrtoint(half, number), builder.ptrtoint(place, number)])
    return types.UniTuple(types.intp, 2)(function, arguments), emit


@intrinsic
def do(typing, work, arguments, half):
    """Call the function at the address `work`; 0, or another number if it raised an exception."""
    def emit(context, builder, signature, values):
        kind = context.call_conv.get_function_type(*HALF)
        outcome, exception = (cgutils.alloca_once(builder, pointer.pointee) for pointer in kind.args[:2])
        function = builder.inttoptr(values[0], kind.as_pointer())
        arguments = builder.inttoptr(values[1], kind.args[2])
        status = builder.call(function, [outcome, exception, arguments, values[2]])
        return builder.sext(status, context.get_value_type(types.intp))
    return types.intp(types.intp, types.intp, types.intp), emit


def share(board, work, arguments):
    """Both halves; returns 0 or RAISED, or, with nothing done, ASLEEP if the second thread has to be woken first."""
    if acquire(board, AWAKE) == 0:
        return ASLEEP
    if not claim(board, BUSY, 1):
        return RAISED if do(work, arguments, 0) | do(work, arguments, 1) else 0
    board[WORK], board[ARGUMENTS] = work, arguments
    job = board[JOB] + 1
    publish(board, JOB, job)
    status = do(work, arguments, 0)
    if claim(board, CLAIMED, job):
        status |= do(work, arguments, 1)
    else:
        while acquire(board, DONE) < job:
            pause()
        status |= board[FAILED]
    release(board, BUSY, 0)
    return RAISED if status else 0


ASLEEP, RAISED = 1, 2


def follow(board, patience):
    """What the second thread does from its awakening until it falls asleep."""
    seen, left = acquire(board, JOB) - 1, patience    # the job under way as well, if nobody has begun its second half
    while left > 0 and acquire(board, STOP) == 0:
        job = acquire(board, JOB)
        if job == seen:
            pause()
            left -= 1
            continue
        seen, left = job, patience
        if claim(board, CLAIMED, job):
            board[FAILED] = do(board[WORK], board[ARGUMENTS], 1)
            release(board, DONE, job)
    release(board, AWAKE, 0)


half = steps = None    # a kernel's half and how much it has to do: names below, filled in by `loop_for`


def in_halves(board, *arguments):
    """What Python calls in a kernel's place.  Where there is little to do, handing it over would take longer."""
    work, where = packed(half, arguments)
    if steps(*arguments) < LITTLE:
        return RAISED if do(work, where, 0) | do(work, where, 1) else 0
    return share(board, work, where)


class SecondThread:
    """The board, and the thread that looks at it, which is started when a kernel first calls for it."""

    def __init__(self) -> None:
        memory = np.zeros(10 * CACHE_LINE, np.int64)
        start = -memory.ctypes.data // 8 % CACHE_LINE
        self.board = memory[start:start + 9 * CACHE_LINE]
        self._called = threading.Event()    # not a semaphore: called a thousand times before it is awake, it wakes once
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Start it if need be, and let it look at the board; it is taken for awake from now on."""
        if self._thread is None:
            with self._starting:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, daemon=True, name="numpyvae")
                    thread.start()
                    self._thread = thread    # only now: after Ctrl-C before the start the next call tries again
        self.board[AWAKE] = 1    # before it is called, so that it is not after the thread has fallen asleep again
        self._called.set()

    def _run(self) -> None:
        look = jit(follow)
        while self._called.wait() and not self.board[STOP]:
            self._called.clear()
            look(self.board, PATIENCE)

    def stop(self) -> None:
        """At Python's exit, which frees the board, and before a fork, which is safe in a process of one thread only."""
        self.board[STOP] = 1    # looked for between jobs as well: another Python thread may never run out of them
        self._called.set()
        if self._thread is not None:
            self._thread.join()


def run(in_halves: Callable[..., int], filled: Callable[[tuple[Any, ...]], Any], *arguments: Any) -> Any:
    """Call a kernel in halves; returns those of its arguments that it has filled.

    Raises MemoryError, the only exception that a kernel can raise: it had no room for a panel of a matrix.
    """
    while (outcome := in_halves(second.board, *arguments)) == ASLEEP:
        second.wake()
    if outcome == RAISED:
        raise MemoryError("no memory is left for a kernel's arrays")
    return filled(arguments)


def start_anew() -> None:
    """After a fork, in both processes."""
    global second
    second = SecondThread()


second = SecondThread()
atexit.register(lambda: second.stop())
if hasattr(os, "register_at_fork"):    # not on Windows, which has no fork
    os.register_at_fork(before=lambda: second.stop(), after_in_parent=start_anew, after_in_child=start_anew)
