"""The routes, one file per resource, and the application that serves them."""
