"""A server that outlives a run: kept warm by a process of its own, attached by the next run that it fits."""
