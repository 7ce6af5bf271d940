"""exp, expm1, log and log1p as polynomials, which a compiler can vectorise.

numba calls the C library for exp, one number at a time.  Written as arithmetic alone, the same loop runs on
16 numbers at once.  A kernel calls the plain functions `exp`, `expm1`, `log` and `log1p`; uncompiled they are
NumPy's, and compiled code gets the polynomial for its precision (`kernels.jit` substitutes it).

Range reduction: with n the integer nearest to x / ln 2 and r = x - n ln 2, so that |r| <= ln(2) / 2 = 0.347,

    exp(x) = 2^n exp(r).

exp(r) is a short power series, and 2^n is written straight into the exponent bits of a float.  r needs more
digits than one float of ln 2 has, so ln 2 is split in two, LN2_HIGH + LN2_LOW, where n * LN2_HIGH is exact
(Cody and Waite 1980, "Software Manual for the Elementary Functions", chapter 6).

Largest relative errors, measured by tests/test_kernels.py: below 2e-7 in float32, 5e-16 in float64.
"""
import numpy as np

f32, f64, i32, i64 = np.float32, np.float64, np.int32, np.int64


def exp(x):
    """e^x."""
    return np.exp(x)


def expm1(x):
    """e^x - 1, to full precision where x is small."""
    return np.expm1(x)


def log(x):
    """ln(x) for a normal number x > 0."""
    return np.log(x)


def log1p(t):
    """ln(1 + t) for 0 <= t <= 1, to full precision where t is small."""
    return np.log1p(t)


# Beyond these, exp(x) would be subnormal or infinite; the polynomials clamp x to them.
LOWEST_32, HIGHEST_32 = f32(-87.3), f32(88.3)
LOWEST_64, HIGHEST_64 = f64(-708.3), f64(709.4)

# The bits of sqrt(1/2): subtracting them gives the exponent n that leaves a fraction from sqrt(1/2) to sqrt(2).
ROOT_HALF_BITS_32, ROOT_HALF_BITS_64 = i32(0x3F3504F3), i64(0x3FE6A09E667F3BCD)

LOG2_E_32, LN2_HIGH_32, LN2_LOW_32 = f32(1.44269504), f32(0.693359375), f32(-2.12194440e-4)
LOG2_E_64, LN2_HIGH_64, LN2_LOW_64 = f64(1.4426950408889634), f64(0.693145751953125), f64(1.4286068203094172e-6)


def exp_32(x):
    scale, p = _scale_and_expm1_32(x)
    return scale * p + scale


def exp_64(x):
    scale, p = _scale_and_expm1_64(x)
    return scale * p + scale


def expm1_32(x):
    # 2^n e^r - 1 = 2^n (e^r - 1) + (2^n - 1): nothing cancels, as e^r - 1 comes from the series itself.
    scale, p = _scale_and_expm1_32(x)
    return scale * p + (scale - f32(1))


def expm1_64(x):
    scale, p = _scale_and_expm1_64(x)
    return scale * p + (scale - f64(1))


def log_32(x):
    """x = 2^n m with m near 1:  ln x = n ln 2 + 2 artanh(s), s = (m - 1) / (m + 1), |s| <= 0.172."""
    bits = f32(x).view(i32)
    n = (bits - ROOT_HALF_BITS_32) >> i32(23)
    m = i32(bits - (n << i32(23))).view(f32)
    s = (m - f32(1)) / (m + f32(1))
    q = s * s
    p = f32(1 / 9)
    p = p * q + f32(1 / 7)
    p = p * q + f32(1 / 5)
    p = p * q + f32(1 / 3)
    return f32(n) * LN2_HIGH_32 + (f32(n) * LN2_LOW_32 + f32(2) * (s + s * q * p))


def log_64(x):
    """The series of log_32, to double precision."""
    bits = f64(x).view(i64)
    n = (bits - ROOT_HALF_BITS_64) >> i64(52)
    m = i64(bits - (n << i64(52))).view(f64)
    s = (m - f64(1)) / (m + f64(1))
    q = s * s
    p = f64(1 / 21)
    p = p * q + f64(1 / 19)
    p = p * q + f64(1 / 17)
    p = p * q + f64(1 / 15)
    p = p * q + f64(1 / 13)
    p = p * q + f64(1 / 11)
    p = p * q + f64(1 / 9)
    p = p * q + f64(1 / 7)
    p = p * q + f64(1 / 5)
    p = p * q + f64(1 / 3)
    return f64(n) * LN2_HIGH_64 + (f64(n) * LN2_LOW_64 + f64(2) * (s + s * q * p))


def log1p_32(t):
    """2 artanh(s) = 2 (s + s^3/3 + s^5/5 + ...) with s = t / (2 + t): s <= 1/3 where t <= 1."""
    s = t / (f32(2) + t)
    q = s * s
    p = f32(1 / 15)
    p = p * q + f32(1 / 13)
    p = p * q + f32(1 / 11)
    p = p * q + f32(1 / 9)
    p = p * q + f32(1 / 7)
    p = p * q + f32(1 / 5)
    p = p * q + f32(1 / 3)
    return f32(2) * (s + s * q * p)


def log1p_64(t):
    """The series of log1p_32, to double precision."""
    s = t / (f64(2) + t)
    q = s * s
    p = f64(1 / 33)
    p = p * q + f64(1 / 31)
    p = p * q + f64(1 / 29)
    p = p * q + f64(1 / 27)
    p = p * q + f64(1 / 25)
    p = p * q + f64(1 / 23)
    p = p * q + f64(1 / 21)
    p = p * q + f64(1 / 19)
    p = p * q + f64(1 / 17)
    p = p * q + f64(1 / 15)
    p = p * q + f64(1 / 13)
    p = p * q + f64(1 / 11)
    p = p * q + f64(1 / 9)
    p = p * q + f64(1 / 7)
    p = p * q + f64(1 / 5)
    p = p * q + f64(1 / 3)
    return f64(2) * (s + s * q * p)


def _scale_and_expm1_32(x):
    """2^n and e^r - 1, where x = n ln 2 + r."""
    x = min(max(x, LOWEST_32), HIGHEST_32)
    n = np.rint(x * LOG2_E_32)
    r = x - n * LN2_HIGH_32
    r = r - n * LN2_LOW_32
    # Coefficients of expf in S. Moshier's Cephes library: 1/2!, 1/3!, ... adjusted to minimise the largest error.
    q = f32(1.9875691500e-4)
    q = q * r + f32(1.3981999507e-3)
    q = q * r + f32(8.3334519073e-3)
    q = q * r + f32(4.1665795894e-2)
    q = q * r + f32(1.6666665459e-1)
    q = q * r + f32(5.0000001201e-1)
    bits = i32((i32(n) + i32(127)) << i32(23))
    return bits.view(f32), r + r * r * q


def _scale_and_expm1_64(x):
    """2^n and e^r - 1, where x = n ln 2 + r."""
    x = min(max(x, LOWEST_64), HIGHEST_64)
    n = np.rint(x * LOG2_E_64)
    r = x - n * LN2_HIGH_64
    r = r - n * LN2_LOW_64
    # The power series itself: the first omitted term, r^14 / 14!, is below 5e-18.
    q = f64(1 / 6227020800)
    q = q * r + f64(1 / 479001600)
    q = q * r + f64(1 / 39916800)
    q = q * r + f64(1 / 3628800)
    q = q * r + f64(1 / 362880)
    q = q * r + f64(1 / 40320)
    q = q * r + f64(1 / 5040)
    q = q * r + f64(1 / 720)
    q = q * r + f64(1 / 120)
    q = q * r + f64(1 / 24)
    q = q * r + f64(1 / 6)
    q = q * r + f64(1 / 2)
    bits = i64((i64(n) + i64(1023)) << i64(52))
    return bits.view(f64), r + r * r * q


POLYNOMIALS = [(exp, exp_32, exp_64), (expm1, expm1_32, expm1_64), (log, log_32, log_64),
               (log1p, log1p_32, log1p_64)]
