"""How the time of training grows with the work: one thing grows, everything else stays the same.

    python -m benchmarks.scaling
"""
from __future__ import annotations

import pathlib

import numpy as np

import numpyvae as nv

from .floor import training_step
from .interleave import interleave
from .results import table, write_section

FIGURE = pathlib.Path(__file__).with_name("scaling.png")
HIDDEN, LATENT, BATCH = 400, 20, 128


def epoch(n_images: int):
    images = nv.datasets.strokes(n_images, seed=0)[0]
    vae = nv.VAE.dense(784, (HIDDEN,), LATENT, rng=np.random.default_rng(0))
    adam, rng = nv.Adam(1e-3), np.random.default_rng(0)
    return lambda: list(nv.fit(vae, images, optimizer=adam, epochs=1, batch_size=BATCH, rng=rng))


SWEEPS = {    # name -> sizes, the work of a size, what the time should be proportional to
    "images (an epoch)": ([1280, 2560, 5120, 10240], epoch, "images"),
    "batch (a step)": ([128, 256, 512, 1024, 2048], lambda n: training_step((HIDDEN,), LATENT, n), "batch"),
    "hidden width (a step)": ([256, 512, 1024, 2048], lambda n: training_step((n,), LATENT, BATCH), "width"),
    "latent size (a step)": ([64, 128, 256, 512, 1024], lambda n: training_step((HIDDEN,), n, BATCH), "latent size"),
}


def main() -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator
    figure = Figure(figsize=(10, 2.8), layout="constrained")
    axes, rows = figure.subplots(1, len(SWEEPS)), []
    for ax, (name, (sizes, make, label)) in zip(axes, SWEEPS.items()):
        times = interleave({str(n): make(n) for n in sizes}, rounds=8)
        seconds = np.array([np.median(times[str(n)]) for n in sizes])
        exponent, intercept = np.polyfit(np.log(sizes), np.log(seconds), 1)
        slope, fixed = np.polyfit(sizes, seconds, 1)
        rows.append([name, f"{sizes[0]} – {sizes[-1]}", f"{exponent:.2f}",
                     f"{1000 * fixed:.2f} ms + {1e6 * slope:.2f} µs each"])
        ax.loglog(sizes, 1000 * seconds, "o", color=nv.plots.BLUE)
        ax.loglog(sizes, 1000 * np.exp(intercept) * np.array(sizes)**exponent, color=nv.plots.ORANGE, linewidth=1)
        ax.set(xlabel=label, ylabel="ms", title=f"{name}\nexponent {exponent:.2f}")
        ax.set_xticks(sizes, [str(n) for n in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.title.set_fontsize(9)
        ax.tick_params(which="both", labelsize=8)
    figure.savefig(FIGURE, dpi=110)
    write_section("Cost as work grows", "python -m benchmarks.scaling", f"""
784-{HIDDEN}-{LATENT}, batch {BATCH}, float32, unless stated otherwise.  The exponent is fitted to all sizes (time ~
size^exponent): 1 is linear; below 1 there is a fixed cost in it, which the last column shows, a straight line through
the same times: what the rest of the network takes.

{table(["what grows", "sizes", "exponent", "fixed cost + cost of one more"], rows)}

![time against size, logarithmic axes]({FIGURE.name})
""")


if __name__ == "__main__":
    main()
