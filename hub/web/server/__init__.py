"""The web server: its sockets, its connections and their bounds."""
