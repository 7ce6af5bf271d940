"""One seed, one hash: in fresh processes, with cached or newly compiled kernels.  More: `python -m benchmarks.bits`."""
import pytest

from benchmarks.bits import NETWORKS, ROUNDING, compare


@pytest.mark.full
@pytest.mark.parametrize("network", NETWORKS)
def test_one_seed_gives_one_hash(network, tmp_path):
    found = compare(network, 3, tmp_path)
    assert found["hashes"] == {found["cold"]}
    assert found["other seed"] not in found["hashes"]
    assert max(found["threads"]["float64"].values()) < ROUNDING    # another number of threads changes only the rounding
