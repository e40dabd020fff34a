"""The voice that needs no key: local models behind LiveKit's Inference protocol."""
