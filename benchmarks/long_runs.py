"""Training that takes hours: a line of progress for each epoch, a checkpoint every minute, both in the run's folder."""
from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

import numpyvae as nv


def train(folder: pathlib.Path, vae: nv.VAE, images: np.ndarray, **options: Any) -> list[nv.Record]:
    """Train with nv.fit, or resume the training that the folder's checkpoint is of; options are those of nv.fit."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.npz"
    records = []
    with open(folder / "progress.txt", "a", encoding="utf-8") as progress:
        for record in nv.fit(vae, images, checkpoint=checkpoint, resume=checkpoint if checkpoint.exists() else None,
                             **options):
            records.append(record)
            print(f"epoch {record.epoch} loss {record.loss:.3f} validation ELBO {-record.validation.loss:.3f} "
                  f"{record.seconds:.2f} s", file=progress, flush=True)
    return records
