"""The cache: process memory in front of Redis, and locks and slots that processes share through Redis."""
