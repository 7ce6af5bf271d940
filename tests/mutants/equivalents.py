"""Mutants that are no mistake, each with the reason.

A row excuses a mutant only while it computes the same numbers, up to rounding.  As soon as a result differs
the checks must find the mutant, listed or not.
"""
from __future__ import annotations

import re
from typing import NamedTuple


class Row(NamedTuple):
    """target: a regular expression for its whole name; mutant: one that is searched in the mutant's text."""

    target: str
    mutant: str
    reason: str

    def excuses(self, target: str, mutant: str) -> bool:
        return bool(re.fullmatch(self.target, target) and re.search(self.mutant, mutant))


ROWS = [
    Row(".*", r"^(x 1.0005|sign): (zero|\w+\.dtype\.type\(0\))  ->",
        "zero times a number, or minus zero, is zero"),
    Row(".*", r" in: (expect|check_\w+)\(|^dropped statement: (expect|check_\w+)\(",
        "an argument is looked at, and here it fits"),
    Row(".*", r"^transpose: (\w+)  ->  \1\.T", "the transpose of a vector or of a number is itself"),
    Row(".*", r"^wrong variable: .* in: for \w+ in range\(", "the other array has as many rows, or columns"),
    Row(".*loss_and_grad|free_bits", r"^wrong variable: .* in: dnll = ",
        "the other array has as many rows, and the same dtype"),
    Row("gaussian_nll_and_grad", r"^wrong variable: mean .* in: constant = ",
        "the other array has as many columns"),

    Row("relu_backward.*|relu_slope", r"^x 1.0005: (y|kept)", "only y's sign is read"),
    Row("tanh_backward.*", r"^sign: (y|kept)", "only y squared is read"),
    Row(".*_slope", r"type\(\w+\)", "only the type of the number is read"),

    Row(".*", r"^results swapped: .* in: [\w, ]+ = \(np.empty_like", "arrays of one shape that nothing is in yet"),
    Row("gaussian_kl_backward", r"^accumulation: dlogvar\[b, j\] \*= ", "the same product"),

    Row("free_bits", r"^wrong variable: dmu  ->  dz ", "dmu holds the same numbers as dz"),
    Row("importance_weighted", r"^accumulation: (dtheta|dz) \*= ", "a new array holds the same numbers"),

    Row("affine_backward|Concatenate.backward", r"^function: np.ascontiguousarray",
        "the same numbers, laid out otherwise"),
    Row("reparameterize_backward", r"^wrong variable: (flat_)?(dz|dmu)  ->  (flat_)?(dz|dmu) ",
        "dmu holds the same numbers as dz"),
    Row("(continuous_)?bernoulli_nll_.*", r"^sign: a  ->  -a .* in: (t|size) = ", "only the absolute value is read"),
    Row("discretized_logistic_nll_.*", r"^sign: (p|q)  ->  -\1 .*abs\(\1\)", "only the absolute value is read"),
    Row("discretized_logistic_nll_.*", r"^x 1.0005: (-?)(p|q)  ->.* in: .*logistic\(", "only the sign is read"),
    Row("discretized_logistic_nll_.*", r"^(x 1.0005: x|wrong variable: zero  ->  half_level).* in: (above|below)",
        "a pixel is one of 256 levels, and none lies between"),
    Row("discretized_logistic_nll_backward", r"^operands swapped: above & below", "and has no order"),
    Row("discretized_logistic_nll_.*", r"^wrong variable: one  ->  (above|below) ",
        "both are one where the term counts"),
    Row("bernoulli_nll_.*", r"^(comparison: a < zero  ->  a <= zero|x 1.0005: a) .*\(t if a < zero else",
        "only the sign is read, and at 0 both branches give 1/2"),
    Row("(continuous_)?bernoulli_nll_.*|discretized_logistic_nll_.*", r"^arguments swapped: max\(",
        "the larger of two has no order"),
    Row("continuous_bernoulli_nll_.*", r"^(x 1.0005|sign|operator|wrong variable|results swapped): .*\b(tiny|TINY)\b",
        "tiny differs from zero at a = 0 alone, and there by its being no zero, not by its size"),
    Row("mean_of", r"^x 1.0005: .* in: p = (p \* q \+ )?number\(C[345]\)",
        "the last terms of the series are as small as rounding"),
    Row("mean_of", r" in: mirrored = ", "only the sign is read, and at 0 the series stands in"),
    Row("mean_of", r" in: return half", "where the two formulas meet both hold"),
    Row("mean_of|logistic", r"^function: (number|type\(a\))\(",
        "a Python number takes the precision of what it meets"),
    Row("mean_of|logistic", r" in: (number|one) = type\(a\)", "only the type of a is read"),
    Row("logistic", r" in: return \(t if", "only the sign of a is read, and at 0 both branches give 1/2"),
    Row("gaussian_nll_.*", r"^sign: sigma .*(sigma \*\* 2|gaussian_nll_backward)",
        "only sigma squared is read"),
    Row("gaussian_nll_and_grad", r"^arguments swapped: gaussian_nll.reference\(mean, x",
        "(x - m)^2 = (m - x)^2"),
    Row("(gaussian_learned|discretized_logistic)_nll_.*", r"^order: dtheta.*  before  dtheta",
        "they fill different halves of dtheta"),
    Row("gaussian_learned_nll_backward", r"^(sign|operands swapped): x - mean .*\*\* 2",
        "(x - m)^2 = (m - x)^2"),

    Row("scatter_patches", r"^(x 1.0005|sign): _frame|^wrong variable: padding  ->  stride .* in: frame = ",
        "the frame is zero, and may be larger than it need be"),
    Row("scatter_patches", r"^wrong variable: dx  ->  images .* in: dx\[b\] = 0", "the same numbers, in another shape"),
    Row("scatter_patches", r" in: if 0 <= first <= ", "where the whole window lies inside both branches do the same"),
    Row("scatter_patches", r"^x 1.0005: .* in: if 0 <= (i|first \+ c) <", "a whole number stays below the next one"),
    Row("Convolution._before_activation", r"^wrong variable: dy  ->  y .* in: width, n_out = ", "dy has y's shape"),
    Row("Convolution._windows", r"^(x 1.0005|sign): (self.params|windows)",
        "of W only the shape is read, and the buffer is filled anew"),
    Row("Conv.*.backward", r" in: for some in self._portions", "portions of another size add up to the same"),
    Row("Conv2d.backward", r"^wrong variable: da  ->  d?y .*da.shape", "dy and y have da's shape"),
    Row("Flatten.backward", r"^constant: 1  ->  2 .*_moved", "for NumPy any length below zero is the one to be found"),
    Row("conv.*_backward", r"^results swapped: \(0, 1, 2\)  ->", "a sum over three axes takes them in any order"),
    Row("(Dense|Sequential|Reshape|Flatten|Concatenate|Conv.*).backward|.*_backward",
        r"^(x 1.0005|sign|transpose): need_dx",
        "only true or false is read"),
    Row("Sequential.backward", r"^(dropped term|constant): .* in: first = |^(x 1.0005|sign|wrong variable): first  ->",
        "a dx is computed that nobody reads"),
    Row("VAE.backward_encoder", r"^(x 1.0005|sign): (has_encoder|len)", "only true or false is read"),
    Row(".*loss_and_grad|VAE.backward_encoder",
        r"^dropped argument: .*need_dx=|^constant: False  ->  True .*need_dx=False",
        "a dx is computed that nobody reads"),
    Row("FullCovarianceVAE.loss_and_grad", r"^wrong variable: x  ->  .*reshape\(len",
        "the other array has as many rows"),
    Row("FullCovarianceVAE.loss_and_grad", r"^wrong variable: dmu  ->  dz ", "dmu holds the same numbers as dz"),
    Row("FullCovarianceVAE.loss_and_grad", r"^order: dh \+= ", "the same sum in another order"),
    Row("FullCovarianceVAE.backward_encoder", r".*", "it refuses, and no gradient goes through it"),
    Row("score_function", r"^wrong variable: x  ->  .* in: dnll = ",
        "each of these arrays has B rows and the same dtype"),
    Row("VAE.backward_encoder", r"^comparison: .* in: has_encoder", "a dx is computed that nobody reads"),
]


def reason_of(target: str, mutant: str) -> str | None:
    """Why a mutant computes the same, or None where it should not."""
    return next((row.reason for row in ROWS if row.excuses(target, mutant)), None)
