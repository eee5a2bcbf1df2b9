"""The trace room: where lots came from, where they went, and what happened to them; bulk reads of the history."""
