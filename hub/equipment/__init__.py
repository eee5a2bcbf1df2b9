"""The equipment feed: reads a view of a plant's machines, aggregates its rows per machine, and serves them."""
