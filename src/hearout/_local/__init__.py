"""STT, LLM and TTS that need no key: local models behind LiveKit's Inference protocol."""
