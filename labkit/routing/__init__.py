"""Which model for which task: price per task, cascades, bounds, drift and fronts."""
