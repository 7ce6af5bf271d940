"""The exercises of lesson 12: the least time, a fused kernel, races, a half of the work, what an addition loses."""
from __future__ import annotations

from typing import Any

import numpy as np

from .attempt import Attempt
from .check import NotYet, exercise, expect, expect_names, expect_parts
from .expect import numbers
from .speed import FLOAT, product

Array = np.ndarray


@exercise("M", "K", "N", "peak", "bandwidth")
def least_time(answer: Any, rng: np.random.Generator) -> None:
    M, K, N = (int(side) for side in rng.permutation([5, 6, 7]) * 10 + rng.integers(0, 9, 3))
    work = product(M, K, N)
    for intensity in (0.4, 2.5):    # of the ridge, as shares of the product's: it is bound by either
        bandwidth = float(rng.uniform(1e10, 3e10))
        peak = intensity * work.intensity * bandwidth
        by_operations, by_bytes = work.operations / peak, work.moved / bandwidth
        expect_parts(
            answer(M, K, N, peak, bandwidth), "numbers",
            operations=(work.operations, {
                "operations: a multiplication and an addition are two": M * K * N,
                "operations: the numbers of the result have K terms each; K is missing": [M * N, 2 * M * N],
                "operations: those are the numbers of the three arrays": work.moved / FLOAT}),
            moved=(work.moved, {
                "moved: those are numbers; one in float32 has 4 bytes": work.moved / FLOAT,
                "moved: in float32 a number has 4 bytes, not 8": 2 * work.moved,
                "moved: the result is written, which counts too": FLOAT * (M * K + K * N),
                "moved: the result is written once; nothing of it has to be read": FLOAT * (M * K + K * N + 2 * M * N),
                "moved: each number of a and b comes from memory once, then it is at hand":
                    [FLOAT * 2 * M * K * N, FLOAT * M * N * (2 * K + 1), FLOAT * 3 * M * K * N],
                "moved: that is a product of sizes; a has M K numbers, b has K N, the result M N": FLOAT * M * K * N}),
            seconds=(max(by_operations, by_bytes), {
                "seconds: fetching and computing go on side by side: the longer of the two counts, not the sum":
                    by_operations + by_bytes,
                "seconds: the longer of the two times counts, not the shorter": min(by_operations, by_bytes),
                "seconds: that is a speed, operations per second; operations divided by it are seconds":
                    min(peak, work.intensity * bandwidth),
                "seconds: it is upside down": 1 / max(by_operations, by_bytes),
                "seconds: those are operations per byte": work.intensity,
                "seconds: those are bytes per second of the bandwidth's time, upside down": bandwidth / work.moved}))


@exercise("dkl", "mu", "logvar")
def kl_and_grad(answer: Any, rng: np.random.Generator) -> None:
    B, Z = 4, 3
    mu, logvar, dkl = rng.standard_normal((B, Z)), rng.uniform(-2, -0.5, (B, Z)), rng.uniform(0.5, 2, B)
    variance, column = np.exp(logvar), dkl[:, None]
    terms = 0.5 * (variance + mu**2 - 1 - logvar)
    kl, dmu, dlogvar = terms.sum(axis=1), column * mu, column * 0.5 * (variance - 1)
    expect_parts(
        answer(dkl, mu, logvar), "arrays",
        kl=(kl, {
            "kl: the half is missing": 2 * kl,
            "kl: it is not summed over the latent dimensions": terms,
            "kl: it is summed over the batch; each row has its own": [kl.sum(), terms.sum(axis=0)],
            "kl: dkl belongs to the gradients alone": dkl * kl,
            "kl: that is the last dimension's term; add them up": terms[:, -1],
            "kl: the total goes on from row to row; begin anew with each": np.cumsum(kl),
            "kl: the -1 is missing": kl + Z / 2,
            "kl: mu is not squared": kl + 0.5 * (mu - mu**2).sum(axis=1)}),
        dmu=(dmu, {
            "dmu: the gradient for kl, dkl, is missing": mu,
            "dmu: the 2 of the square and the half cancel": [0.5 * dmu, 2 * dmu],
            "dmu: dkl has one number for each row": [np.resize(dkl, (Z, B)).T * mu, np.resize(dkl, (B, Z)) * mu]}),
        dlogvar=(dlogvar, {
            "dlogvar: the gradient for kl, dkl, is missing": 0.5 * (variance - 1),
            "dlogvar: the half is missing": 2 * dlogvar,
            "dlogvar: the -1 is missing: - logvar has a derivative, too": column * 0.5 * variance,
            "dlogvar: the derivative of exp(logvar) is exp(logvar) itself": column * 0.5 * (logvar * variance - 1),
            "dlogvar: the sign of the -1 is wrong": column * 0.5 * (variance + 1)}))


RACES = {"a": "race", "b": "no race", "c": "race", "d": "race", "e": "no race"}
RACE_HINTS = {"a": "both read db, and both write it",
              "b": "which numbers does each thread write, and does the other one read them?",
              "c": "db is halved, but what about shared[0]?",
              "d": "may both read the same number from shared[0] before either writes it?",
              "e": "one number is written twice; with what? And does anyone read it?"}
RACE_SYNONYMS = {"race": {"races", "a race", "yes", "wrong", "it races"},
                 "no race": {"none", "no", "right", "fine", "harmless", "norace"}}


@exercise()
def races(answer: Any, rng: np.random.Generator) -> None:
    expect_names(answer, RACES, RACE_HINTS, RACE_SYNONYMS, "", 'the letters a to e, each "race" or "no race"')


@exercise("half", "dy", "db")
def half_of_db(answer: Attempt, rng: np.random.Generator) -> None:
    B, O = int(rng.integers(3, 6)), int(rng.integers(6, 10))
    dy = rng.uniform(0.5, 2, (B, O))
    right = dy.sum(axis=0)
    written = []
    for half in (0, 1):
        before = rng.permutation(np.arange(100.0, 100.0 + O))    # what the other thread left there, whole numbers
        found = numbers(answer(half, dy, before), (O,), f"half {half}: db")
        rows = dy[:B // 2] if half == 0 else dy[B // 2:]
        mine = found != before if found.shape == (O,) else np.ones(O, dtype=bool)
        if not mine.any():
            raise NotYet(f"half {half} writes nothing: fill in its columns")
        expect(found, np.where(mine, right, before), f"half {half}: db", {
            f"half {half} adds to what stands in db: that reads what the other thread may be about to write; store the "
            "finished sum": [before + right, np.where(mine, before + right, before)],
            f"half {half} does half of the rows, so both halves write to every number of db: a race. Halve the columns":
                [rows.sum(axis=0), before + rows.sum(axis=0), np.where(mine, rows.sum(axis=0), before)],
            "return the whole of db, with the numbers of the other half as they were": [
                right[:O // 2], right[O // 2:], right[O - O // 2:]],
            f"half {half} sets the numbers of the other half to 0; leave them alone":
                np.where(found != 0, right, 0) if found.shape == (O,) and found.any() else np.nan,
            "it is a mean over the batch; it must be the sum": np.where(mine, right / B, before)})
        written.append(mine)
    if np.any(written[0] & written[1]):
        raise NotYet(f"both halves write to {_place(written[0] & written[1])}: a race")
    if not np.all(written[0] | written[1]):
        raise NotYet(f"nobody writes to {_place(~(written[0] | written[1]))}")


def _place(where: Array) -> str:
    return f"db[{np.flatnonzero(where)[0]}]"


@exercise("a", "b")
def two_sum(answer: Any, rng: np.random.Generator) -> None:
    n = 8
    large = rng.uniform(1.1, 1.9, 2 * n).astype(np.float32)
    small = (rng.uniform(0.3, 0.9, 2 * n) * 2.0**-10).astype(np.float32)
    a, b = np.concatenate([large[:n], small[n:]]), np.concatenate([small[:n], large[n:]])
    a[0], b[0], a[n], b[n] = 1.0, 2.0**-25, 2.0**-25, 1.0    # lost whole
    total = a + b
    a_exact, b_exact = a.astype(float), b.astype(float)
    lost = a_exact + b_exact - total
    expect_parts(
        answer(a, b), "arrays",
        total=(total, {"total: that is a alone": a, "total: that is what the addition loses; total comes first": lost,
                       "total: that is a - b": a - b}),
        lost=(lost, {
            "lost: it is 0: the same sum minus itself. Or is it computed in double precision?": np.zeros(2 * n),
            "lost: the sign is wrong: total + lost must be a + b": -lost,
            "lost: right where |a| >= |b|; where b is the larger, it is a that is cut off": [
                b - (total - a)],
            "lost: right where |b| >= |a|; where a is the larger, it is b that is cut off": [
                a - (total - b)],
            "lost: that is what is lost of b alone; a may lose something as well": b_exact - (total - a_exact)}))
