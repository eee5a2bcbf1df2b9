"""Readings and snapshots, their sliding windows, and the samples that rules see."""
