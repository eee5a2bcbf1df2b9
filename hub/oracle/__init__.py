"""Oracle: connections, and the lanes that limit and isolate their uses."""
