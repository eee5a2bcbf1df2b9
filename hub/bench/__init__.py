"""Benchmarks of the hub: they print JSON and are not tests."""
