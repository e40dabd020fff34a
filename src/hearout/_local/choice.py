"""Which models answer under the names that the agent file uses: the cloud's, another server's, or the local ones."""

import enum
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from ..errors import ConsoleError

LIVEKIT = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
INFERENCE = ("LIVEKIT_INFERENCE_API_KEY", "LIVEKIT_INFERENCE_API_SECRET")


class Where(enum.Enum):
    """Where the models are."""

    GIVEN = "given"
    CLOUD = "cloud"
    LOCAL = "local"


@dataclass(frozen=True)
class Choice:
    """Where the models are, and the line that says so and why."""

    where: Where
    because: str


def drop_empty(environment: MutableMapping[str, str]) -> None:
    """Take out of the environment what a copied `.env.example` left empty: LiveKit takes "" for a value."""
    for name in [name for name in environment if name.startswith(("LIVEKIT_", "HEAROUT_")) and not environment[name]]:
        del environment[name]


def choose(environment: Mapping[str, str]) -> Choice:
    """Which models an agent in this environment talks with.

    Raises:
        ConsoleError: the environment is half filled; the message names what is missing.
    """
    _whole(environment, LIVEKIT)
    _whole(environment, INFERENCE)
    if "HEAROUT_LLM_URL" not in environment and environment.keys() & {"HEAROUT_LLM_MODEL", "HEAROUT_LLM_KEY"}:
        raise ConsoleError("HEAROUT_LLM_MODEL or HEAROUT_LLM_KEY is set without HEAROUT_LLM_URL; set it in .env too")
    if url := environment.get("HEAROUT_LLM_URL", ""):
        _is_url(url, "HEAROUT_LLM_URL")
    if url := environment.get("LIVEKIT_INFERENCE_URL", ""):
        _is_url(url, "LIVEKIT_INFERENCE_URL")
        return Choice(Where.GIVEN, f"models: those at {url} (LIVEKIT_INFERENCE_URL is set)")
    if "LIVEKIT_INFERENCE_API_KEY" in environment:
        return Choice(Where.CLOUD, "models: LiveKit Cloud's (LIVEKIT_INFERENCE_API_KEY is set)")
    if ".livekit.cloud" in environment.get("LIVEKIT_URL", ""):
        return Choice(Where.CLOUD, "models: LiveKit Cloud's (LIVEKIT_URL is a LiveKit Cloud address)")
    model = "a script answers"
    if "HEAROUT_LLM_URL" in environment:
        model = f"{environment.get('HEAROUT_LLM_MODEL', 'the model')} at HEAROUT_LLM_URL answers"
    return Choice(Where.LOCAL, f"models: local (no model key); moonshine hears, hibari speaks, {model}")


def upstream(environment: Mapping[str, str]) -> tuple[str, str, str] | None:
    """URL, model and key of the model server that answers instead of the built-in script, where one is named."""
    url = environment.get("HEAROUT_LLM_URL")
    return (url, environment.get("HEAROUT_LLM_MODEL", ""), environment.get("HEAROUT_LLM_KEY", "")) if url else None


def _whole(environment: Mapping[str, str], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in environment]
    if missing and len(missing) < len(names):
        given = next(name for name in names if name in environment)
        raise ConsoleError(f"{' and '.join(missing)} missing beside {given}; fill in .env, or remove {given} from it")


def _is_url(url: str, name: str) -> None:
    if not url.startswith(("http://", "https://", "ws://", "wss://")):
        raise ConsoleError(f"{name} is {url!r}, which is no URL; it begins with http:// or https://")
