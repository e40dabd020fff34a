"""An answering machine at the far end: nothing that it says or presses counts, and nobody was present."""

import asyncio
from typing import Any

import pytest
from livekit.agents import AMD, Agent

from hearout import AgentSession, AskOutcome, Callee, CallerAnswer, CutIn, Fate, Outcome, SettingsError, YesNo
from hearout.receipts import Cause
from hearout.testing import LLM, TTS, Call, Do, HangUp, Press, Reply, Result, Return, Say, UseTool, first_sound
from hearout.testing._llm import ScriptedLLM
from hearout.testing._script import Act

RECORD = "May we record this call for training and quality purposes?"
ASKED = TTS().seconds(RECORD)
GREETING = "hello you have reached Anna please leave a message after the tone yes"


def says(callee: Callee) -> Any:
    return lambda session: session.answered_by(callee)


MACHINE, PERSON = says(Callee.MACHINE), says(Callee.PERSON)


class Outbound(Agent):
    """Asks on entering, after a notice if there is one."""

    def __init__(self, *, notice: str = "", cut_in: CutIn | None = None) -> None:
        super().__init__(instructions="Answer briefly.")
        self.notice, self.cut_in = notice, cut_in
        self.answers: list[CallerAnswer] = []

    async def on_enter(self) -> None:
        session: AgentSession[Any] = self.session  # type: ignore[assignment]
        if self.notice:
            await session.announce(self.notice, id="notice", cut_in=self.cut_in)
        self.answers.append(await session.ask(RECORD, id="consent", choices=YesNo(keys={"1": "yes"}), wait=5.0))


def called(*acts: Act, agent: Outbound | None = None, **more: Any) -> tuple[list[CallerAnswer], Result]:
    agent = agent or Outbound()
    result = Call(agent=lambda: agent, caller=acts, ends_after=40.0, **more).play()
    return agent.answers, result


@pytest.mark.parametrize("act", [Say(first_sound(ASKED + 0.4), GREETING), Press(first_sound(ASKED + 0.5), "1")])
@pytest.mark.parametrize("known", [-2.0, 0.3])
def test_what_a_machine_says_is_no_answer(act: Act, known: float) -> None:
    ((answer,), result) = called(act, Do(first_sound(ASKED + known), MACHINE))

    assert (answer.choice, answer.outcome) == ("", AskOutcome.MACHINE)
    assert not answer.receipt.answers
    assert [one.id for one in result.session.receipts] == ["consent"]


def test_a_machine_found_after_its_words_has_answered_nothing() -> None:
    ((answer,), result) = called(Say(first_sound(ASKED + 0.4), "yes"), Do(first_sound(ASKED + 1.1), MACHINE))

    assert (answer.choice, answer.outcome) == ("", AskOutcome.MACHINE)
    assert [held.text for held, fate in result.session.receipts[0].held if fate is Fate.MACHINE] in ([], ["yes"])


def test_an_attempt_stops_when_a_machine_is_found() -> None:
    _, result = called(Do(first_sound(1.0), MACHINE))

    (receipt,) = result.session.receipts
    assert (receipt.outcome, receipt.cause) == (Outcome.CUT_IN, Cause.MACHINE)


def test_a_machine_is_asked_nothing() -> None:
    ((answer,), result) = called(Do(0.5, MACHINE), agent=Outbound(notice="This is your clinic."))

    assert answer.outcome is AskOutcome.MACHINE
    assert [one.said for one in result.utterances] == ["This is your clinic."]
    assert not answer.receipt.attempts


def test_a_choice_made_before_a_machine_is_found_is_revoked() -> None:
    ((answer,), result) = called(Say(first_sound(ASKED + 1.0), "yes"), Do(first_sound(ASKED + 6.0), MACHINE))

    assert answer.choice == "yes"
    assert [one.revoked for one in result.session.questions] == ["", "an answering machine is at the telephone"]


def test_the_greeting_of_a_machine_over_an_announcement_is_no_turn() -> None:
    agent = Outbound(notice=f"{RECORD} It is kept for thirty days.", cut_in=CutIn(phrases=("stop",)))
    _, result = called(Say(1.0, "please leave a message stop"), Do(2.5, MACHINE), agent=agent)

    notice = result.session.receipts[0]
    assert notice.outcome is Outcome.FINISHED
    assert [fate for _, fate in notice.held] == [Fate.MACHINE]
    assert not result.turns
    assert not result.requests


@pytest.mark.parametrize(("again", "at"), [((Do(1.5, PERSON),), 10.0), ((HangUp(1.5), Return(2.5)), 13.0)])
def test_a_person_who_takes_over_is_asked(again: tuple[Act, ...], at: float) -> None:
    agent = Outbound(notice="This is your clinic. We call about an appointment on Monday.")
    ((answer,), _) = called(Do(1.0, MACHINE), *again, Say(at, "yes"), agent=agent)

    assert answer.choice == "yes"


@pytest.mark.parametrize(
    ("label", "greeting", "outcome"),
    [
        ("machine-vm", GREETING, AskOutcome.MACHINE),
        ("machine-vm", " ".join([GREETING] * 3), AskOutcome.MACHINE),
        ("human", "hello this is Anna", AskOutcome.ANSWERED),
    ],
    ids=["machine", "a machine with much to say", "person"],
)
def test_the_verdict_of_livekits_detection_is_followed(label: str, greeting: str, outcome: AskOutcome) -> None:
    agent, verdicts = Outbound(notice="This is your clinic."), list[str]()
    classifier = ScriptedLLM(LLM([Reply("", tools=(UseTool("save_prediction", {"label": label}),))]), lambda: 0.0)

    async def detect(session: AgentSession[Any]) -> None:
        async with AMD(session, llm=classifier, stt=None, suppress_compatibility_warning=True) as detector:
            verdicts.append((await detector.execute()).category.value)
            await asyncio.sleep(1.0)

    ((answer,), _) = called(Do(0.0, detect), Say(1.0, greeting), Say(9.0, "yes"), agent=agent)

    assert verdicts == [label]
    assert answer.outcome is outcome


def test_who_answered_is_no_string() -> None:
    """`answered_by("machine")` was taken for a person, whose yes counts."""
    call = Call(
        agent=Outbound, caller=[Do(1.0, lambda s: s.answered_by("machine"), raises=SettingsError)], ends_after=3
    )
    assert call.play().errors == []
