"""How good is a trained VAE?  The measures that papers report."""
from .factors import factor_recovery, mutual_information_gap, nearest_neighbour_accuracy
from .latents import active_units, aggregate_moments, encode_all, kl_per_dimension
from .likelihood import LogLikelihood, log_likelihood, log_weights, pareto_k
from .remarks import remarks

__all__ = ["LogLikelihood", "active_units", "aggregate_moments", "encode_all", "factor_recovery", "kl_per_dimension",
           "log_likelihood", "log_weights", "mutual_information_gap", "nearest_neighbour_accuracy", "pareto_k",
           "remarks"]
