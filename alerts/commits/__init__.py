"""Transitions that were decided, committed with their deliveries and then announced."""
