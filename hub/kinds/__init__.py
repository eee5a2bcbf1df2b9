"""The kinds of instruments that a hub knows."""
