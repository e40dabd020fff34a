"""Which models answer under the names that the agent file uses: the cloud's, another server's, or the local ones."""

import enum
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

from .._text import without_secrets
from ..errors import ConsoleError

LIVEKIT = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
INFERENCE = ("LIVEKIT_INFERENCE_API_KEY", "LIVEKIT_INFERENCE_API_SECRET")


class Where(enum.Enum):
    """Where the models are."""

    GIVEN = "given"
    CLOUD = "cloud"
    LOCAL = "local"


class BuiltIn(enum.Enum):
    """What answers without another server; the values are those of HEAROUT_LLM."""

    SCRIPT = "script"
    SMOLLM2 = "smollm2"


@dataclass(frozen=True)
class Upstream:
    """Any server that speaks the OpenAI protocol.

    Attributes:
        url: its base, with ``/v1`` where it has one; a password may stand in it.
        model: what to ask it for, whatever the agent file names; "" to pass that on.
        key: its API key; "" for none.
        setting: the variable that named it, for messages.
    """

    url: str = field(repr=False)
    model: str = ""
    key: str = field(default="", repr=False)
    setting: str = "HEAROUT_LLM_URL"


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
    llm = answers(environment)
    if url := environment.get("LIVEKIT_INFERENCE_URL", ""):
        _is_url(url, "LIVEKIT_INFERENCE_URL")
        return Choice(Where.GIVEN, f"models: those at {without_secrets(url)} (LIVEKIT_INFERENCE_URL is set)")
    if "LIVEKIT_INFERENCE_API_KEY" in environment:
        return Choice(Where.CLOUD, "models: LiveKit Cloud's (LIVEKIT_INFERENCE_API_KEY is set)")
    if ".livekit.cloud" in environment.get("LIVEKIT_URL", ""):
        return Choice(Where.CLOUD, "models: LiveKit Cloud's (LIVEKIT_URL is a LiveKit Cloud address)")
    match llm:
        case BuiltIn.SCRIPT:
            model = "a script answers"
        case BuiltIn.SMOLLM2:
            model = "SmolLM2-135M answers: a very small model, which makes things up"
        case Upstream():
            model = f"{llm.model or 'the model'} at {llm.setting} answers"
    return Choice(Where.LOCAL, f"models: local (no model key); moonshine hears, hibari speaks, {model}")


def answers(environment: Mapping[str, str]) -> BuiltIn | Upstream:
    """Who takes the LLM's place beside the local STT and TTS: what HEAROUT_LLM says, else the server that is named.

    Raises:
        ConsoleError: HEAROUT_LLM is none of its values, or a server's model or key is given without its URL.
    """
    llm, url = environment.get("HEAROUT_LLM", ""), environment.get("HEAROUT_LLM_URL", "")
    if url:
        _is_url(url, "HEAROUT_LLM_URL")
    if llm in (one.value for one in BuiltIn):
        return BuiltIn(llm)
    if llm and not llm.startswith(("http://", "https://")):
        raise ConsoleError("HEAROUT_LLM must be script, smollm2, or the URL of a model server (http://…)")
    model, key = environment.get("HEAROUT_LLM_MODEL", ""), environment.get("HEAROUT_LLM_KEY", "")
    if llm or url:
        return Upstream(llm or url, model, key, "HEAROUT_LLM" if llm else "HEAROUT_LLM_URL")
    if model or key:
        raise ConsoleError("HEAROUT_LLM_MODEL or HEAROUT_LLM_KEY is set without HEAROUT_LLM_URL; set it in .env too")
    return BuiltIn.SCRIPT


def _whole(environment: Mapping[str, str], names: tuple[str, ...]) -> None:
    missing = [name for name in names if name not in environment]
    if missing and len(missing) < len(names):
        given = next(name for name in names if name in environment)
        raise ConsoleError(f"{' and '.join(missing)} missing beside {given}; fill in .env, or remove {given} from it")


def _is_url(url: str, name: str) -> None:
    if not url.startswith(("http://", "https://", "ws://", "wss://")):
        raise ConsoleError(f"{name} is no URL; it begins with http:// or https://")
