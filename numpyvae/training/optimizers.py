"""Optimizers: from gradients to better weights.  Each keeps what it needs between steps in flat vectors (P,)."""
from __future__ import annotations

from typing import Protocol

import numpy as np

from .. import kernels
from ..arguments import PARAMETERS, FRACTION, POSITIVE, checked, counted
from ..nn.parameters import Parameters
from ..twin import twin


class Optimizer(Protocol):
    """What training asks of an optimizer."""

    def step(self, parameters: Parameters) -> None: ...


class SGD:
    """w <- w - lr g."""

    @checked(lr=POSITIVE)
    def __init__(self, lr: float = 1e-2):
        self.lr = float(lr)

    def __repr__(self) -> str:
        return f"SGD(lr={self.lr:g})"

    def step(self, parameters: Parameters) -> None:
        """Update parameters.values by parameters.grads."""
        PARAMETERS.check("step", "parameters", parameters)
        parameters.values -= self.lr * parameters.grads


class Momentum:
    """v <- momentum v + g,  w <- w - lr v: a running sum of gradients, in which alternating parts cancel.

    [Polyak 1964, in the form of Sutskever et al. 2013]
    """

    @checked(lr=POSITIVE, momentum=FRACTION)
    def __init__(self, lr: float = 1e-2, momentum: float = 0.9):
        self.lr = float(lr)
        self.momentum = float(momentum)
        self.velocity: np.ndarray | None = None

    def __repr__(self) -> str:
        return f"Momentum(lr={self.lr:g}, momentum={self.momentum:g})"

    def step(self, parameters: Parameters) -> None:
        """Update parameters.values by parameters.grads."""
        PARAMETERS.check("step", "parameters", parameters)
        if self.velocity is None:
            self.velocity = np.zeros_like(parameters.values)
        elif self.velocity.shape != parameters.values.shape:
            raise ValueError(f"step: parameters has {parameters.values.size:,} values, but the steps before had "
                             f"{self.velocity.size:,}; expected the same model: make a new Momentum for each")
        self.velocity *= self.momentum
        self.velocity += parameters.grads
        parameters.values -= self.lr * self.velocity


class Adam:
    """A step of about lr for each weight, whatever the gradient's scale, as long as that is far above eps.

    m <- beta1 m + (1 - beta1) g             a running mean of the gradient
    s <- beta2 s + (1 - beta2) g^2           and of its square
    w <- w - lr m' / (sqrt(s') + eps)        with m' = m / (1 - beta1^t), s' = s / (1 - beta2^t)

    m and s start at zero, so after t steps m holds only (1 - beta1^t) of a full mean; m' corrects this.
    [Kingma & Ba 2015, algorithm 1]

    Once a weight's gradient is zero, its m and s vanish when they are near the smallest numbers that their dtype has;
    kernels/adam.py says why.  In float32 the square of a gradient below 1e-22 is zero already.
    """

    @checked(lr=POSITIVE, beta1=FRACTION, beta2=FRACTION, eps=POSITIVE)
    def __init__(self, lr: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8):
        self.lr = float(lr)
        self.beta1, self.beta2 = float(beta1), float(beta2)
        self.eps = float(eps)
        self.t = 0
        self.mean: np.ndarray | None = None
        self.square: np.ndarray | None = None

    def __repr__(self) -> str:
        return (f"Adam(lr={self.lr:g}, beta1={self.beta1:g}, beta2={self.beta2:g}, eps={self.eps:g}, "
                f"{counted(self.t, 'step')} taken)")

    def step(self, parameters: Parameters) -> None:
        """Update parameters.values by parameters.grads."""
        PARAMETERS.check("step", "parameters", parameters)
        if self.mean is None or self.square is None:
            self.mean, self.square = np.zeros_like(parameters.values), np.zeros_like(parameters.values)
        self.t += 1
        adam(parameters.values, parameters.grads, self.mean, self.square, self.lr, 1 - self.beta1, 1 - self.beta2,
             1 - self.beta1**self.t, 1 - self.beta2**self.t, self.eps)


BLOCK = 2**15    # weights at a time: NumPy's intermediate results then stay in the cache


@twin(kernels.adam.adam, writes=("values", "mean", "square"), wrt=(), values="P", grads="P", mean="P", square="P",
      lr="number", rate1="number", rate2="number", correction1="number", correction2="number", eps="number")
def adam(values: np.ndarray, grads: np.ndarray, mean: np.ndarray, square: np.ndarray, lr: float,
         rate1: float, rate2: float, correction1: float, correction2: float, eps: float) -> np.ndarray:
    """One step of Adam in place, for rates 1 - beta and corrections 1 - beta^t; the formulas are in class Adam.

    values, grads, mean, square : (P,)
    """
    for i in range(0, values.size, BLOCK):
        some = slice(i, i + BLOCK)
        g, m, s = grads[some], mean[some], square[some]
        m += rate1 * (g - m)
        s += rate2 * (g**2 - s)
        negligible = kernels.adam.NEGLIGIBLE * np.finfo(s.dtype).tiny
        m[(abs(m) <= negligible) & (g == 0)] = 0
        s[(s <= negligible) & (m == 0)] = 0
        values[some] -= lr / correction1 * m / (np.sqrt(s / correction2) + eps)
    return values


OPTIMIZERS = {"sgd": SGD, "momentum": Momentum, "adam": Adam}
