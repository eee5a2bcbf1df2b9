"""HTTP and WebSocket: requests, responses, limits and errors, independent of what the routes do."""
