"""Refuses to start with a secret that anybody knows or can guess; `python -m deploy.check`, before anything else runs.

What is set must be what `openssl rand -hex 32` prints, or as good: examples, defaults and short ones are refused.
"""

import os
import sys
from collections.abc import Mapping

NEEDED = ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LIVEKIT_KEYS", "POSTGRES_PASSWORD", "HEAROUT_LEDGER")
SHORTEST = 32
"""Characters of a secret: LiveKit's own limit (1.13.5)."""
FEWEST = 8
"""Different characters in one: a repeated word has fewer, 32 random hex digits nearly never."""
KNOWN = ("secret", "devkey", "password", "changeme", "example", "my-", "hearout", "postgres", "test")
"""What examples and defaults are made of."""


def complaints(environ: Mapping[str, str]) -> list[str]:
    """One sentence for each value that is missing, or that somebody else may know; it holds no value."""
    missing = [name for name in NEEDED if not environ.get(name)]
    found = [f"{name} is not set" for name in missing]
    for name in ("LIVEKIT_API_SECRET", "POSTGRES_PASSWORD"):
        value = environ.get(name, "")
        if name not in missing and _is_weak(value):
            found.append(f"{name} is an example, or can be guessed: put in what `openssl rand -hex 32` prints")
    if missing:
        return found
    key, secret = environ["LIVEKIT_API_KEY"], environ["LIVEKIT_API_SECRET"]
    if environ["LIVEKIT_KEYS"] != f"{key}: {secret}":
        found.append("LIVEKIT_KEYS is not LIVEKIT_API_KEY and LIVEKIT_API_SECRET: a node would take another key")
    if environ["POSTGRES_PASSWORD"] == secret:
        found.append("POSTGRES_PASSWORD is LIVEKIT_API_SECRET: whoever has the database would have the rooms")
    return found


def _is_weak(value: str) -> bool:
    return len(value) < SHORTEST or len(set(value)) < FEWEST or any(one in value.lower() for one in KNOWN)


def main() -> int:
    """The exit status: 1 where something is missing or can be guessed."""
    found = complaints(os.environ)
    for one in found:
        print(f"error: {one}", file=sys.stderr)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
