"""The matrix product in three ways: as written on paper, in memory order, and in tiles.

Each computes out = a @ b for a : (M, K), b : (K, N), out : (M, N); a may be a transposed view, the rows of b and of out
are contiguous.  The sum is the same, only the order of the work differs.  A fourth, rows times rows, is for a product
with a transposed matrix.  Speeds: "The matrix product" in benchmarks/RESULTS.md.
"""
import numpy as np

ROWS, DEPTH = 4, 8      # a tile of a: its 32 numbers stay in registers
COLUMNS = 512           # columns of out at a time: 4 rows of sums take 8 KB and stay in the first-level cache
STRIDE = COLUMNS + 16   # from one row of sums to the next: at exactly 2048 bytes they would compete for cache lines


def matmul_three_loops(a, b, out):
    """out[i, j] is the sum over k of a[i, k] b[k, j].

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


def matmul_tiled(a, b, out):
    """In tiles of 4 x 8: each number of b that is fetched serves four rows, each sum that is fetched eight products.

    For 64 operations the inner loop fetches 12 numbers and stores 4; the sums stay in the first-level cache,
    and b is read row after row, which the processor prefetches.  What the tiles leave over (M not a multiple of 4, K
    not of 8) is done as in matmul_reordered.
    """
    M, K, N = a.shape[0], a.shape[1], b.shape[1]
    tiled_rows, tiled_depth = M - M % ROWS, K - K % DEPTH
    sums = np.empty(ROWS * STRIDE, out.dtype)    # one array: four might overlap, for all the compiler knows
    R1, R2, R3 = STRIDE, 2 * STRIDE, 3 * STRIDE
    for j in range(0, N, COLUMNS):
        n = min(COLUMNS, N - j)
        for i in range(0, tiled_rows, ROWS):
            sums[:] = 0
            for k in range(0, tiled_depth, DEPTH):
                p0, p1, p2, p3, p4, p5, p6, p7 = (
                    a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3],
                    a[i, k + 4], a[i, k + 5], a[i, k + 6], a[i, k + 7])
                q0, q1, q2, q3, q4, q5, q6, q7 = (
                    a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3],
                    a[i + 1, k + 4], a[i + 1, k + 5], a[i + 1, k + 6], a[i + 1, k + 7])
                u0, u1, u2, u3, u4, u5, u6, u7 = (
                    a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3],
                    a[i + 2, k + 4], a[i + 2, k + 5], a[i + 2, k + 6], a[i + 2, k + 7])
                v0, v1, v2, v3, v4, v5, v6, v7 = (
                    a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3],
                    a[i + 3, k + 4], a[i + 3, k + 5], a[i + 3, k + 6], a[i + 3, k + 7])
                b0, b1, b2, b3, b4, b5, b6, b7 = (
                    b[k, j:j + n], b[k + 1, j:j + n], b[k + 2, j:j + n], b[k + 3, j:j + n],
                    b[k + 4, j:j + n], b[k + 5, j:j + n], b[k + 6, j:j + n], b[k + 7, j:j + n])
                for t in range(n):
                    w0, w1, w2, w3, w4, w5, w6, w7 = b0[t], b1[t], b2[t], b3[t], b4[t], b5[t], b6[t], b7[t]
                    sums[t] += p0 * w0 + p1 * w1 + p2 * w2 + p3 * w3 + p4 * w4 + p5 * w5 + p6 * w6 + p7 * w7
                    sums[R1 + t] += q0 * w0 + q1 * w1 + q2 * w2 + q3 * w3 + q4 * w4 + q5 * w5 + q6 * w6 + q7 * w7
                    sums[R2 + t] += u0 * w0 + u1 * w1 + u2 * w2 + u3 * w3 + u4 * w4 + u5 * w5 + u6 * w6 + u7 * w7
                    sums[R3 + t] += v0 * w0 + v1 * w1 + v2 * w2 + v3 * w3 + v4 * w4 + v5 * w5 + v6 * w6 + v7 * w7
            for row in range(ROWS):
                for t in range(n):
                    out[i + row, j + t] = sums[row * STRIDE + t]
    for i in range(M):
        first = tiled_depth
        if i >= tiled_rows:
            out[i] = 0
            first = 0
        for k in range(first, K):
            a_ik = a[i, k]
            for j in range(N):
                out[i, j] += a_ik * b[k, j]
    return out


def matmul_rows(a, b, out):
    """out = a @ b.T: each number of out is a row of a times a row of b.

    Both rows are contiguous, so the inner loop runs along them, and its sums never leave the registers: for 4 rows of a
    and 4 rows of b, 8 numbers are fetched for 32 operations and none is stored.  What is left over (M or N not a
    multiple of 4) is done row by row.
    """
    M, K, N = a.shape[0], a.shape[1], b.shape[0]
    tiled_rows, tiled_columns = M - M % 4, N - N % 4
    zero = out.dtype.type(0)
    for j in range(0, tiled_columns, 4):
        b0, b1, b2, b3 = b[j], b[j + 1], b[j + 2], b[j + 3]
        for i in range(0, tiled_rows, 4):
            a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
            s00, s01, s02, s03 = zero, zero, zero, zero
            s10, s11, s12, s13 = zero, zero, zero, zero
            s20, s21, s22, s23 = zero, zero, zero, zero
            s30, s31, s32, s33 = zero, zero, zero, zero
            for k in range(K):
                w0, w1, w2, w3 = b0[k], b1[k], b2[k], b3[k]
                p, q, u, v = a0[k], a1[k], a2[k], a3[k]
                s00, s01, s02, s03 = s00 + p * w0, s01 + p * w1, s02 + p * w2, s03 + p * w3
                s10, s11, s12, s13 = s10 + q * w0, s11 + q * w1, s12 + q * w2, s13 + q * w3
                s20, s21, s22, s23 = s20 + u * w0, s21 + u * w1, s22 + u * w2, s23 + u * w3
                s30, s31, s32, s33 = s30 + v * w0, s31 + v * w1, s32 + v * w2, s33 + v * w3
            out[i, j], out[i, j + 1], out[i, j + 2], out[i, j + 3] = s00, s01, s02, s03
            out[i + 1, j], out[i + 1, j + 1], out[i + 1, j + 2], out[i + 1, j + 3] = s10, s11, s12, s13
            out[i + 2, j], out[i + 2, j + 1], out[i + 2, j + 2], out[i + 2, j + 3] = s20, s21, s22, s23
            out[i + 3, j], out[i + 3, j + 1], out[i + 3, j + 2], out[i + 3, j + 3] = s30, s31, s32, s33
    for i in range(M):
        for j in range(tiled_columns if i < tiled_rows else 0, N):
            total = zero
            for k in range(K):
                total += a[i, k] * b[j, k]
            out[i, j] = total
    return out
