"""What the link to any instrument is made of: its socket, its pauses, and the requests that wait for it."""
