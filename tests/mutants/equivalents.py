"""Mutants that are not mistakes, each with the reason.

A row excuses a mutant only while it computes the same numbers, up to rounding.  As soon as a result differs
the checks must find the mutant, listed or not.
"""
from __future__ import annotations

import re
from typing import NamedTuple


class Row(NamedTuple):
    """target: a regular expression for its whole name; mutant: one to search the mutant's text for."""

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
    Row("gelu_backward", r" in: a = np.where|^order: t = ", "from 20 on, and well before, the slope is 1 or 0 in every "
        "digit, until a square overflows: tests/test_extremes.py looks there"),
    Row("tanh_backward.*", r"^sign: (y|kept)", "only y squared is read"),
    Row(".*_slope", r"type\(\w+\)", "only the type of the number is read"),

    Row(".*", r"^results swapped: .* in: [\w, ]+ = \(np.empty_like", "arrays of one shape that nothing is in yet"),
    Row("gaussian_kl_backward", r"^accumulation: dlogvar\[b, j\] \*= ", "the same product"),

    Row("importance_weighted", r"^accumulation: (dtheta|dz) \*= ", "a new array holds the same numbers"),

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
    Row("gelu_backward", r"^sign: (t|a)  ->", "only its square is read"),
    Row("gelu_u|sigmoid|tanh", r"^(x 1.0005|sign|wrong variable|function): .*\b(a|type\(a\)\(\d\))",
        "only the type of a, its sign or its absolute value is read"),
    Row("sigmoid|tanh", r"^(comparison|constant): .* in: return ", "at 0 both branches give the same"),
    Row("dense_backward|.*backward_bias", r"^((x 1.0005|sign): buffers|wrong variable: dy  ->  kept .*buffers)\(",
        "an array of that shape that nothing is in yet"),
    Row("gaussian_kl_of_dimensions_backward", r" in: column = ",
        "the other array has as many entries, and a length below zero is worked out"),
    Row("mean_of|logistic", r"^function: (number|type\(a\))\(",
        "a Python number takes the precision of what it meets"),
    Row("mean_of|logistic", r" in: (number|one) = type\(a\)", "only the type of a is read"),
    Row("logistic", r" in: return \(t if", "only the sign of a is read, and at 0 both branches give 1/2"),
    Row(".*_nll_.*", r"^sign: sigma .*(sigma \*\* 2|_nll_backward)", "only sigma squared is read"),
    Row(".*_nll_and_grad", r"^arguments swapped: \w+_nll.reference\(mean, x", "only (x - m)^2 is read"),
    Row("(gaussian_learned|discretized_logistic)_nll_.*", r"^order: dtheta.*  before  dtheta",
        "they fill different halves of dtheta"),
    Row("gaussian_learned_nll_backward", r"^(sign|operands swapped): x - mean .*\*\* 2",
        "(x - m)^2 = (m - x)^2"),

    Row("scatter_patches", r"^(x 1.0005|sign): _frame|^wrong variable: padding  ->  stride .* in: frame = ",
        "the frame is zero, and may be larger than it need be"),
    Row("scatter_patches", r"^wrong variable: dx  ->  images .* in: dx\[b\] = 0", "the same numbers, in another shape"),
    Row("scatter_patches", r" in: if 0 <= first <= ", "where the whole window lies inside both branches do the same"),
    Row("scatter_patches", r"^x 1.0005: .* in: if 0 <= (i|first \+ c) <", "a whole number stays below the next one"),
    Row("Convolution._windows", r"^(x 1.0005|sign): (self.params|windows)",
        "of W only the shape is read, and the buffer is filled anew"),
    Row("Conv.*.backward", r" in: for some in self._chunks", "chunks of another size add up to the same"),
    Row("Conv2d.backward", r"^wrong variable: da  ->  d?y .*da.shape", "dy and y have da's shape"),
    Row("Flatten.backward", r"^constant: 1  ->  2 .*_moved", "for NumPy any length below zero is the one to be found"),
    Row("conv.*_backward", r"^results swapped: \(0, 1, 2\)  ->", "a sum over three axes takes them in any order"),
    Row("(Dense|Sequential|Reshape|Flatten|Conv.*).backward|.*_backward",
        r"^(x 1.0005|sign|transpose): need_dx",
        "only true or false is read"),
    Row("Sequential.backward", r"^wrong variable: dx  ->  dy .* if self.layers", "without layers dx is dy"),
    Row("Sequential.backward",
        r"^(dropped term|constant): .* in: first = |^(x 1.0005|sign|wrong variable): first  ->"
        r"|^wrong variable: (need_dx  ->  (dy|weighted) .* in: first = |i  ->  need_dx .* in: weighted = )",
        "a dx is computed that nobody reads"),
    Row(".*loss_and_grad|free_bits|score_function|importance_weighted",
        r"^dropped argument: .*need_dx=|^constant: False  ->  True .*need_dx=False",
        "a dx is computed that nobody reads"),
    Row("joined", r"^(wrong variable: one  ->  other|(results|arguments) swapped)",
        "a sum has no order, and both are of one type"),
    Row(".*Gaussian.backward|Posterior.backward|iwae|.*importance_weighted|free_bits|score_function",
        r"^arguments swapped: joined\(",
        "a sum has no order"),
    Row(".*", r"^(x 1.0005|sign|wrong variable): z  ->  .* in: dz = concatenate_backward\(", "only its shape is read"),
    Row("Conv.*2d.backward", r" in: if not self._is_compiled\(\):|^dropped statement: return self._backward_by_pairs",
        "the pairs and the chunks give the same numbers"),
    Row("Conv.*2d.backward", r"^(x 1.0005|sign|wrong variable): (self.y|x)  ->  .* in: return self._backward_by_pairs",
        "only its shape is read"),
    Row("Convolution._backward_by_pairs", r"^wrong variable: small  ->  .*_chunks\(",
        "it only says in which chunks the same images are taken"),
    Row("Convolution._backward_by_pairs", r"^wrong variable: dx  ->  .* is not None",
        "a dx is computed that nobody reads, or written to nothing"),
    Row(".*Gaussian.backward|Posterior.backward", r"^(x 1.0005|sign): self.knows_kl_to", "only true or false is read"),
    Row("DiagonalGaussian.backward", r"^comparison: .*  ->  if True:", "Posterior's own joins the same two paths"),
    Row(".*Gaussian.backward", r"^wrong variable: dmu_z  ->  dz ", "dmu_z holds the same numbers as dz"),
    Row("FullGaussian.backward_heads", r"^order: dh \+= ", "the same sum in another order"),
    Row("score_function", r"^wrong variable: x  ->  .* in: dnll = ",
        "each of these arrays has B rows and the same dtype"),
]


# Those of `python -m tests.mutants.computing`.
COMPUTING_ROWS: list[Row] = [
    Row(".*", r"^operands swapped: .* [&|] ", "and and or have no order"),
    Row(".*", r"^results swapped: .* in: .*isinstance\(", "one of several types, in any order"),
    Row(".*", r"^arguments swapped: (np\.)?(max|min)(imum)?\(", "the larger and the smaller of two have no order"),
    Row(".*", r"^arguments swapped: np.clip\((.*), 0, 1\)  ->  np.clip\(0, \1, 1\)", "min(max(0, x), 1), either way"),
    Row(".*", r"^(sign|x 1.05): .* in: .*np.isfinite\(", "of a number only whether it is finite is read"),
    Row(".*", r"^(sign|operands swapped): .* in: .*np.abs\(", "only the absolute value is read"),
    Row(".*", r"^sign: (\w+)  ->  -\1 .*\b\1 \*\* 2", "only its square is read"),

    Row("training.optimizers.Momentum.step", r"^accumulation: .* = (self.velocity \*|parameters.values -) ",
        "the same numbers in a new array"),
    Row("training.optimizers.Adam.step", r"^comparison: self.mean is None or self.square is None",
        "the two are None together"),
    Row("training.optimizers.Adam.step", r"^results swapped: \(self.mean", "two arrays of one shape that hold zeros"),
    Row("training.optimizers.BLOCK", "->  3276[79]$", "blocks of another size give the same numbers"),
    Row("training.optimizers.adam", r"^order: negligible .* before  s \+=", "of s only the dtype is read"),
    Row("training.optimizers.adam", r"^order: values.* before  s\[", "where s vanishes m is 0, and so is the step"),
    Row("training.optimizers.adam", r"^wrong variable: values  ->  grads .*values.size", "there are as many of both"),
    Row("training.optimizers.adam", r"^accumulation: values\[some\] .* = values\[some\] - ", "the same numbers"),

    Row("datasets.digits._curve", r"^(x 1.05|sign|operands swapped): .* in: spans = ",
        "of the spans only their shares of the whole are read"),
    Row("datasets.digits._curve", r"^results swapped: \(starts, ends\)", "two lists that nothing is in yet"),
    Row("datasets.digits._curve", r"^order: spans = .* before  points = ", "neither reads the other"),
    Row("datasets.digits._stroke_matrix", r"^constant: 2  ->  [34] .*ring\[:2\]", "the rows that are added are not read"),
    Row("datasets.toy.two_gaussians", r"^another density: rng.integers\(0, 2", "0 and 1 to any power are 0 and 1"),

    Row("models.likelihoods.(Gaussian|StudentT).nll", "^arguments swapped: ", "(x - m)^2 = (m - x)^2"),
    Row("models.likelihoods.(GaussianLearned|DiscretizedLogistic).sample",
        "^wrong variable: mean  ->  log.* in: .*mean.shape", "the other half of theta has the same shape"),
    Row("models.likelihoods.ContinuousBernoulli.sample", r"^x 1.05: theta .* in: .*theta < 0", "only the sign is read"),
    Row("models.likelihoods.Likelihood.check", r"^(x 1.05|sign): (x.real.min\(\)|low|self.support\[0\])",
        "every support begins at 0: only the sign of the lowest pixel is read"),
    Row("models.likelihoods.Likelihood.check", r"^comparison: .* < 0.001 / self.levels  ->  .* <= ",
        "a pixel is on a level up to rounding or far from it, and the bound lies between"),
    Row(r"models.posteriors.\w+.(closed_form_kl|kl_of_dimensions)", "^sign: q.mu", "only its square is read"),
    Row("models.posteriors.DiagonalGaussian.log_density", r"^arguments swapped: gaussian_log_density\(z, q.mu",
        "(z - mu)^2 = (mu - z)^2"),
    Row("models.posteriors.FullGaussian.(kl_of_dimensions|moments)", r"^sign: (np.tril\(q.lower, -1\)|q.lower)",
        "only the squares of its entries are read"),
    Row("models.posteriors.FullGaussian.__init__", r"^x 1.05: n_latent .* in: if n_latent < 2",
        "a whole number stays on its side of 2"),
    Row("models.priors.StandardNormal.log_density", "^(sign|x 1.05): zero  ->", "zero times a number is zero"),
    Row("models.priors.StandardNormal.log_density", r"^(sign: z|arguments swapped: gaussian_log_density\(z, zero)",
        "the density of N(0, 1) is even, and (z - 0)^2 = (0 - z)^2"),
    Row("models.(autoencoder|vae).*", r"^arguments swapped: dense_decoder\(.*n_data, pixels.outputs_per_pixel, ",
        "a product has no order"),
    Row("models.(autoencoder|vae).*mean_terms", "^(x 1.05|sign|wrong variable): .*np.iscomplexobj",
        "only the type of the number is read"),
    Row("models.vae.VAE.check_batch", "^wrong variable: x  ->  eps .*one_hot", "there are as many rows of both"),
    Row("models.vae.VAE.one_hot", "^(comparison: known is None or|wrong variable: known  ->  labels)",
        "the labels, the classes and n_classes are None together"),
    Row("models.vae.VAE.check_labels", r"^results swapped: \(\(n,\), \(1,\)\)", "one of two shapes, in any order"),
    Row("models.vae.VAE.check_labels", r"^x 1.05: labels.min\(\) .*labels.min\(\) < 0", "only its sign is read"),
    Row("models.vae.VAE.log_weight", "^sign: z ", "the density of N(0, I) is even"),
    Row("models.vae.VAE.__init__", r"^(x 1.05|sign): posterior.knows_kl_to", "only true or false is read"),
    Row("nn.*forward", r"^(x 1.05|sign): x .* in: expect\(", "only its type and its shape are read"),
    Row("nn.convolution.*forward", r"^(x 1.05|sign): self._is_compiled", "only true or false is read"),
    Row("nn.convolution.Convolution._add_bias", r"^constant: 2  ->  0 .* in: bias = ",
        "the biases are repeated for each row of the picture, of which one is read"),
    Row("nn.layers.Flatten._moved", r"^arguments swapped: .*swapaxes\(", "two axes are exchanged, in any order"),
    Row("nn.layers.Flatten.forward", r"^(x 1.05|sign): x .* in: self.x = ", "of x backward reads only the shape"),
    Row("nn.layers.Flatten.forward", r"^sign: .* in: if x.shape\[3\] %", "what is divisible is so with either sign"),
    Row("nn.layers.Flatten.forward", r"^constant: 1  ->  2 .*_moved",
        "for NumPy any length below 0 is the one to be found"),
    Row("nn.layers.(expect|check_upstream)",
        r"^(dropped statement: (if type|return)|comparison: if type\(.*  ->  if False:)"
        r"|^(constant: [01]  ->  [01]|wrong variable: (need_dx  ->  y|y  ->  layer)) .* in: if type\(",
        "the usual case takes the long way, to the same verdict"),
    Row("training.objectives.free_bits", "^comparison: kl.real > minimum  ->  kl.real >= minimum",
        "where the two are equal either is the term"),
    Row("training.objectives.free_bits", "^x 1.05: counts .*np.where", "only true or false is read"),
    Row("training.objectives._check_closed_form", r"^arguments swapped: has\(", "both are asked for, in any order"),
    Row("training.objectives._check_samples",
        r"^(comparison: samples.ndim != 3 .*  ->  samples.shape\[1:\] != |(x 1.05|sign): len\(samples\) .* == 0)",
        "three axes follow from the shape, and an array without entries is refused at the door"),
    Row("training.objectives._check_samples", "^order: samples = eps .* before  x, eps = ",
        "`checked` has made an array of eps already"),
    Row("training.objectives.score_function", r"^(x 1.05|sign): baseline .*np.shape\(", "only its shape is read"),
    Row("training.objectives.score_function", r"^results swapped: \(\(\), \(len", "one of two shapes, in any order"),
    Row("training.objectives.score_function", r"^wrong variable: x  ->  eps .*np.shape\(",
        "there are as many rows of both"),
    Row("training.batches.Pixels.__init__", r"^order: if binarize == 'static':  before  if images.dtype",
        "numbers that are no bytes are refused either way"),
    Row("training.batches.Pixels.batches", r"^dropped argument: .*, dtype=np.int64\)  ->",
        "int64 is what NumPy takes by itself on 64 bits; tests/test_training.py plays a platform of 32"),
    Row("training.batches.Pixels.(into|__init__)", r"^constant: 1  ->  0 .*np.empty\(\(0, ",
        "an array without rows is replaced at the first batch"),
]


def reason_of(target: str, mutant: str, rows: list[Row] | None = None) -> str | None:
    """Why a mutant computes the same, or None where it should not."""
    return next((row.reason for row in (ROWS if rows is None else rows) if row.excuses(target, mutant)), None)
