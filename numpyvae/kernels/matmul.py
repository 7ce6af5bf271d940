"""The matrix product, from the loops on paper to one that keeps its sums in registers.

Each computes out = a @ b for a : (M, K), b : (K, N), out : (M, N).  The sums are the same; only the order of the work
differs.  To be read from top to bottom.  Speeds: "The matrix product" in benchmarks/RESULTS.md.
"""
import numpy as np

from .halves import halved, multiplications, product, product_transposed
from .loop_for import loop_for
from .vectors import LANES, fma, load, spread, store, sum_up, transpose, zeros


def matmul_three_loops(a, b, out):
    """out[i, j] is the sum over k of a[i, k] b[k, j].   [lesson 12, eq. 12.1]

    Two numbers are fetched for 2 operations, and b is read down its columns: each fetch is a new cache line.
    """
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            total = out.dtype.type(0)
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            out[i, j] = total
    return out


def matmul_reordered(a, b, out):
    """The loops over j and k are exchanged, so b and out are read along their rows.

    The inner loop now handles 16 neighbours at once, but fetches two numbers and stores one for 2 operations.
    """
    for i in range(a.shape[0]):
        out[i] = 0
        for k in range(a.shape[1]):
            a_ik = a[i, k]
            for j in range(b.shape[1]):
                out[i, j] += a_ik * b[k, j]
    return out


# A *tile* is a block of out whose sums stay in registers from k = 0 to K - 1.  For each k it fetches a piece of b's row
# k and one number from each of its rows of a, and multiplies each with each: 6 rows times 16 columns are 192 operations
# for 22 numbers fetched, and nothing is stored before the end.  The number of registers limits the size of a tile.
#
# Each tile below computes out[i:i + ROWS, j:j + COLUMNS] from a[i:i + ROWS] and panel = b[:, j:j + COLUMNS].

def tile_6x16(a, panel, out, i, j):
    """For AVX2, which has 16 registers of 8 numbers: 12 hold the sums, 2 a row of the panel, 1 a number of a.

    [lesson 12, eq. 12.4]
    """
    s0 = s1 = s2 = s3 = s4 = s5 = zeros()
    for k in range(a.shape[1]):
        b_k = load(panel, k, 0)
        s0 = fma(spread(a, i, k), b_k, s0)
        s1 = fma(spread(a, i + 1, k), b_k, s1)
        s2 = fma(spread(a, i + 2, k), b_k, s2)
        s3 = fma(spread(a, i + 3, k), b_k, s3)
        s4 = fma(spread(a, i + 4, k), b_k, s4)
        s5 = fma(spread(a, i + 5, k), b_k, s5)
    store(s0, out, i, j)
    store(s1, out, i + 1, j)
    store(s2, out, i + 2, j)
    store(s3, out, i + 3, j)
    store(s4, out, i + 4, j)
    store(s5, out, i + 5, j)


def tile_8x48(a, panel, out, i, j):
    """For AVX-512, which has 32 registers of 16 numbers: 24 hold the sums, 3 a row of the panel, 1 a number of a."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = zeros_48()
    for k in range(a.shape[1]):
        b_k = load_48(panel, k, 0)
        s0 = fma_48(spread(a, i, k), b_k, s0)
        s1 = fma_48(spread(a, i + 1, k), b_k, s1)
        s2 = fma_48(spread(a, i + 2, k), b_k, s2)
        s3 = fma_48(spread(a, i + 3, k), b_k, s3)
        s4 = fma_48(spread(a, i + 4, k), b_k, s4)
        s5 = fma_48(spread(a, i + 5, k), b_k, s5)
        s6 = fma_48(spread(a, i + 6, k), b_k, s6)
        s7 = fma_48(spread(a, i + 7, k), b_k, s7)
    store_48(s0, out, i, j)
    store_48(s1, out, i + 1, j)
    store_48(s2, out, i + 2, j)
    store_48(s3, out, i + 3, j)
    store_48(s4, out, i + 4, j)
    store_48(s5, out, i + 5, j)
    store_48(s6, out, i + 6, j)
    store_48(s7, out, i + 7, j)


def zeros_48():
    return zeros(), zeros(), zeros()


def load_48(b, k, j):
    return load(b, k, j), load(b, k, j + 16), load(b, k, j + 32)


def fma_48(x, y, s):
    return fma(x, y[0], s[0]), fma(x, y[1], s[1]), fma(x, y[2], s[2])


def store_48(v, out, i, j):
    store(v[0], out, i, j)
    store(v[1], out, i, j + 16)
    store(v[2], out, i, j + 32)


tile_8x16 = loop_for("tile_8x16", tile_8x48, zeros_48=zeros, load_48=load, fma_48=fma, store_48=store)


# Three ways to get b[:, j:j + COLUMNS].  A copy takes K COLUMNS steps, and saves more than that where many rows of a
# need it: its numbers lie beside each other, while in b each row of the panel may lie on another page of memory.

def in_place(b, j, panel):
    return b[:, j:j + panel.shape[1]]


def copied(b, j, panel):
    for k in range(panel.shape[0]):
        for t in range(0, panel.shape[1], LANES):
            store(load(b, k, j + t), panel, k, t)
    return panel


def transposed(b, j, panel):
    """From b.T for b : (N, K), in blocks of 16 x 16; the last one moves back.  Expects K >= 16."""
    K = panel.shape[0]
    for k in range(0, K, LANES):
        for t in range(0, panel.shape[1], LANES):
            transpose(b, j + t, min(k, K - LANES), panel, t)
    return panel


# Names in the loop below, which `loop_for` gives other values.
tile, narrow_tile, ROWS, COLUMNS, panel_of = tile_6x16, tile_6x16, 6, 16, in_place


def matmul_tiled(a, b, out):
    """Tile by tile, down a panel: COLUMNS columns of b, which all the tiles there need.

    At an edge the last tile moves back until it fits, and computes some numbers a second time: the same sum in the
    same order, so the same bits.  Expects M >= ROWS, N >= 16, and out's and b's rows contiguous; a may be a transposed
    view, and so may b where `panel_of` transposes it.
    """
    M, N = out.shape
    whole = N - N % COLUMNS
    panel = np.empty((a.shape[1], COLUMNS), b.dtype)
    for j in range(0, whole, COLUMNS):
        here = panel_of(b, j, panel)
        for i in range(0, M, ROWS):
            tile(a, here, out, min(i, M - ROWS), j)
    narrow = np.empty((a.shape[1], LANES), b.dtype)
    for j in range(whole, N, LANES):    # narrower than a tile
        here = panel_of(b, min(j, N - LANES), narrow)
        for i in range(0, M, ROWS):
            narrow_tile(a, here, out, min(i, M - ROWS), min(j, N - LANES))
    return out


def matmul_by_strips(a, b, out):
    """The same for a transposed a, as in x^T dy, where each number of a row of a lies on another page of memory.

    So 16 rows of a, a *strip*, are copied to lie beside each other, and all the tiles that need them follow; for this
    all the panels of b are copied first.  Expects M >= 16, and a's columns contiguous.
    """
    M, N = out.shape
    K = a.shape[1]
    whole = N - N % COLUMNS
    wide = np.empty((whole // COLUMNS, K, COLUMNS), b.dtype)
    for j in range(0, whole, COLUMNS):
        copied(b, j, wide[j // COLUMNS])
    narrow = np.empty(((N - whole + LANES - 1) // LANES, K, LANES), b.dtype)
    for j in range(whole, N, LANES):
        copied(b, min(j, N - LANES), narrow[(j - whole) // LANES])
    strip = np.empty((K, LANES), a.dtype)
    for i in range(0, M, LANES):
        top = min(i, M - LANES)
        rows_of_a, rows_of_out = copied(a.T, top, strip).T, out[top:top + LANES]
        for r in range(0, LANES, ROWS):
            for j in range(0, whole, COLUMNS):
                tile(rows_of_a, wide[j // COLUMNS], rows_of_out, min(r, LANES - ROWS), j)
            for j in range(whole, N, LANES):
                narrow_tile(rows_of_a, narrow[(j - whole) // LANES], rows_of_out, min(r, LANES - ROWS),
                            min(j, N - LANES))
    return out


def matmul_thin(a, b, out):
    """For N < 16 columns: with columns of zeros b is as wide as a tile, whose first N columns are copied to out."""
    M, N = out.shape
    panel = np.zeros((a.shape[1], LANES), b.dtype)
    panel[:, :N] = b
    block = np.empty((ROWS, LANES), b.dtype)
    for i in range(0, M, ROWS):
        top = min(i, M - ROWS)
        narrow_tile(a[top:top + ROWS], panel, block, 0, 0)
        for r in range(ROWS):
            for j in range(N):
                out[top + r, j] = block[r, j]
    return out


# One compilation does for every a and b, whether its rows are contiguous or its columns, and whether it may be written.
SIGNATURE = "Array(float32, 2, 'A', readonly=True), Array(float32, 2, 'A', readonly=True), float32[:, :]"


def tiled(size, **names):
    """Loops over tiles of the given size, by name: matmul_tiled for each way to get a panel, "strips" and "thin"."""
    loops = {way.__name__: (how, loop_for(f"matmul_{size}_{way.__name__}", matmul_tiled, panel_of=way, **names))
             for way, how in ((in_place, product), (copied, product), (transposed, product_transposed))}
    loops["strips"] = product, loop_for(f"matmul_{size}_by_strips", matmul_by_strips, **names)
    loops["thin"] = product, loop_for(f"matmul_{size}_thin", matmul_thin, **names)
    return {name: halved(how, "out", multiplications)(loop) for name, (how, loop) in loops.items()}


by_6x16 = tiled("6x16", tile=tile_6x16, narrow_tile=tile_6x16, ROWS=6, COLUMNS=16)
by_8x48 = tiled("8x48", tile=tile_8x48, narrow_tile=tile_8x16, ROWS=8, COLUMNS=48)


@halved(product_transposed, "out", multiplications)
def matmul_rows(a, b, out):
    """out = a @ b.T for b : (N, K), each number a row of a times a row of b, with nothing copied: for few rows of a.

    Both rows are contiguous, so vectors run along them: for 3 rows of a and 2 of b, 5 vectors are fetched for 96
    multiplications, and the 16 parts of each sum are added up at the end.  Expects M >= 3, N >= 2, and a's rows
    contiguous, too.
    """
    M, N = out.shape
    for j in range(0, N, 2):
        for i in range(0, M, 3):
            tile_of_rows(a, b, out, min(i, M - 3), min(j, N - 2))
    return out


def tile_of_rows(a, b, out, i, j):
    """out[i:i + 3, j:j + 2] = a[i:i + 3] @ b[j:j + 2].T"""
    s00 = s01 = s10 = s11 = s20 = s21 = zeros()
    K = a.shape[1]
    whole = K - K % LANES
    for k in range(0, whole, LANES):
        a0, a1, a2, b0, b1 = load(a, i, k), load(a, i + 1, k), load(a, i + 2, k), load(b, j, k), load(b, j + 1, k)
        s00, s01 = fma(a0, b0, s00), fma(a0, b1, s01)
        s10, s11 = fma(a1, b0, s10), fma(a1, b1, s11)
        s20, s21 = fma(a2, b0, s20), fma(a2, b1, s21)
    out[i, j], out[i, j + 1] = sum_up(s00), sum_up(s01)
    out[i + 1, j], out[i + 1, j + 1] = sum_up(s10), sum_up(s11)
    out[i + 2, j], out[i + 2, j + 1] = sum_up(s20), sum_up(s21)
    for k in range(whole, K):    # fewer than 16 are left
        for row in range(i, i + 3):
            out[row, j] += a[row, k] * b[j, k]
            out[row, j + 1] += a[row, k] * b[j + 1, k]
