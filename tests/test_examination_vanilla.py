"""`examine` at the size of a VAE that many start from; needs PyTorch, as .ci/full installs it."""
import time

import numpy as np
import pytest


class Bar:
    """In the place of tqdm's: counts the rows."""

    rows = 0

    def __init__(self, **settings):
        assert settings["disable"] is None     # shown on a terminal, and there alone

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, n):
        Bar.rows += n


@pytest.mark.full
def test_vanilla_vae_at_its_own_size_is_examined_with_progress(monkeypatch):
    import torch
    import tqdm.auto
    from tests.vanilla_vae import SIDE, VanillaVAE, look
    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    torch.manual_seed(0)
    model = VanillaVAE().eval()
    images = np.random.default_rng(0).random((8, 3, SIDE, SIDE), dtype=np.float32)
    start = time.process_time()
    report = look(model, images)
    seconds = time.process_time() - start
    print(f"{seconds:.0f} s of one processor, {Bar.rows:,} rows\n{report}")
    assert report.ok, report
    assert Bar.rows > 1000
