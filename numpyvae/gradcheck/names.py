"""What people call things: the one table of synonyms.  All names are compared without _ and in small letters."""
from __future__ import annotations

FORWARD = ("forward", "forward_pass", "forward_propagation", "forwardprop", "fprop", "call", "__call__", "loss")
SLOPES = ("gradient", "grad", "derivative", "deriv", "prime")    # f'(x), which the caller multiplies by dy
BACKWARD = ("backward", "backward_pass", "backward_propagation", "backwardprop", "backprop", "bprop", *SLOPES)
FRAMEWORKS = {"torch": "PyTorch", "tensorflow": "TensorFlow", "keras": "Keras", "jax": "JAX", "flax": "Flax",
              "equinox": "Equinox", "mxnet": "MXNet", "paddle": "Paddle", "tinygrad": "tinygrad"}

# Parameters of constructors, of forward and of backward.
SIZES_IN = {"nin", "ninputs", "ninput", "infeatures", "inputsize", "indim", "inputdim", "inchannels", "fanin", "din",
            "sizein", "insize", "nchannels", "numfeatures", "nfeatures", "dim", "size", "features", "vocabsize",
            "numembeddings"}
MATRICES = {"w", "weight", "weights", "kernel", "theta", "wx", "filters", "wxh"}
SQUARES = {"wh", "whh", "u"}
BIASES = {"b", "bias", "biases"}
VECTORS = {"gamma", "beta", "scale", "shift", "slope"}
STATES = {"h", "prevh", "hprev", "h0", "state", "hidden"}
FLAGS = {"training", "train", "trainflg", "istraining", "trainmode"}
RATES = {"p", "rate", "dropout", "dropoutratio", "droprate", "keepprob", "prob", "alpha", "momentum", "negativeslope",
         "reg", "lambd", "lambda", "l2"}
LABELS = {"t", "label", "labels", "target", "targets", "ytrue", "ytarget", "classes", "onehot", "groundtruth", "actual"}
PREDICTIONS = {"ypred", "yhat", "al", "pred", "preds", "predictions", "predicted", "probs", "scores", "logits"}
STEPS = {"learningrate", "learnrate", "lr", "eta", "alpha", "stepsize"}
CACHES = {"cache", "caches", "ctx", "context", "memory", "saved"}
OUTPUTS = {"y", "out", "output", "outputs", "a", "z"}
NOISE, FUNCTIONS = {"rng", "generator", "randomstate"}, {"activation", "act", "nonlinearity"}
SMALL = {"stride": 1, "pad": 1, "padding": 1, "kernelsize": 3, "filtersize": 3, "k": 3, "poolh": 2, "poolw": 2,
         "poolsize": 2, "seed": 0}
KNOWN = SIZES_IN.union(MATRICES, SQUARES, BIASES, VECTORS, STATES, FLAGS, RATES, LABELS, STEPS, CACHES, NOISE,
                       FUNCTIONS, SMALL)

# Where weights and gradients stand.  A gradient is marked by one of MARKS before or after the weight's name (dW,
# grad_W, W_grad), or by a holder (grads["W"], weight.grad); the two names that are left have to be the same.
MARKS = ("gradients", "gradient", "grads", "grad", "derivative", "delta", "nabla", "dlossd", "dld", "d", "g")
HOLDERS = {"self", "params", "parameters", "param", "weights", "variables", "data", "value", "val", "v", "w", "p"}
GRADIENT_HOLDERS = {"gradients", "gradient", "grads", "grad", "g", "dparams", "deltas"}
SAME = {"weights": "w", "weight": "w", "kernel": "w", "biases": "b", "bias": "b", "input": "x", "inputs": "x",
        "in": "x"}
ACCESSORS = ("params", "parameters", "weights", "get_params", "get_parameters", "get_weights",
             "grads", "gradients", "get_grads", "get_gradients")    # methods and properties that hand out lists of them
ZERO_METHODS = ("zero_grad", "zero_grads", "zero_gradients", "zeroGrad", "flush_gradients", "clear_grad", "clear_grads",
                "cleargrads", "reset_grad", "reset_grads", "reset_gradients")


def plain(name: str) -> str:
    return name.lower().replace("_", "")
