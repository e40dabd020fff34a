"""Spans of protected utterances and questions in LiveKit's traces, and the session's tags. Calls in virtual time."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from livekit.agents import Agent, telemetry
from livekit.agents.observability import Tagger
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from harness import ROOT
from harness.ledger_workers import cut_in, receipt
from harness.scenes import NOTICE, QUESTION, call, receipts
from hearout import AgentSession, Digits, Policy, Retention, YesNo
from hearout._session.telemetry import Telemetry
from hearout.receipts import Listener
from hearout.testing import Press, Say, first_sound

KEEP = Policy(words_on_receipt=Retention.KEEP)


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    """A provider that LiveKit's tracer uses until the test ends."""
    yield (made := TracerProvider())
    made.shutdown()
    telemetry.tracer.set_provider(trace.get_tracer_provider())


@pytest.fixture
def exported(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    telemetry.set_tracer_provider(provider, allow_pii=True)
    return exporter


def spans(exporter: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.name == name]


def facts(span: ReadableSpan) -> dict[str, Any]:
    """Its attributes, without LiveKit's own."""
    return {key: value for key, value in (span.attributes or {}).items() if "hearout" in key}


class Asking(Agent):
    """Asks one question on entering."""

    def __init__(self, choices: Digits | YesNo) -> None:
        super().__init__(instructions="Answer briefly.")
        self.choices = choices

    async def on_enter(self) -> None:
        session = self.session
        assert isinstance(session, AgentSession)
        await session.ask("Which number is it?", id="number", choices=self.choices)


def test_an_utterance_is_one_span_with_what_its_receipt_says(exported: InMemorySpanExporter) -> None:
    result = call(Say(first_sound(2.0), QUESTION))
    (span,), (known,) = spans(exported, "hearout.utterance"), receipts(result)
    told = facts(span)
    assert told.pop("hearout.id") == known.id
    assert told == {
        "hearout.outcome": "finished",
        "hearout.level": str(known.level),
        "hearout.played_seconds": known.played,
        "hearout.length_seconds": known.length,
        "hearout.attempts": len(known.attempts),
        "hearout.held": 1,
        "hearout.held.delivered": 1,
        "lk.pii.hearout.text": NOTICE,
    }
    assert span.start_time is not None
    assert span.end_time is not None
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(known.ended_at - known.asked_at, abs=1e-3)


def test_the_span_lies_in_the_trace_of_livekits_session(exported: InMemorySpanExporter) -> None:
    call()
    (ours,), (session,) = spans(exported, "hearout.utterance"), spans(exported, "agent_session")
    assert ours.context.trace_id == session.context.trace_id


@pytest.mark.parametrize(
    ("policy", "text", "held"),
    [(KEEP, NOTICE, (QUESTION,)), (replace(KEEP, text_on_receipt=Retention.OMIT), None, (QUESTION,))],
)
def test_words_are_on_a_span_only_where_the_policy_keeps_them(
    exported: InMemorySpanExporter, policy: Policy, text: str | None, held: tuple[str, ...]
) -> None:
    call(Say(first_sound(2.0), QUESTION), policy=policy)
    told = facts(spans(exported, "hearout.utterance")[0])
    assert (told.get("lk.pii.hearout.text"), told["lk.pii.hearout.held"]) == (text, held)


def test_a_question_is_one_span_with_its_outcome_and_choice(exported: InMemorySpanExporter) -> None:
    call(Press(first_sound(3.0), "1"), agent=lambda: Asking(YesNo(keys={"1": "yes"})))
    (span,) = spans(exported, "hearout.question")
    told = facts(span)
    assert told["hearout.outcome"] == "answered"
    assert (told["hearout.choice"], told["hearout.basis"], told["hearout.answers"]) == ("yes", "given", 1)
    assert told["hearout.level"] == "played"


def test_digits_that_were_pressed_are_on_no_span(exported: InMemorySpanExporter) -> None:
    call(Press(first_sound(3.0), "4711"), agent=lambda: Asking(Digits(4)))
    (span,) = spans(exported, "hearout.question")
    assert facts(span)["hearout.outcome"] == "answered"
    assert "4711" not in str(facts(span))


def test_a_span_processor_that_fails_costs_no_promise(provider: TracerProvider) -> None:
    class Failing(SpanProcessor):
        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            if span.name.startswith("hearout."):
                raise OSError("the disk is full")

    provider.add_span_processor(Failing())
    telemetry.set_tracer_provider(provider)
    (known,) = receipts(result := call(Say(first_sound(2.0), QUESTION)))
    assert (known.outcome.value, known.gap is not None) == ("finished", True)
    assert any("could not be traced" in line for line in result.warnings)


def test_tags_claim_no_more_than_the_level_and_name_each_id() -> None:
    tagger = Tagger()
    told = Telemetry(Policy(), lambda: 9.0, tagger)
    told.utterance(receipt("played"))
    assert tagger.tags == set()
    there = Listener("caller", present=((0.0, 9.0),))
    told.utterance(receipt("there", caller="caller", listeners=(there,)))
    assert tagger.tags == {"hearout.delivered"}
    told.utterance(cut_in("stopped"))
    assert tagger.tags == {"hearout.delivered", "hearout.cut_in"}


def test_the_tag_follows_what_becomes_known_later() -> None:
    class Kept(Tagger):
        def add(self, tag: str, *, metadata: dict[str, Any] | None = None) -> None:
            super().add(tag, metadata=metadata)
            known[tag] = metadata

    known: dict[str, Any] = {}
    told = Telemetry(Policy(), lambda: 9.0, Kept())
    there = Listener("caller", present=((0.0, 9.0),))
    told.utterance(receipt(caller="caller", listeners=(there,)))
    told.amended(receipt(caller="caller", listeners=(replace(there, acknowledged_at=8.5),)))
    assert known == {"hearout.delivered": {"notice": "acknowledged"}}


A_CALL = """
from harness.scenes import QUESTION, call
from hearout import Policy, Retention
from hearout.testing import Say, first_sound

call(Say(first_sound(2.0), QUESTION), policy=Policy(words_on_receipt=Retention.KEEP))
"""


def test_the_documents_provider_prints_spans_without_words() -> None:
    document = (ROOT / "docs" / "deploy.md").read_text()
    (block,) = re.findall(r"```python\n([^`]*ConsoleSpanExporter\(\)[^`]*)```", document)
    ran = subprocess.run(
        [sys.executable, "-c", block + A_CALL], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert '"name": "hearout.utterance"' in ran.stdout
    assert '"hearout.held.delivered": 1' in ran.stdout
    assert "lk.pii" not in ran.stdout
    assert QUESTION not in ran.stdout
