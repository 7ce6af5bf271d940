import numpy as np
import pytest
from hypothesis import settings

# The suite draws the same examples every time; `pytest --hypothesis-profile=thorough` draws new ones, and more.
settings.register_profile("repeatable", max_examples=60, deadline=None, derandomize=True)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def rng():
    return np.random.default_rng(20131220)
