"""The Oracle room: connections and the lanes they are used in."""
