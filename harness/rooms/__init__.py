"""Calls in real rooms: a LiveKit server of our own, the agent file as a worker, and callers in their own processes."""
