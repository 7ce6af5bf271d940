"""Training: the loop, the objectives that it minimises, the optimizers, and the state of a run."""
