"""Commits transitions with their deliveries, then announces them."""
