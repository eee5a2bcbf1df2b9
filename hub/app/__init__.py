"""The running service: builds the parts, starts, reloads and stops them."""
