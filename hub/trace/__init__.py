"""Traces: bulk reads of where lots came from, what they became, and what happened to them."""
