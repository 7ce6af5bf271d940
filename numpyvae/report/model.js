// The model of this page: numpyvae's forward pass in JavaScript.  Each function and each class has the name, the
// formula and the layout of arrays that it has in numpyvae/functional, numpyvae/nn and numpyvae/models, for one image in
// place of a batch.  Nothing is trained here, so nothing has a backward pass.
"use strict";

// An array is a Float32Array with the shape that NumPy would give it.
function array(shape, values = new Float32Array(shape.reduce((n, side) => n * side, 1))) {
  values.shape = shape;
  return values;
}

const reshape = (x, shape) => array(shape, x.subarray());
const each = (f, x) => array(x.shape, x.map((a) => f(a)));    // f of every element

// functional/activations.py

const identity = (a) => a;
const relu = (a) => (a < 0 ? 0 : a);                                           // max(a, 0), and a NaN stays a NaN
const tanh = (a) => Math.tanh(a);                                              // (e^a - e^-a) / (e^a + e^-a)
const sigmoid = (a) => (a < 0 ? Math.exp(a) : 1) / (1 + Math.exp(-Math.abs(a)));    // 1 / (1 + e^-a), for every a
const softplus = (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)));   // log(1 + e^a), for every a
const silu = (a) => a * sigmoid(a);
const gelu = (a) => 0.5 * a * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (a + 0.044715 * a ** 3)));

const ACTIVATIONS = { identity, relu, tanh, sigmoid, softplus, gelu, silu };

// functional/affine.py

// x : (I,), W : (I, O), b : (O,)  ->  y : (O,),          y_o = sum_i x_i W_io + b_o
function affine(x, W, b) {
  const [n_in, n_out] = W.shape, y = array([n_out], b.slice());
  for (let i = 0; i < n_in; i++) {
    const x_i = x[i], row = i * n_out;
    if (x_i === 0) continue;    // as most pixels of a digit, and half of what relu puts out
    for (let o = 0; o < n_out; o++) y[o] += x_i * W[row + o];
  }
  return y;
}

// functional/labels.py

// y = [x, c]: x with the one-hot label appended.
function concatenate(x, c) {
  const y = array([x.length + c.length]);
  y.set(x);
  y.set(c, x.length);
  return y;
}

function one_hot(label, n_classes) {
  const c = array([n_classes]);
  c[label] = 1;
  return c;
}

// functional/convolution.py

// Calls f(pq, kl, ij) for every place p, q of the window and every k, l within it: it sees the pixel
// i = s p + k - m,  j = s' q + l - m'  of the picture, unless that lies outside.
function for_windows([P, Q], [K, L], [height, width], stride, padding, f) {
  for (let p = 0; p < P; p++) for (let q = 0; q < Q; q++) {
    for (let k = 0; k < K; k++) for (let l = 0; l < L; l++) {
      const i = stride[0] * p + k - padding[0], j = stride[1] * q + l - padding[1];
      if (i >= 0 && i < height && j >= 0 && j < width) f(p * Q + q, k * L + l, i * width + j);
    }
  }
}

const conv_size = (size, kernel, stride, padding) => Math.floor((size + 2 * padding - kernel) / stride) + 1;
const transposed_size = (size, kernel, stride, padding, output_padding) =>
  (size - 1) * stride - 2 * padding + kernel + output_padding;

// x : (H, W, C), W : (K, L, C, O), b : (O,)  ->  y : (P, Q, O),          y_pqo = b_o + sum_klc x_ijc W_klco
function conv2d(x, W, b, stride, padding) {
  const [K, L, C, O] = W.shape;
  const places = [0, 1].map((side) => conv_size(x.shape[side], W.shape[side], stride[side], padding[side]));
  const y = array([...places, O]);
  for (let at = 0; at < y.length; at += O) y.set(b, at);
  for_windows(places, [K, L], x.shape, stride, padding, (pq, kl, ij) => {
    for (let c = 0; c < C; c++) {
      const x_ijc = x[ij * C + c], row = (kl * C + c) * O;
      if (x_ijc === 0) continue;
      for (let o = 0, at = pq * O; o < O; o++) y[at + o] += x_ijc * W[row + o];
    }
  });
  return y;
}

// x : (P, Q, C), W : (K, L, O, C), b : (O,)  ->  y : (H, W, O),          y_ijo = b_o + sum x_pqc W_kloc
// over c and all p, k, q, l whose window sees i, j: each pixel paints a window, and where windows overlap they add up.
function conv_transpose2d(x, W, b, stride, padding, output_padding) {
  const [K, L, O, C] = W.shape;
  const sides = [0, 1].map((side) => transposed_size(x.shape[side], W.shape[side], stride[side], padding[side],
                                                     output_padding[side]));
  const y = array([...sides, O]);
  for (let at = 0; at < y.length; at += O) y.set(b, at);
  for_windows(x.shape, [K, L], sides, stride, padding, (pq, kl, ij) => {
    for (let o = 0; o < O; o++) {
      const row = (kl * O + o) * C;
      let sum = 0;
      for (let c = 0; c < C; c++) sum += x[pq * C + c] * W[row + c];
      y[ij * O + o] += sum;
    }
  });
  return y;
}

// functional/gaussian.py, functional/full_gaussian.py

const HALF_LOG_2_PI = 0.5 * Math.log(2 * Math.PI);

function sum(n, term) {
  let total = 0;
  for (let i = 0; i < n; i++) total += term(i);
  return total;
}

// z = mu + sigma eps
const reparameterize = (mu, logvar, eps) => array(mu.shape, mu.map((m, i) => m + Math.exp(0.5 * logvar[i]) * eps[i]));

// 1/2 sum_i ( sigma_i^2 + mu_i^2 - 1 - log sigma_i^2 ), in nats
const gaussian_kl = (mu, logvar) => 0.5 * sum(mu.length, (i) => Math.exp(logvar[i]) + mu[i] ** 2 - 1 - logvar[i]);

// z = mu + L eps, with exp(logvar / 2) on L's diagonal and `lower` below it.
function full_reparameterize(mu, logvar, lower, eps) {
  const z = reparameterize(mu, logvar, eps);
  return array(z.shape, z.map((z_i, i) => z_i + sum(i, (j) => lower[i * z.length + j] * eps[j])));
}

const full_gaussian_kl = (mu, logvar, lower) =>
  gaussian_kl(mu, logvar) + 0.5 * sum(mu.length, (i) => sum(i, (j) => lower[i * mu.length + j] ** 2));

// functional/likelihoods.py, continuous_bernoulli.py, discretized_logistic.py, student_t.py: -log p(x|z), in nats

const bernoulli_nll = (logits, x) => sum(x.length, (d) => softplus(logits[d]) - x[d] * logits[d]);

const gaussian_nll = (mean, x, sigma) =>
  sum(x.length, (d) => 0.5 * ((x[d] - mean[d]) / sigma) ** 2 + Math.log(sigma) + HALF_LOG_2_PI);

// theta = [mean, logvar]
const gaussian_learned_nll = (theta, x) => sum(x.length, (d) => {
  const mean = theta[d], logvar = theta[x.length + d];
  return 0.5 * ((x[d] - mean) ** 2 * Math.exp(-logvar) + logvar) + HALF_LOG_2_PI;
});

const DEGREES = 4;    // of freedom
const LOG_C = Math.log(0.375);    // Gamma(5/2) / ( Gamma(2) sqrt(4 pi) ) = 3/8

const student_t_nll = (mean, x, sigma) => sum(x.length, (d) => {
  const r = (x[d] - mean[d]) / sigma;
  return 0.5 * (DEGREES + 1) * Math.log1p(r ** 2 / DEGREES) + Math.log(sigma) - LOG_C;
});

// log( (e^a - 1) / a ) - a x
const continuous_bernoulli_nll = (logits, x) => sum(x.length, (d) => {
  const a = logits[d], size = Math.abs(a);
  return (a === 0 ? 0 : Math.max(a, 0) + Math.log(-Math.expm1(-size) / size)) - a * x[d];
});

// 1 / (1 - e^-a) - 1 / a; near 0, where these cancel, the series 1/2 + a/12 - a^3/720 + a^5/30240
function continuous_bernoulli_mean(a) {
  const size = Math.abs(a);
  if (size < 0.3) return 0.5 + a / 12 - a ** 3 / 720 + a ** 5 / 30240;
  const far = -1 / Math.expm1(-size) - 1 / size;
  return a < 0 ? 1 - far : far;
}

const HALF_LEVEL = 1 / 510;

// -log P = softplus(-p) + softplus(q) - log(1 - e^-(p - q)), the first where there is a level above, the second where
// there is one below.  theta = [m, log s]
const discretized_logistic_nll = (theta, x) => sum(x.length, (d) => {
  const m = theta[d], w = Math.exp(-theta[x.length + d]), above = x[d] < 1, below = x[d] > 0;
  const p = (x[d] + HALF_LEVEL - m) * w, q = (x[d] - HALF_LEVEL - m) * w;
  return above * softplus(-p) + below * softplus(q) - (above && below ? Math.log(-Math.expm1(-2 * HALF_LEVEL * w)) : 0);
});

// s ( softplus(m / s) - softplus((m - 1) / s) ), mirrored at 1/2; for a wide logistic in the form that does not cancel.
function discretized_logistic_mean(m, log_s) {
  const w = Math.exp(Math.min(Math.max(-log_s, -60), 60)), mirrored = m > 0.5;
  const near = mirrored ? 1 - m : m, b = (near - 1) * w;
  const mean = (w < 1 ? Math.log1p(sigmoid(b) * Math.expm1(w)) : softplus(near * w) - softplus(b)) / w;
  return Math.min(Math.max(mirrored ? 1 - mean : mean, 0), 1);
}

// nn/layers.py, nn/convolution.py.  take(shape) gives a layer its weights, the next ones of the model's vector.

class Dense {    // y = activation(x W + b)
  constructor({ n_in, n_out, activation }, take) {
    Object.assign(this, { W: take([n_in, n_out]), b: take([n_out]), activation: ACTIVATIONS[activation] });
  }
  forward(x) { return each(this.activation, affine(x, this.W, this.b)); }
}

class Conv2d {
  constructor({ n_in, n_out, kernel_size, stride, padding, activation }, take) {
    Object.assign(this, { W: take([...kernel_size, n_in, n_out]), b: take([n_out]), stride, padding,
                          activation: ACTIVATIONS[activation] });
  }
  forward(x) { return each(this.activation, conv2d(x, this.W, this.b, this.stride, this.padding)); }
}

class ConvTranspose2d {
  constructor({ n_in, n_out, kernel_size, stride, padding, output_padding, activation }, take) {
    Object.assign(this, { W: take([...kernel_size, n_out, n_in]), b: take([n_out]), stride, padding, output_padding,
                          activation: ACTIVATIONS[activation] });
  }
  forward(x) {
    return each(this.activation, conv_transpose2d(x, this.W, this.b, this.stride, this.padding, this.output_padding));
  }
}

class Reshape {    // a row as an image
  constructor({ shape }) { this.shape = shape; }
  forward(x) { return reshape(x, this.shape); }
}

class ReshapeLabelled {    // the same for pixels and a one-hot label, which becomes channels
  constructor({ shape, n_classes }) { Object.assign(this, { shape, n_classes }); }
  forward(x) {
    const [height, width, channels] = this.shape, n_data = height * width * channels;
    const y = array([height, width, channels + this.n_classes]), label = x.subarray(n_data);
    for (let ij = 0; ij < height * width; ij++) {
      y.set(x.subarray(ij * channels, (ij + 1) * channels), ij * (channels + this.n_classes));
      y.set(label, ij * (channels + this.n_classes) + channels);
    }
    return y;
  }
}

class Flatten {    // an image as a row, one group of its channels after the other
  constructor({ groups }) { this.groups = groups; }
  forward(x) {
    const channels = x.shape[2] / this.groups, y = array([x.length]);
    let at = 0;
    for (let group = 0; group < this.groups; group++) {
      for (let i = group * channels; i < x.length; i += x.shape[2], at += channels) {
        y.set(x.subarray(i, i + channels), at);
      }
    }
    return y;
  }
}

class SharedLogvar {    // [means, one learned log variance for all of them]
  constructor({ n_in }, take) { Object.assign(this, { n_in, logvar: take([1]) }); }
  forward(x) { return concatenate(x, array([this.n_in]).fill(this.logvar[0])); }
}

class Sequential {    // layers one after another; with none, the identity
  constructor({ layers }, take) { this.layers = layers.map((layer) => make(layer, take)); }
  forward(x) { return this.layers.reduce((y, layer) => layer.forward(y), x); }
}

// models/posteriors.py, models/priors.py: q(z|x), p(z).  covariance(q, i, j) is that of two dimensions of z.

class DiagonalGaussian {
  constructor({ n_hidden, n_latent }, take) {
    const head = () => new Dense({ n_in: n_hidden, n_out: n_latent, activation: "identity" }, take);
    Object.assign(this, { n_latent, mu_head: head(), logvar_head: head() });
  }
  forward(h) { return { mu: this.mu_head.forward(h), logvar: this.logvar_head.forward(h) }; }
  reparameterize({ mu, logvar }, eps) { return reparameterize(mu, logvar, eps); }
  kl({ mu, logvar }) { return gaussian_kl(mu, logvar); }
  covariance({ logvar }, i, j) { return i === j ? Math.exp(logvar[i]) : 0; }
}

class FullGaussian extends DiagonalGaussian {    // N(mu, L L^T)
  constructor({ n_hidden, n_latent }, take) {
    super({ n_hidden, n_latent }, take);
    this.lower_head = new Dense({ n_in: n_hidden, n_out: n_latent ** 2, activation: "identity" }, take);
  }
  forward(h) { return { ...super.forward(h), lower: this.lower_head.forward(h) }; }
  reparameterize({ mu, logvar, lower }, eps) { return full_reparameterize(mu, logvar, lower, eps); }
  kl({ mu, logvar, lower }) { return full_gaussian_kl(mu, logvar, lower); }
  covariance({ logvar, lower }, i, j) {
    const L = (row, k) => (row === k ? Math.exp(0.5 * logvar[row]) : row > k ? lower[row * logvar.length + k] : 0);
    return sum(Math.min(i, j) + 1, (k) => L(i, k) * L(j, k));
  }
}

class StandardNormal {
  constructor({ n_latent }) { this.n_latent = n_latent; }
  sample(rng) { return array([this.n_latent]).map(() => rng.standard_normal()); }
}

// models/likelihoods.py: p(x|z), whose parameters theta the decoder puts out.  n : D, how many numbers x has

class Bernoulli {
  nll(theta, x) { return bernoulli_nll(theta, x); }
  mean(theta) { return theta.map((a) => sigmoid(a)); }
  sample(theta, rng) { return theta.map((a) => (rng.random() < sigmoid(a) ? 1 : 0)); }
}

class Gaussian {    // N(theta, sigma^2)
  constructor({ sigma }) { this.sigma = sigma; }
  nll(theta, x) { return gaussian_nll(theta, x, this.sigma); }
  mean(theta) { return theta.slice(); }
  sample(theta, rng) { return theta.map((mean) => mean + this.sigma * rng.standard_normal()); }
}

class StudentT extends Gaussian {    // a normal draw over the root of a chi^2 with 4 degrees, divided by 4
  nll(theta, x) { return student_t_nll(theta, x, this.sigma); }
  sample(theta, rng) {
    const chi2 = () => -2 * Math.log((1 - rng.random()) * (1 - rng.random()));
    return theta.map((mean) => mean + this.sigma * rng.standard_normal() / Math.sqrt(chi2() / DEGREES));
  }
}

class GaussianLearned {    // N(mean, exp(logvar)), theta = [mean, logvar]
  nll(theta, x) { return gaussian_learned_nll(theta, x); }
  mean(theta) { return theta.slice(0, theta.length / 2); }
  sample(theta, rng) {
    const logvar = theta.slice(theta.length / 2);
    return this.mean(theta).map((mean, d) => mean + Math.exp(0.5 * logvar[d]) * rng.standard_normal());
  }
}

class GaussianShared extends GaussianLearned {}    // the decoder's last layer is a SharedLogvar

class ContinuousBernoulli {
  nll(theta, x) { return continuous_bernoulli_nll(theta, x); }
  mean(theta) { return theta.map((a) => continuous_bernoulli_mean(a)); }
  sample(theta, rng) {    // by the inverse of P(x <= t) = (e^(at) - 1) / (e^a - 1), for |a|; for -|a| it is mirrored
    return theta.map((a) => {
      const size = Math.max(Math.abs(a), 1e-6), x = 1 + Math.log1p((1 - rng.random()) * Math.expm1(-size)) / size;
      return Math.min(Math.max(a < 0 ? 1 - x : x, 0), 1);
    });
  }
}

class DiscretizedLogistic {    // theta = [mean, log scale]
  nll(theta, x) { return discretized_logistic_nll(theta, x); }
  mean(theta) {
    return theta.slice(0, theta.length / 2).map((m, d) => discretized_logistic_mean(m, theta[theta.length / 2 + d]));
  }
  sample(theta, rng) {    // mean + scale log(u / (1 - u)), rounded to the nearest level
    return theta.slice(0, theta.length / 2).map((m, d) => {
      const u = rng.random(), x = m + Math.exp(theta[theta.length / 2 + d]) * Math.log(u / (1 - u));
      return Math.round(255 * Math.min(Math.max(x, 0), 1)) / 255;
    });
  }
}

// models/vae.py

class VAE {
  constructor({ encoder, posterior, decoder, likelihood, prior, n_classes }, take) {
    this.n_classes = n_classes;
    this.encoder = make(encoder, take);
    this.posterior = make(posterior, take);
    this.decoder = make(decoder, take);
    this.likelihood = make(likelihood, take);
    this.prior = make(prior, take);
    this.n_latent = this.posterior.n_latent;
  }
  with_label(x, label) { return this.n_classes === null ? x : concatenate(x, one_hot(label, this.n_classes)); }
  infer(x, label) { return this.posterior.forward(this.encoder.forward(this.with_label(x, label))); }    // q(z|x)
  generate(z, label) { return this.decoder.forward(this.with_label(z, label)); }    // theta of p(x|z)
  decode(z, label) { return this.likelihood.mean(this.generate(z, label)); }        // E[x|z]
}

const PARTS = {
  VAE, DiagonalGaussian, FullGaussian, StandardNormal, Bernoulli, ContinuousBernoulli, DiscretizedLogistic, Gaussian,
  GaussianLearned, GaussianShared, StudentT, Sequential, Dense, Conv2d, ConvTranspose2d, Reshape, ReshapeLabelled, Flatten,
  SharedLogvar,
};

// models/loading.py: a part from its tree, {"part": "Dense", "n_in": 784, ...}, and the model's vector of weights

const make = (tree, take) => new PARTS[tree.part](tree, take);

function load(tree, values) {
  let used = 0;
  return make(tree, (shape) => {
    const n = shape.reduce((product, side) => product * side, 1);
    used += n;
    return array(shape, values.subarray(used - n, used));
  });
}

// JSON as tree.py writes it, with tuples as lists.
const parse = (text) => JSON.parse(text, (key, value) => (value && value.tuple) || value);

// Numbers as the page keeps them, bytes in base64: {"uint8": "..."}, {"float16": "..."} or {"float32": "..."}.
function numbers({ uint8, float16, float32 }) {
  const text = atob(uint8 ?? float16 ?? float32), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  if (uint8 !== undefined) return Float32Array.from(bytes, (byte) => byte / 255);    // as functional/pixels.py
  const view = new DataView(bytes.buffer);    // whose numbers begin with their lowest byte, on any machine
  const read = float16 === undefined ? (i) => view.getFloat32(4 * i, true) : (i) => half(view.getUint16(2 * i, true));
  return Float32Array.from({ length: bytes.length / (float16 === undefined ? 4 : 2) }, (_, i) => read(i));
}

// Half precision: 1 bit of sign, 5 of exponent, 10 of fraction.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;    // all are finite
  return sign * (exponent === 0 ? 2 ** -24 * fraction : 2 ** (exponent - 25) * (1024 + fraction));
}

// The generator that draws: numpy.random.Generator's two methods that the models use.
const rng = {
  random: Math.random,
  standard_normal: () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
};
