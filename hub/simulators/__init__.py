"""What stands in for the world in the demo, the tests and the benches: meters, a webhook receiver, an Oracle."""
