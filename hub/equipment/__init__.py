"""The equipment feed: a view of a plant's machines, read, aggregated and served."""
