"""What stands in LiveKit's audio and text path: transcripts, nodes, retries, prepared answers, playout. No floor."""
