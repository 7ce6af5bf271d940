"""The exercise of lesson 0: what four walks through the latent plane show."""
from __future__ import annotations

from typing import Any

import numpy as np

from .check import exercise, expect_names

WALKS = {"a": "the same picture", "b": "hardly a change", "c": "one digit melts into the other", "d": "hard edges"}
HINTS = {"a": "nothing in the decoder is drawn by lot: what does it make of one and the same z?",
         "b": "the decoder is continuous: what does a small step change?",
         "c": "the codes between the two have pictures of their own, and the decoder is continuous",
         "d": "far out its sums get large: how sure is it then of white and of black?"}
SYNONYMS = {
    "the same picture": {"same picture", "the same", "same", "no change", "nothing changes", "nine times the same"},
    "hardly a change": {"hardly any change", "hardly changes", "almost the same", "nearly the same", "a small change",
                        "small change", "little change"},
    "one digit melts into the other": {"melts", "one melts into the other", "one digit melts into another",
                                       "a 1 melts into a 0", "melting", "morphs", "one digit turns into the other"},
    "one digit jumps to the other": {"jumps", "a jump", "jump", "a sudden jump", "one jumps to the other"},
    "two digits overlaid": {"overlaid", "overlay", "cross-fade", "crossfade", "two overlaid digits", "fades"},
    "hard edges": {"hard", "black and white", "no grey", "no gray", "hard black and white", "sharp edges"},
    "grains": {"noise", "grain", "pixel noise", "random pixels"}}


@exercise()
def walks(answer: Any, rng: np.random.Generator) -> None:
    expect_names(answer, WALKS, HINTS, SYNONYMS, "walk ", "the letters a, b, c, d, each with the name of what is seen")
