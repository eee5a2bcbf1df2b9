"""The cache: process memory in front of Redis, and a lock between processes."""
