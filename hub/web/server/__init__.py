"""The web server: sockets, connections and their limits."""
