"""Measures what hearout does, beside LiveKit's own session; `python -m bench` prints the tables."""
