"""Virtual time and a scripted caller, for tests of your own agents: no cloud, no models, no waiting.

A call is written as data and played against a real session; a minute takes a fraction of a second::

    result = Call(agent=MyAgent, caller=[Say(2.0, "my address has changed")]).play()
    assert result.protected[0].whole and result.kept == 1.0

What comes back is read from the audio that left the audio output and from the words whose audio reached the STT.
See ``docs/testing.md``.
"""

from ..errors import CallError
from . import zoo
from ._call import Call
from ._clock import run
from ._line import AudioReceiver
from ._llm import LLM, Reply, Request, UseTool, repeat
from ._realtime import Realtime
from ._result import Answered, Result, SpokenUtterance
from ._script import Do, HangUp, Moment, Noise, Press, Return, Say, Type, first_sound, from_end
from ._stt import STT, Outage
from ._tts import TTS, TTSFault

__all__ = [
    "LLM",
    "STT",
    "TTS",
    "Answered",
    "AudioReceiver",
    "Call",
    "CallError",
    "Do",
    "HangUp",
    "Moment",
    "Noise",
    "Outage",
    "Press",
    "Realtime",
    "Reply",
    "Request",
    "Result",
    "Return",
    "Say",
    "SpokenUtterance",
    "TTSFault",
    "Type",
    "UseTool",
    "first_sound",
    "from_end",
    "repeat",
    "run",
    "zoo",
]
