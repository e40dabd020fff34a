"""A book for the page of `hearout receipts serve`: calls as a front desk has them, and one whose words are hostile."""

import json
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.ledger_workers import NOW, Opened, receipt
from harness.questions import CONSENT_GIVEN
from hearout.ledger._questions import asked_record
from hearout.policy import Retention
from hearout.receipts import AskAttempt, Cause, Fate, GivenAnswer, Held, Kind, Level, Listener, Outcome, QuestionReceipt

NOTICE = (
    "This call is recorded, and the recording is kept for thirty days. You may object at any time, by saying so or by "
    "pressing nine. How can I help you today?"
)
CONSENT = "May we record this call? Please say yes or no."
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>\'"&amp;\u202egnp.exe\u2066'
FIRST, SECOND = "Wait, can I change my address first?", "And how much does it cost?"
DEMO = "console/2027-01-15T08-20-00Z"


def filled(url: str) -> Opened:
    """The book, with nine calls."""
    book = Opened(url)
    arabic = ("نعم، أريد تغيير عنواني أولا", "等一下我想先改一下我的地址可以吗")
    front_desk(book, "console/2027-01-15T08-20-00Z", NOW + 1200)
    cut(book, "dental-4412", NOW + 2400)
    plain = Opened(url, words=Retention.OMIT, text=Retention.OMIT)
    front_desk(plain, "dental-4413", NOW + 3000)
    front_desk(book, HOSTILE, NOW + 3300, said=(HOSTILE, HOSTILE), who=HOSTILE)
    front_desk(book, "لوحة-الاستقبال-7", NOW + 3600, said=arabic)
    died(book, "dental-4415-a-name-that-is-much-longer-than-any-column-of-a-table-should-be", NOW + 4200)
    for number in range(3):
        call, at = f"dental-44{20 + number}", NOW + 5000 + 300 * number
        book.owe(call, "recording-notice", NOTICE, by="a", now=at, agent="Front desk")
        gone = receipt(
            "recording-notice",
            outcome=Outcome.CALLER_GONE,
            text=NOTICE,
            played=3.1,
            ended_at=4.1,
            attempts=(),
            expected=9.4,
            made=9.4,
            held=(),
        )
        book.settle(gone, call=call, by="a", now=at + 4.1)
    return book


def front_desk(
    book: Opened, call: str, at: float, *, said: tuple[str, str] = (FIRST, SECOND), who: str = "ann"
) -> None:
    """A notice that was talked over, and a question that was answered."""
    present = (Listener(who, ((0.0, 60.0),), reported=9.4), Listener("supervisor", ((5.0, 9.0),)))
    held = ((Held(said[0], 2.5), Fate.DELIVERED), (Held("mm-hm", 5.2), Fate.BACKCHANNEL))
    held = (*held, (Held(said[1], 6.4), Fate.DELIVERED))
    long = {"played": 9.4, "made": 9.4, "expected": 9.4, "ended_at": 10.4, "attempts": (), "caller": who}
    book.owe(call, "recording-notice", NOTICE, by="a", now=at + 0.5, agent="Front desk")
    notice = receipt("recording-notice", text=NOTICE, held=held, listeners=present, gap=0.018, **long)
    book.settle(notice, call=call, by="a", now=at + 10.5)
    book.owe(call, "consent", CONSENT, by="a", now=at + 16.0, agent="Front desk")
    asked = {"asked_at": 16.0, "started_at": 16.3, "ended_at": 19.3, "played": 3.0, "made": 3.0, "expected": 3.0}
    heard = (Listener(who, ((0.0, 60.0),), reported=3.0),)
    early = ((Held("yes yes", 17.0, early=True), Fate.JUDGED),)
    one = receipt("consent", text=CONSENT, held=early, listeners=heard, caller=who, attempts=(), **asked)
    book.settle(one, call=call, by="a", now=at + 19.4)
    question = _consent(call, who)
    text = book.text
    book.append(asked_record(replace(question, entry=f"q{at}"), by="a", now=at + 24.6, text=text))


def _consent(call: str, who: str) -> QuestionReceipt:
    """A question with an answer that came too early, a wish for time, and a yes."""
    spoken = {"stt": "deepgram/nova-3", "confidence": 0.97, "language": "en"}
    answers = (
        GivenAnswer(
            "yes yes", Kind.SPOKEN, 0, 17.0, 17.6, 17.9, early=True, verdict="unclear", rule="said before it was asked"
        ),
        GivenAnswer(
            "one moment please", Kind.SPOKEN, 0, 20.0, 20.9, 21.1, verdict="hold-off", rule="asks for time", **spoken
        ),
        GivenAnswer(
            "yes, that is fine", Kind.SPOKEN, 0, 23.2, 24.2, 24.5, verdict="yes", rule="agreement, and nothing else"
        ),
    )
    attempt = AskAttempt("consent", 19.3, spans=((16.3, 19.3),), level=str(Level.REPORTED))
    known = {"text": CONSENT, "attempts": (attempt,), "answers": answers, "call": call, "caller": who}
    return replace(CONSENT_GIVEN, asked_for_at=15.9, decided_at=24.6, delay=5.3, agent="Front desk", **known)


def cut(book: Opened, call: str, at: float) -> None:
    """A notice that a key cut in on."""
    book.owe(call, "recording-notice", NOTICE, by="a", now=at + 0.5, agent="Front desk")
    key = ((Held("0", 3.9, Kind.PRESSED), Fate.CUT_IN),)
    ended = {"outcome": Outcome.CUT_IN, "cause": Cause.KEY, "why": "key 0", "cut_in_by": "sip_+15550100"}
    there = (Listener("sip_+15550100", ((0.0, 60.0),)),)
    one = receipt(
        "recording-notice",
        text=NOTICE,
        held=key,
        listeners=there,
        caller="sip_+15550100",
        played=3.0,
        made=9.4,
        expected=9.4,
        ended_at=4.0,
        attempts=(),
        gap=0.4,
        **ended,
    )
    book.settle(one, call=call, by="a", now=at + 4.1)


def died(book: Opened, call: str, at: float) -> None:
    """A notice whose process died, which another agent said again 20 s later."""
    book.owe(call, "recording-notice", NOTICE, by="a", now=at + 0.5, agent="Front desk")
    book.renew(call, "recording-notice", by="a", played=2.0, now=at + 3.0)
    book.owe(call, "greeting-after-the-other-agent-died", "I am back.", by="b", now=at + 25.5, agent="Front desk")
    back = receipt("greeting-after-the-other-agent-died", text="I am back.", held=(), attempts=())
    book.settle(back, call=call, by="b", now=at + 33)


def recorded(folder: Path) -> Path:
    """A folder with the recording of `DEMO`, as the console writes it; the call begins 1.5 s into it."""
    there = folder / DEMO.rsplit("/", 1)[1]
    there.mkdir(parents=True)
    with wave.open(str(there / "call.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        tone = 3000 * np.sin(np.arange(8000 * 30) / 8000 * 2 * np.pi * 220)
        file.writeframes(tone.astype("<i2").tobytes())
    (there / "timeline.json").write_text(json.dumps({"version": 1, "session_at": 1.5}))
    return folder
