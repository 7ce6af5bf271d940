import numpy as np

RACES = {"a": "race", "b": "no race", "c": "race", "d": "race", "e": "no race"}


def least_time(M, K, N, peak, bandwidth):
    operations, moved = 2 * M * K * N, 4 * (M * K + K * N + M * N)
    return operations, moved, max(operations / peak, moved / bandwidth)


def kl_and_grad(dkl, mu, logvar):
    B, Z = mu.shape
    kl, dmu, dlogvar = np.zeros(B, mu.dtype), np.empty_like(mu), np.empty_like(mu)
    for b in range(B):
        for j in range(Z):
            variance = np.exp(logvar[b, j])
            kl[b] += 0.5 * (variance + mu[b, j]**2 - 1 - logvar[b, j])
            dmu[b, j] = dkl[b] * mu[b, j]
            dlogvar[b, j] = dkl[b] * 0.5 * (variance - 1)
    return kl, dmu, dlogvar


def half_of_db(half, dy, db):
    db, mine = db.copy(), np.array_split(np.arange(dy.shape[1]), 2)[half]
    db[mine] = dy[:, mine].sum(axis=0)
    return db


def two_sum(a, b):
    total = a + b
    b_kept = total - a
    a_kept = total - b_kept
    return total, (a - a_kept) + (b - b_kept)


RIGHT = {"least_time": least_time, "kl_and_grad": kl_and_grad, "races": RACES,
         "half_of_db": half_of_db, "two_sum": two_sum}


def timed(operations=None, moved=None, seconds=None):
    """The right answer, one of whose parts is changed: each a function of (M, K, N, peak, bandwidth)."""
    def answer(*args):
        return tuple(one if change is None else change(*args)
                     for one, change in zip(least_time(*args), (operations, moved, seconds)))
    return answer


def graded(kl=None, dmu=None, dlogvar=None):
    def answer(*args):
        return tuple(one if change is None else change(one, *args)
                     for one, change in zip(kl_and_grad(*args), (kl, dmu, dlogvar)))
    return answer


def halved(fill):
    """A function of (half, dy, db), which it fills."""
    def answer(half, dy, db):
        fill(half, dy, db)
        return db
    return answer


def columns(half, dy):
    middle = dy.shape[1] // 2
    return slice(middle, None) if half else slice(0, middle)


def rows(half, dy):
    return dy[len(dy) // 2:] if half else dy[:len(dy) // 2]


def store(db, where, values):
    db[where] = values


def add(db, where, values):
    db[where] += values


def fast_two_sum(a, b):
    total = a + b
    return total, b - (total - a)


WRONG = {
    "least_time": [
        (timed(operations=lambda M, K, N, p, w: M * K * N), "an addition are two"),
        (timed(operations=lambda M, K, N, p, w: 2 * M * N), "K is missing"),
        (timed(operations=lambda M, K, N, p, w: M * K + K * N + M * N), "the numbers of the three arrays"),
        (timed(moved=lambda M, K, N, p, w: M * K + K * N + M * N), "2 of 3 are right; moved: those are numbers"),
        (timed(moved=lambda M, K, N, p, w: 8 * (M * K + K * N + M * N)), "4 bytes, not 8"),
        (timed(moved=lambda M, K, N, p, w: 4 * (M * K + K * N)), "the result is written, which counts"),
        (timed(moved=lambda M, K, N, p, w: 4 * (M * K + K * N + 2 * M * N)), "nothing of it has to be read"),
        (timed(moved=lambda M, K, N, p, w: 8 * M * K * N), "comes from memory once"),
        (timed(moved=lambda M, K, N, p, w: 4 * M * K * N), "a product of sizes"),
        (timed(seconds=lambda M, K, N, p, w: 2 * M * K * N / p + 4 * (M * K + K * N + M * N) / w), "not the sum"),
        (timed(seconds=lambda M, K, N, p, w: min(2 * M * K * N / p, 4 * (M * K + K * N + M * N) / w)),
         "not the shorter"),
        (timed(seconds=lambda M, K, N, p, w: 2 * M * K * N / p), "not the shorter"),
        (timed(seconds=lambda M, K, N, p, w: 4 * (M * K + K * N + M * N) / w), "not the shorter"),
        (timed(seconds=lambda M, K, N, p, w: min(p, w * M * K * N / (2 * (M * K + K * N + M * N)))),
         "that is a speed"),
        (timed(seconds=lambda *args: 1 / least_time(*args)[2]), "upside down"),
        (timed(seconds=lambda *args: least_time(*args)[0] / least_time(*args)[1]), "operations per byte"),
        (lambda *args: least_time(*args)[2], "expected three numbers: operations, moved, seconds"),
        (lambda *args: least_time(*args)[::-1], "operations and seconds are swapped"),
    ],
    "kl_and_grad": [
        (graded(kl=lambda kl, d, m, s: 2 * kl), "2 of 3 are right; kl: the half is missing"),
        (graded(kl=lambda kl, d, m, s: 0.5 * (np.exp(s) + m**2 - 1 - s)), "not summed over the latent dimensions"),
        (graded(kl=lambda kl, d, m, s: kl.sum()), "each row has its own"),
        (graded(kl=lambda kl, d, m, s: d * kl), "dkl belongs to the gradients alone"),
        (graded(kl=lambda kl, d, m, s: (0.5 * (np.exp(s) + m**2 - 1 - s))[:, -1]), "the last dimension's term"),
        (graded(kl=lambda kl, d, m, s: np.cumsum(kl)), "goes on from row to row"),
        (graded(kl=lambda kl, d, m, s: kl + 1.5), "the -1 is missing"),
        (graded(kl=lambda kl, d, m, s: 0.5 * (np.exp(s) + m - 1 - s).sum(axis=1)), "mu is not squared"),
        (graded(kl=lambda kl, d, m, s: -kl), "kl has the wrong sign"),
        (graded(dmu=lambda dmu, d, m, s: m), "dmu: the gradient for kl, dkl, is missing"),
        (graded(dmu=lambda dmu, d, m, s: 2 * dmu), "the 2 of the square and the half cancel"),
        (graded(dmu=lambda dmu, d, m, s: 0.5 * dmu), "the 2 of the square and the half cancel"),
        (graded(dlogvar=lambda ds, d, m, s: 0.5 * (np.exp(s) - 1)), "dlogvar: the gradient for kl"),
        (graded(dlogvar=lambda ds, d, m, s: 2 * ds), "dlogvar: the half is missing"),
        (graded(dlogvar=lambda ds, d, m, s: d[:, None] * 0.5 * np.exp(s)), "- logvar has a derivative"),
        (graded(dlogvar=lambda ds, d, m, s: d[:, None] * 0.5 * (np.exp(s) + 1)), "the sign of the -1"),
        (lambda *args: kl_and_grad(*args)[0], "expected three arrays: kl, dmu, dlogvar"),
        (lambda *args: (kl_and_grad(*args)[0], *kl_and_grad(*args)[:0:-1]), "dmu and dlogvar are swapped"),
        (lambda d, m, s: kl_and_grad(np.ones_like(d), m, s), "dkl, is missing"),
    ],
    "races": [
        ({**RACES, "a": "no race"}, "4 of 5 are right; a is something else: both read db"),
        ({**RACES, "b": "race"}, "which numbers does each thread write"),
        ({**RACES, "c": "no race"}, "what about shared[0]"),
        ({**RACES, "d": "no race"}, "before either writes it"),
        ({**RACES, "e": "race"}, "one number is written twice"),
        (dict.fromkeys(RACES, "race"), "3 of 5 are right"),
        ({**RACES, "a": "perhaps"}, "a is none of the names"),
        (["race"] * 4, "expected a dictionary"),
    ],
    "half_of_db": [
        (halved(lambda half, dy, db: store(db, slice(None), dy.sum(axis=0))), "both halves write to db[0]: a race"),
        (halved(lambda half, dy, db: store(db, slice(None), rows(half, dy).sum(axis=0))), "half of the rows"),
        (halved(lambda half, dy, db: add(db, slice(None), rows(half, dy).sum(axis=0))), "half of the rows"),
        (halved(lambda half, dy, db: add(db, columns(half, dy), dy[:, columns(half, dy)].sum(axis=0))),
         "half 0 adds to what stands in db"),
        (halved(lambda half, dy, db: None), "half 0 writes nothing"),
        (halved(lambda half, dy, db: None if half else store(db, slice(None), dy.sum(axis=0))),
         "half 1 writes nothing"),
        (halved(lambda half, dy, db: store(db, columns(0, dy), dy[:, columns(0, dy)].sum(axis=0))),
         "both halves write to db[0]: a race"),
        (halved(lambda half, dy, db: store(db, [half], dy[:, half].sum())), "nobody writes to db[2]"),
        (halved(lambda half, dy, db: store(db, slice(half, len(db) - 1 + half), dy[:, half:len(db) - 1 + half].sum(0))),
         "both halves write to db[1]: a race"),
        (lambda half, dy, db: dy[:, columns(half, dy)].sum(axis=0), "return the whole of db"),
        (lambda half, dy, db: half_of_db(half, dy, 0 * db), "of the other half to 0"),
        (halved(lambda half, dy, db: store(db, columns(half, dy), dy[:, columns(half, dy)].mean(axis=0))),
         "it must be the sum"),
        (halved(lambda half, dy, db: store(db, columns(half, dy), -dy[:, columns(half, dy)].sum(axis=0))), ""),
    ],
    "two_sum": [
        (lambda a, b: (a + b, (a + b) - (a + b)), "1 of 2 is right; lost: it is 0"),
        (lambda a, b: (a.astype(float) + b, (a.astype(float) + b) - a - b), "in double precision"),
        (fast_two_sum, "where b is the larger, it is a that is cut off"),
        (lambda a, b: fast_two_sum(b, a), "where a is the larger, it is b that is cut off"),
        (lambda a, b: (a + b, -two_sum(a, b)[1]), "the sign is wrong"),
        (lambda a, b: two_sum(a, b)[::-1], "total comes first"),
        (lambda a, b: (a - b, two_sum(a, b)[1]), "1 of 2 is right; total: that is a - b"),
        (lambda a, b: a + b, "expected two arrays: total, lost"),
        (lambda a, b: (a + b, b), "lost is off by"),
    ],
}


def least_time_by_the_roof(M, K, N, peak, bandwidth):
    operations, moved = M * N * (K + K), np.float32(1).nbytes * (M * K + K * N + M * N)
    return [operations, moved, operations / min(peak, operations / moved * bandwidth)]


def kl_and_grad_of_arrays(dkl, mu, logvar):
    variance = np.exp(logvar)
    return {"kl": 0.5 * np.sum(variance + mu**2 - 1 - logvar, axis=1), "dmu": dkl[:, None] * mu,
            "dlogvar": dkl[:, None] * (variance - 1) / 2}


def even_and_odd(half, dy, db):
    db[half::2] = dy.sum(axis=0)[half::2]
    return list(db)


def by_loops(half, dy, db):
    middle = (dy.shape[1] + 1) // 2
    for o in range(middle, dy.shape[1]) if half == 1 else range(middle):
        db[o] = 0
        for b in range(len(dy)):
            db[o] += dy[b, o]
    return db


def two_sum_by_the_larger(a, b):
    total = a + b
    return total, np.where(abs(a) >= abs(b), b - (total - a), a - (total - b))


def two_sum_in_double(a, b):
    total = np.add(a, b, dtype=np.float32)
    return total, a.astype(float) + b.astype(float) - total


ALSO_RIGHT = {
    "least_time": [least_time_by_the_roof],
    "kl_and_grad": [kl_and_grad_of_arrays],
    "races": [list(RACES.values()), {"A": "Yes", "B": "no", "C": "a race", "D": "wrong", "E": "harmless"}],
    "half_of_db": [even_and_odd, by_loops],
    "two_sum": [two_sum_by_the_larger, two_sum_in_double,
                lambda a, b: {"lost": two_sum(a, b)[1], "total": np.add(b, a)}],
}
