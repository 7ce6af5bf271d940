import copy

import numpy as np
import pytest

import numpyvae as nv
from numpyvae.nn.buffers import LINE, Buffers, aligned


@pytest.mark.parametrize("dtype", [np.float32, np.float64, complex, np.uint8])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (128, 14, 14, 32)], ids=str)
def test_arrays_begin_where_a_line_of_the_cache_begins(shape, dtype):
    array = aligned(shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype) and array.flags.c_contiguous and array.flags.writeable
    assert array.ctypes.data % LINE == 0
    array[:] = 1    # no part of it is shared
    assert array.sum() == array.size


def test_weights_and_gradients_do_so_too(rng):
    vae = nv.VAE.dense(7, (5,), 3, rng=rng)
    for model in (vae, vae.astype(np.float64)):
        assert model.parameters.values.ctypes.data % LINE == model.parameters.grads.ctypes.data % LINE == 0


def test_a_buffer_outlives_a_step_and_serves_smaller_batches():
    buffers = Buffers()
    y = buffers("y", (4, 3), np.float32)
    assert buffers("y", (4, 3), np.float32) is y
    assert np.shares_memory(buffers("y", (2, 3), np.float32), y[:2])
    assert not np.shares_memory(buffers("z", (4, 3), np.float32), y)
    assert not np.shares_memory(copy.deepcopy(buffers)("y", (4, 3), np.float32), y)
    assert buffers("y", (5, 3), np.float64).dtype == np.float64
