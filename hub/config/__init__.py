"""config.yaml as frozen models, every problem with its place, and what a change of the file means."""
