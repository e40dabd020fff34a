"""`web`: one page in which a person talks to the agent by microphone, with everything behind it started."""
