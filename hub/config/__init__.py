"""config.yaml as frozen models, every problem with its position, and what a change of the file requires."""
