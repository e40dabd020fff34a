"""Kinds of STT, LLM and TTS that teams bring, each as a member that a :class:`hearout.testing.Call` can be played with.

A team that knows its services picks the members that are like them; the tests of hearout pick at random::

    Call(agent=MyAgent, tts=zoo.TTS_KINDS["sampled"], stt=zoo.STT_KINDS["whole phrases, 4 s late"]).play()
"""

from collections.abc import Mapping

from ._llm import Reply, UseTool
from ._stt import STT
from ._tts import TTS, TTSFault

TTS_KINDS: Mapping[str, TTS] = {
    "usual": TTS(),
    "first sound after 3 s": TTS(first_audio=3.0),
    "first sound after 9 s": TTS(first_audio=9.0),
    "pauses between sentences": TTS(pause=3.0),
    "slower than real time": TTS(speed=0.8),
    "sampled": TTS(varies=0.25),
    "sampled, with times": TTS(varies=0.25, aligned=True),
    "with times": TTS(aligned=True),
    "closes late": TTS(closes_after=3.0),
    "sentence by sentence": TTS(streaming=False),
    "sentence by sentence, sampled": TTS(streaming=False, varies=0.25),
    "telephone, 8 kHz": TTS(sample_rate=8_000),
    "studio, 48 kHz": TTS(sample_rate=48_000),
}
"""TTS that say all of their text."""

BREAKING: Mapping[str, TTS] = {
    "breaks off": TTS(faults=(TTSFault(0, after=0.6),)),
    "breaks off, sampled": TTS(faults=(TTSFault(0, after=0.6),), varies=0.25),
    "breaks off, sampled, with times": TTS(faults=(TTSFault(0, after=0.6),), varies=0.25, aligned=True),
    "breaks off, 25 % faster then": TTS(faults=(TTSFault(0, after=0.6),), lengths=(1.0, 0.75)),
    "breaks off, 25 % slower then": TTS(faults=(TTSFault(0, after=0.6),), lengths=(1.0, 1.25)),
    "breaks off twice": TTS(faults=(TTSFault(0, after=0.4), TTSFault(1, after=0.6)), varies=0.25),
    "connection reset": TTS(faults=(TTSFault(0, after=0.6, error=ConnectionResetError("reset by peer")),)),
    "operating system error": TTS(faults=(TTSFault(0, after=0.6, error=OSError("broken pipe")),)),
    "stalls for 3 s": TTS(faults=(TTSFault(0, after=0.6, stall=3.0),)),
    "stalls for ever": TTS(faults=(TTSFault(0, after=0.6, stall=float("inf")),)),
    "never begins, once": TTS(faults=(TTSFault(0, stall=float("inf")),)),
    "ends early, with times": TTS(faults=(TTSFault(0, after=0.6, quiet=True),), aligned=True),
    "first of two dies": TTS(faults=(TTSFault(0, after=0.6),), fallback=TTS()),
    "breaks off, sentence by sentence": TTS(faults=(TTSFault(1, after=0.6),), streaming=False, varies=0.25),
}
"""TTS that break off once or twice; what is missing can be said."""

STT_KINDS: Mapping[str, STT] = {
    "usual": STT(),
    "whole phrases, 0.5 s late": STT(interim=None, pause=0.6, final=0.5),
    "whole phrases, 2 s late": STT(interim=None, pause=0.6, final=2.0),
    "whole phrases, 4 s late": STT(interim=None, pause=0.6, final=4.0),
    "whole phrases, 6 s late": STT(interim=None, pause=0.6, final=6.0),
    "whole phrases, 4 s late, no times": STT(interim=None, pause=0.6, final=4.0, timed=False),
    "finals only": STT(interim=None),
    "no times": STT(timed=False),
    "restates": STT(restates=True),
    "doubles": STT(doubles=True),
}
"""STTs: how late and in which form the words come."""

REPLIES: Mapping[str, Reply] = {
    "plain": Reply("Thank you. That is noted, and nothing else changes."),
    "no full stop": Reply("Great, you are all set. See you tomorrow"),
    "link": Reply("You can read all of it at https://example.com/terms/and/conditions/of/the/service/of/today"),
    "markdown": Reply(
        "That is **very** important. Thank you for calling.", spoken="That is very important. Thank you for calling."
    ),
    "a list": Reply(
        "Two things:\n\n- **First**, your [terms](https://example.com/terms).\n- Then `nothing` more.",
        spoken="Two things: First, your terms. Then nothing more.",
    ),
    "emoji": Reply("That is noted. \U0001f60a Thank you.", spoken="That is noted. Thank you."),
    "SSML": Reply('One moment. <break time="200ms"/> Your number is <say-as interpret-as="digits">77</say-as> now.'),
    "structured": Reply(
        '{"mood": "calm", "response": "That is noted. Thank you for calling."}',
        spoken="That is noted. Thank you for calling.",
    ),
    "a tool": Reply("One moment please.", tools=(UseTool("look_up"),)),
}
"""Replies of an LLM. The agent's ``tts_node`` has to speak the field ``response`` of the structured one."""
