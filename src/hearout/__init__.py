"""Voice agents that finish what they must say, lose no word said over it, and show what was delivered."""
