"""From the first weights to the last: the loop, what it minimises, how a weight moves, and where a run stands."""
