"""LiveKit's session with what the promises need: LiveKit's events become the floor's, its actions calls to LiveKit."""
