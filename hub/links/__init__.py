"""The parts of the link to any instrument: its socket, its pauses, and its queue of requests."""
