"""Tries rules and receivers without a running hub."""
