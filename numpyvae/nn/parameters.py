"""Every weight of a model in one vector, every gradient in another, both seen through named views."""
from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from ..arguments import ANYTHING, COUNT, DTYPE, LAYER, TEXT, all_are, checked, has, one_of
from .buffers import aligned
from .layers import Layer


_living: weakref.WeakSet[Parameters] = weakref.WeakSet()


def _arrays_in(value: Any) -> list[Any]:
    """The arrays in a value: the value itself, those of a layer, or those of a list of either."""
    if isinstance(value, (list, tuple)):
        return [array for one in value for array in _arrays_in(one)]
    return [*value.params.values(), *value.grads.values()] if has("params", "grads")(value) else [value]


class Parameters:
    """The weights of several layers, moved into one flat vector.

    values, grads : (P,), the weights and their gradients
    names         : "encoder.0.W", "encoder.0.b", ... in the order in which they lie in the vectors

    dtype : of both; the layers' own, if None

    The layers keep working: their `params` and `grads` become views of the two vectors.  So the optimizer takes
    one pass, a checkpoint is one array, and a gradient check needs one index.  parameters["encoder.0.W"] is a view.
    """

    @checked(named_layers=ANYTHING, dtype=DTYPE)
    def __init__(self, named_layers: Iterable[tuple[str, Layer]], dtype: Any = None):
        named_layers = list(named_layers) if isinstance(named_layers, (Iterator, tuple, list)) else []
        if not named_layers or not all(all_are(ANYTHING.fits)(pair) and len(pair) == 2 and isinstance(pair[0], str)
                                       and has("params", "grads")(pair[1]) for pair in named_layers):
            raise TypeError("Parameters: named_layers are not pairs of a name and a layer; expected at least one pair")
        for i, (prefix, layer) in enumerate(named_layers):
            before = next((name for name, other in named_layers[:i] if other is layer), None)
            if before is not None:    # even without weights: it keeps only one x for backward
                raise ValueError(f"Parameters: {prefix} is the same layer as {before}; expected a separate layer in "
                                 "each place")
        weights = {f"{prefix}.{name}": weight
                   for prefix, layer in named_layers for name, weight in layer.params.items()}
        if not weights:
            raise ValueError("Parameters: the layers hold no weights; expected at least one layer that has some")
        self.names = list(weights)
        dtype = dtype or np.result_type(*weights.values())
        ends = np.cumsum([weight.size for weight in weights.values()])
        self._place = {name: (slice(end - weight.size, end), weight.shape)
                       for (name, weight), end in zip(weights.items(), ends)}
        self.values, self.grads = (aligned((int(ends[-1]),), dtype) for _ in range(2))
        self.values[:] = np.concatenate([weight.ravel() for weight in weights.values()])
        self.grads[:] = 0
        left = {id(array): array for _, layer in named_layers
                for array in (*layer.params.values(), *layer.grads.values())}
        for prefix, layer in named_layers:
            for name in layer.params:
                layer.params[name] = self._view(self.values, f"{prefix}.{name}")
                layer.grads[name] = self._view(self.grads, f"{prefix}.{name}")
        for prefix, layer in named_layers:
            for name, value in getattr(layer, "__dict__", {}).items():
                if any(id(array) in left for array in _arrays_in(value)):
                    raise ValueError(f"Parameters: {prefix} keeps weights in {name}, outside params, where training "
                                     "does not reach them; expected a forward that reads self.params")
        _living.add(self)

    def __repr__(self) -> str:
        """A line for each array: its name and its shape."""
        width = max(map(len, self.names))
        lines = [f"{name:{width}}  {shape}" for name, (_, shape) in self._place.items()]
        return "\n".join([f"{self.values.size:,} weights of {self.values.dtype}", *lines])

    @staticmethod
    def holds(layer: Layer) -> bool:
        """Whether a layer's weights lie in the vector of some living Parameters."""
        return any(np.may_share_memory(weight, other.values) for other in _living for weight in layer.params.values())

    @checked(prefix=TEXT, layer=LAYER)
    def sees(self, prefix: str, layer: Layer) -> bool:
        """Whether a layer's arrays are the views that it was given."""
        return all(f"{prefix}.{name}" in self._place
                   and np.may_share_memory(weight, self.values) and weight.shape == self[f"{prefix}.{name}"].shape
                   and np.may_share_memory(layer.grads[name], self.grads) for name, weight in layer.params.items())

    def __len__(self) -> int:
        return self.values.size

    def __getitem__(self, name: str) -> np.ndarray:
        """The weights called `name`, as a view.  Raises ValueError with a list of the names for any other."""
        return self._view(self.values, name)

    @checked(name=TEXT)
    def grad(self, name: str) -> np.ndarray:
        """The gradient for the weights called `name`, as a view."""
        return self._view(self.grads, name)

    @checked(index=COUNT)
    def locate(self, index: int) -> tuple[str, tuple[int, ...]]:
        """The name of the array that holds values[index], and the index within it."""
        for name, (where, shape) in self._place.items():
            if where.start <= index < where.stop:
                return name, tuple(int(i) for i in np.unravel_index(index - where.start, shape))
        raise ValueError(f"index is {index}; expected 0 to {len(self) - 1}")

    def first_not_finite(self) -> str | None:
        """The name of the first weights that hold a NaN or an infinity, or None."""
        return next((name for name in self.names if not np.isfinite(self[name]).all()), None)

    def _view(self, vector: np.ndarray, name: str) -> np.ndarray:
        where, shape = self._place[one_of("name", name, self._place)]
        return vector[where].reshape(shape)
