"""The hub's memory in SQL."""
