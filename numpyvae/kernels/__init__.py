"""The mathematics of functional/ again, as loops that numba compiles: the same names in the same rooms."""
from . import gaussian

__all__ = ["gaussian"]
