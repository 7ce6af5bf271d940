"""How long a training step takes when the host runs our two cores near each other, and when it does not.

    python -m benchmarks.placement

The same rounds as in `benchmarks.step`, sorted by the cost of a handover between the cores (distance.py).  Without the
extra `bench` (torch, jax) only the floor is measured.
"""
from __future__ import annotations

import numpy as np

from .distance import NEAR
from .floor import network_name
from .interleave import apart, by_name, one_round, rounds_by_distance, spread
from .results import table, title_with_choices, write_section
from .step import PEERS, steps

WORK = [((400,), 20, 128), ((400,), 20, 20)]    # hidden, latent, batch
ENOUGH, MOST = 10, 150    # rounds of each kind; rounds in all, in case one kind never comes


def main() -> None:
    rows = []
    for hidden, n_latent, batch in WORK:
        makers = steps(hidden, n_latent, batch)
        peers = [name for name in makers if name in PEERS]
        with apart(makers) as turns:
            near, far = rounds_by_distance(lambda: one_round(turns),
                                           lambda near, far: min(near, far) >= ENOUGH or near + far >= MOST)
        for where, rounds in (("near", near), ("far", far)):
            if rounds:
                times = by_name(rounds)
                rows.append([network_name(hidden, n_latent), batch, where, len(rounds),
                             *(f"{1000 * np.median(times[name]):.2f}" for name in ("numpyvae", "floor")),
                             *(spread(times, name, "numpyvae") for name in ("floor", *peers))])
    write_section(title_with_choices("Where the host puts the cores"), "python -m benchmarks.placement", f"""
"Near": one core sees what the other has written after less than {NEAR} ns, before the round and after it.  All the
other tables are of such rounds.  "Floor" and the frameworks' columns as in "A training step".

{table(["network", "batch", "cores", "rounds", "ms a step", "ms its products", "floor", *peers], rows)}
""", ["numpy", "numba", "torch", "jax"])


if __name__ == "__main__":
    main()
