"""An evaluation in words, for the command line and the report."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..arguments import Kind, checked, counted
from ..models.vae import VAE
from ..nn.layers import Sequential


def parts_of(vae: VAE) -> dict[str, Any]:
    """What a VAE is made of, for a table."""
    def layers(network: Sequential) -> str:
        named = [f"{type(layer).__name__} {getattr(layer, 'n_out', '')} {getattr(layer, 'activation', '')}"
                 for layer in network.layers if layer.params]
        return ", ".join(" ".join(name.split()) for name in named) or "none"
    return {"n_data": vae.n_data, "encoder": layers(vae.encoder), "posterior": type(vae.posterior).__name__,
            "n_latent": vae.n_latent, "prior": type(vae.prior).__name__, "decoder": layers(vae.decoder),
            "likelihood": vae.likelihood.name, "beta": vae.beta}


RESULT = Kind(lambda value: isinstance(value, Mapping) and "log_likelihood" in value and "elbo" in value,
              "what numpyvae evaluate stored in evaluation.json", TypeError)


@checked(result=RESULT)
def lines(result: dict[str, Any], thing: str = "image") -> list[tuple[str, str, str]]:
    """(measure, value, what it says) of each number that `numpyvae evaluate` measured on images, or on rows."""
    found = [("data", result["data"], "measured on these, and not on the run's own")] if "data" in result else []
    found += [
        ("log p(x)", f"{result['log_likelihood']:.2f} ± {result['standard_error']:.2f} nats",
         f"mean of {counted(result['images'], f'test {thing}')}, "
         f"{counted(result['samples'], 'importance sample')} each"),
        ("effective samples", f"{result['effective_sample_size']:.0f}",
         f"of {result['samples']:,}, for the median {thing}; if few, log p(x) is underestimated"),
        ("ELBO", f"{result['elbo']:.2f} nats", "a lower bound on log p(x): -(rate + distortion)"),
        ("rate", f"{result['rate']:.2f} nats", f"the KL term: what the code tells about the {thing}"),
        ("distortion", f"{result['distortion']:.2f} nats", f"the NLL: what the code does not tell about the {thing}"),
        ("active units", f"{result['active_units']} of {result['n_latent']}",
         f"latent dimensions whose mean varies by more than 0.01 from {thing} to {thing}"),
        ("aggregate mean", f"{max(map(abs, result['aggregate_mean'])):.2f}",
         "the largest |mean| of a dimension over all codes; the prior has 0"),
        ("aggregate variance", f"{min(result['aggregate_variance']):.2f} – {max(result['aggregate_variance']):.2f}",
         "the smallest and the largest of a dimension; the prior has 1")]
    if "nearest_neighbour_accuracy" in result:
        found.append(("nearest neighbours", f"{result['nearest_neighbour_accuracy']:.1%}",
                      f"test {thing}s whose nearest training {thing}, in latent space, has the same label"))
    if "mutual_information_gap" in result:
        found.append(("MIG", f"{result['mutual_information_gap']:.3f}",
                      "1 if each true factor has a dimension of its own, 0 if none has (Chen et al. 2018)"))
    for name, share in result.get("factor_recovery", {}).items():
        found.append((f"  {name}", f"{share:.2f}",
                      "the share of this factor's information that its best dimension holds"))
    return found
