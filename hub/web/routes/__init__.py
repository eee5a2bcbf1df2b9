"""The routes, one file for each noun, and the application they make up."""
