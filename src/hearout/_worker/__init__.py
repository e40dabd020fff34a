"""What hearout adds to LiveKit's worker, in the worker's main process: failover, metrics, the local models."""
