"""Requests and answers over HTTP and WebSocket, whatever they are about."""
