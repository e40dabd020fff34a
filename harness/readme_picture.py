"""Draws docs/without-and-with.svg: the same call with LiveKit's own session and with hearout's, in virtual time.

`make docs` writes it; a test fails when it is stale.
"""

from collections.abc import Callable
from html import escape
from typing import Any

from harness import ROOT
from harness.scenes import Uninterruptable, ours, stock
from hearout.testing import Call, Result, Say, first_sound

PICTURE = ROOT / "docs" / "without-and-with.svg"
QUESTIONS = ("Can I change my address first?", "And what does it cost?")
AT = (1.0, 5.5)
"""Seconds after the agent's first sound at which the questions begin."""
WIDTH, LEFT, SECOND = 800, 90, 52.0
"""Pixels: of the picture, before the first second, and of a second."""
LANES = {"agent": 30, "caller": 74, "turn": 118}
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1f2328}.h{font-weight:600;font-size:15px}.s{font-size:12px;fill:#59636e}"
    ".agent{fill:#cfe3ff}.answer{fill:#d4f4dd}.heard{fill:#d4f4dd}.lost{fill:#ffd7d5}.none{fill:none;stroke:#d1242f;"
    "stroke-dasharray:4 3}rect{rx:4}svg{background:#fff}"
)


def played(session: Callable[..., Any]) -> Result:
    """The call with such a session."""
    caller = [Say(first_sound(at), text) for at, text in zip(AT, QUESTIONS, strict=True)]
    return Call(agent=Uninterruptable, session=session, caller=caller, ends_after=20.0).play()


def _box(begin: float, end: float, top: int, kind: str, text: str, *, room: float = 0.0) -> str:
    """A stretch of speech with its text, which ends where the box ends, or `room` pixels after it."""
    x, width = LEFT + begin * SECOND, (end - begin) * SECOND
    letters = int((width + room - 20) / 7.0)
    shown = text if len(text) <= letters else text[:letters].rstrip() + "…"
    return (
        f'<rect class="{kind}" x="{x:.0f}" y="{top}" width="{width:.0f}" height="30"/>'
        f'<text x="{x + 6:.0f}" y="{top + 20}">{escape(shown)}</text>'
    )


def _half(result: Result, top: int, title: str, says: str) -> list[str]:
    """One of the two calls: what the agent said, what the caller said, and the turn that the agent was given."""
    drawn = [f'<text class="h" x="12" y="{top + 16}">{escape(title)}</text>']
    drawn += [f'<text x="12" y="{top + y + 20}">{name}</text>' for name, y in LANES.items()]
    for utterance in result.utterances:
        kind = "answer" if utterance.answers else "agent"
        drawn.append(_box(utterance.start, utterance.end, top + LANES["agent"], kind, utterance.said))
    heard = {word.text for _, word in result.heard}
    begins = result.utterances[0].start
    for at, text in zip(AT, QUESTIONS, strict=True):
        words = [word for word in result.said if word.text in text.lower().replace("?", "").split()]
        seconds = 0.3 * len(text.split())
        lost = not any(word.text in heard for word in words)
        drawn.append(
            _box(begins + at, begins + at + seconds, top + LANES["caller"], "lost" if lost else "heard", text, room=150)
        )
    end = result.utterances[0].end
    if result.turns:
        drawn.append(_box(end, end + 4.8, top + LANES["turn"], "heard", " ".join(result.turns)))
    else:
        drawn.append(_box(end, end + 4.8, top + LANES["turn"], "none", "none: every word was lost"))
    return [*drawn, f'<text class="s" x="{LEFT}" y="{top + 168}">{escape(says)}</text>']


def drawn() -> str:
    """The picture as it is now."""
    without, with_it = played(stock), played(ours())
    receipt = with_it.session.receipts[0]
    words = sum(len(text.split()) for text in QUESTIONS)
    receipt_line = f"receipt: {receipt.outcome.value}, {receipt.played:.1f} s played, {words} words held and answered"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 380" width="{WIDTH}" role="img" '
        'aria-label="The same call without and with hearout">',
        f"<style>{STYLE}</style>",
        *_half(
            without,
            8,
            "LiveKit, allow_interruptions=False",
            "The agent finishes. Nothing that the caller said is left.",
        ),
        *_half(with_it, 196, "with hearout", f"One turn, one answer right after the end; {receipt_line}."),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(drawn())
