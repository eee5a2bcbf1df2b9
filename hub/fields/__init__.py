"""The types of single values of config.yaml, and what to suggest where one is wrong."""
