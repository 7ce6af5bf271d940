"""The second thread: the same bits as one, whatever happens beside it.  Each test runs in a process of its own."""
import os
import subprocess
import sys

import pytest

from numpyvae.kernels import processor
from numpyvae.twin import kernels_are_on

pytestmark = pytest.mark.skipif(not kernels_are_on() or os.cpu_count() == 1, reason="there is no second thread")
NOT_CACHED = ("numpyvae: no writable folder for compiled kernels, so every process compiles them again; set "
              "NUMBA_CACHE_DIR to a writable folder\n")
START = """
import hashlib, os, signal, sys, threading, time
import numpy as np
import numpyvae as nv
from numpyvae.kernels import jit, processor

def trained(make, shape, steps=3, batch=64):
    rng = np.random.default_rng(0)
    vae, adam = make(rng), nv.Adam(lr=1e-2)
    x = rng.integers(0, 256, (batch, *shape)).astype(np.float32) / 255
    for _ in range(steps):
        vae.loss_and_grad(x, rng.standard_normal((batch, vae.n_latent), np.float32))
        adam.step(vae.parameters)
    return hashlib.sha256(b"".join(w.tobytes() for w in vae.parameters.values)).hexdigest()

def dense(rng, **settings):
    return nv.VAE.dense(120, (100, 64), 40, rng=rng, **settings)

if processor.threads() == 2:
    from numpyvae.kernels import second_thread as st

    def helped():    # how many jobs the second thread has done; it needs a moment to be started
        for _ in range(500):
            trained(dense, (120,), 1)
            if st.second.board[st.DONE]:
                return True
        return False
"""


def run(program, threads=2):
    done = subprocess.run([sys.executable, "-c", START + program], capture_output=True, text=True, timeout=500,
                          env={**os.environ, "NUMPYVAE_THREADS": str(threads), "NUMPYVAE_MATMUL": "numba"})
    # Where nothing can be cached, as in tests/surroundings.py, that is said, and nothing else.
    complaints = done.stderr if os.access(processor.__file__, os.W_OK) else done.stderr.replace(NOT_CACHED, "")
    assert done.returncode == 0 and complaints == "", done.stderr
    return done.stdout.split()


ALL_MODELS = """
if processor.threads() == 2:
    assert helped()
for activation in "relu", "tanh", "gelu", "identity":
    print(trained(lambda rng: dense(rng, activation=activation), (120,)))
for likelihood in "gaussian", "gaussian-learned", "continuous-bernoulli", "discretized-logistic":
    print(trained(lambda rng: dense(rng, likelihood=likelihood), (120,)))
print(trained(lambda rng: nv.VAE.conv((12, 12, 1), (16, 32), 64, 8, rng=rng), (144,)))
print(trained(dense, (120,), batch=7), trained(dense, (120,), batch=33))
"""


def test_one_thread_and_two_give_the_same_bits():
    one, two = run(ALL_MODELS, 1), run(ALL_MODELS, 2)
    assert len(one) == 11 and one == two


def test_two_python_threads_train_at_once():
    alone, *together = run("""
found = [trained(dense, (120,), 60)]
threads = [threading.Thread(target=lambda: found.append(trained(dense, (120,), 60))) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(*found)
""")
    assert together == 3 * [alone]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_a_second_thread_of_its_own():
    parent, child = run("""
assert helped()
print(trained(dense, (120,)), flush=True)
child = os.fork()
if child == 0:
    assert helped() and st.second._thread.is_alive()
    print(trained(dense, (120,)), flush=True)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
""")
    assert parent == child


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_fork_does_not_wait_for_another_thread_that_trains():
    for jobs in run("""
import warnings
from numpyvae.kernels.activations import add_bias
warnings.simplefilter("ignore")    # Python 3.12 warns of a fork beside a thread
add, y, b = jit.jit(add_bias), np.zeros((200, 1000), np.float32), np.zeros(1000, np.float32)
def keep_on():
    while True:
        add(y, b)
threading.Thread(target=keep_on, daemon=True).start()
for _ in range(3):
    while not st.second.board[st.DONE]:
        time.sleep(0.01)
    board = st.second.board
    before = board[st.JOB]
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    print(board[st.JOB] - before)
"""):
        assert int(jobs) < 10_000    # some hundred; waiting for a pause it would be thirty thousand to a million


def test_processes_of_a_pool_train():
    results = run("""
import multiprocessing
def work(_):
    return trained(dense, (120,))
if __name__ == "__main__":
    print(work(0))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(*pool.map(work, range(4)))
""")
    assert len(results) == 5 and len(set(results)) == 1


def test_ctrl_c_arrives_and_training_goes_on():
    before, after = run("""
assert helped()
print(trained(dense, (120,)))
for delay in 0.01, 0.02, 0.035, 0.05:
    try:
        threading.Timer(delay, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        trained(dense, (120,), 10**6)
    except KeyboardInterrupt:
        pass
print(trained(dense, (120,)))
""")
    assert before == after


def test_an_exception_in_either_half_is_raised_by_the_caller():
    assert run("""
from numpyvae.kernels.halves import halved

def one_half_alone(half, y, wrong):
    kernel(y, half == wrong)

@halved(one_half_alone, returns="y")
def fails(y, now):
    if now:
        raise ValueError
    return y

compiled = jit.jit(fails)
assert helped()
for wrong in 0, 1:
    for _ in range(200):
        try:
            compiled(np.zeros(10_000), wrong)
        except MemoryError:
            continue
        raise AssertionError(wrong)
print(trained(dense, (120,)) == trained(dense, (120,)))
""") == ["True"]


def test_it_helps_with_the_first_kernel_after_a_rest_too():
    (shared,) = run("""
from numpyvae.kernels.activations import add_bias
add = jit.jit(add_bias)
y, b, shared = np.zeros((12000, 1000), np.float32), np.zeros(1000, np.float32), 0
assert helped()
for _ in range(20):
    time.sleep(0.05)
    assert not st.second.board[st.AWAKE]
    before = st.second.board[st.DONE]
    add(y, b)
    shared += st.second.board[st.DONE] > before
print(shared)
""")
    assert int(shared) > 0


def test_idle_it_takes_no_time_however_often_it_was_called():
    (seconds,) = run("""
assert helped()
for _ in range(5000):
    st.second.wake()
time.sleep(0.1)
begin = time.process_time()
time.sleep(1)
print(time.process_time() - begin)
""")
    assert float(seconds) < 0.03


def test_python_ends_in_the_middle_of_everything():
    for last in "", "sys.exit()", "threading.Thread(target=trained, args=(dense, (120,), 10**6), daemon=True).start()":
        assert run(f"print(helped())\n{last}") == ["True"]


@pytest.mark.parametrize("asked", ["0", "3", "two", ""])
def test_an_impossible_number_of_threads_is_refused_in_a_line(asked, monkeypatch):
    monkeypatch.setenv("NUMPYVAE_THREADS", asked)
    with pytest.raises(ValueError, match="^the environment's NUMPYVAE_THREADS is '.*'; expected 1 or 2, or leave it"):
        processor.threads.__wrapped__()
