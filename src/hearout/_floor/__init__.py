"""Who may speak, what is owed, and which words are held: the only package that decides. No clock, task or LiveKit."""
