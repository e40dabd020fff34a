"""Agents that follow a dead one in a call: speech said again or resumed, and words that are known."""

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from livekit.agents.llm import ChatMessage

from harness.kept_in_loop import REPLY, InTheLoop, in_the_book
from harness.ledger_workers import Opened
from harness.scenes import NOTICE, QUESTION, Announcing, call, reading, said
from hearout import AgentSession, CutIn, Outcome, Redeliver, Retention
from hearout._session.call_ledger import UnfinishedUtterance
from hearout.errors import AlreadyOwedError
from hearout.testing import LLM, Do, Result, Say, first_sound

REST = NOTICE[NOTICE.index("Your data") :]
"""What is left when 5 s were said."""

GREETING = "Good evening, and welcome. You are talking with a machine."

Saying = Callable[[AgentSession[Any]], Any]


@pytest.fixture(params=[Retention.OMIT, Retention.KEEP])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """A ledger of either policy: the next agent needs the call's words in both."""
    return Opened(f"sqlite:///{tmp_path}/receipts.db", words=request.param)


def play(
    ledger: Opened,
    *saying: Saying,
    dies_at: float | None = None,
    acts: Any = (),
    rescued: int = 1,
    begins: float = 0.0,
    **more: Any,
) -> Result:
    """A call whose agent says this on entering, and may die so many seconds after the first sound.

    The call ends a moment after that; a model that takes its time `begins` so much later.
    """
    writer = InTheLoop(ledger, "the dead one" if dies_at else "the new one")
    writer.rescued = rescued

    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(writer, "room/1")  # type: ignore[union-attr, arg-type]
        await session._bridge.takeover.remind(session.current_agent)  # type: ignore[union-attr]
        for say in saying:
            say(session)

    def die(_: Any) -> None:
        writer.dies = True

    if dies_at is None:
        return call(*acts, agent=reading(read), **more)
    return call(Do(first_sound(dies_at), die), *acts, agent=reading(read), ends_after=begins + dies_at + 0.9, **more)


def say(text: str) -> Saying:
    return lambda session: session.say(text, allow_interruptions=False)


def announce(text: str = NOTICE, **more: Any) -> Saying:
    return lambda session: session.announce(text, id="notice", **more)


def tell(session: AgentSession[Any]) -> None:
    session.generate_reply(instructions="Tell something.", allow_interruptions=False)


@pytest.mark.parametrize("saying", [say(NOTICE), announce(NOTICE)])
def test_what_a_dead_agent_began_is_gone_on_with_however_it_is_asked_for(ledger: Opened, saying: Saying) -> None:
    play(ledger, saying, dies_at=5.6, acts=(Say(first_sound(1.0), QUESTION),))

    result = play(ledger, saying)

    assert said(result)[0] == REST
    assert result.turns == [QUESTION]


def test_a_reply_asked_for_again_is_resumed_and_the_model_is_not_asked(ledger: Opened) -> None:
    play(ledger, tell, dies_at=6.6, llm=LLM(answers=(REPLY,)))

    result = play(ledger, tell, llm=LLM(answers=("Something else altogether.",)))

    assert said(result) == [REPLY[REPLY.index("It was bent") :]]
    assert result.replies == []
    (entry,) = in_the_book(ledger)
    assert entry.receipt is not None
    assert (entry.receipt.outcome, entry.receipt.text) == (Outcome.FINISHED, REPLY)


def test_a_new_agents_own_reply_comes_before_the_dead_agents_is_resumed(ledger: Opened) -> None:
    def greet(session: AgentSession[Any]) -> None:
        session.generate_reply(instructions="Say good evening.", allow_interruptions=False)

    play(ledger, tell, dies_at=6.6, llm=LLM(answers=(REPLY,)))

    result = play(ledger, greet, llm=LLM(answers=(GREETING,)))

    assert said(result) == [GREETING, REPLY[REPLY.index("It was bent") :]]


def test_a_reply_that_the_model_had_not_finished_is_asked_for_again(ledger: Opened) -> None:
    slow = LLM(answers=(REPLY, "Fine."), rate=3.0)
    play(ledger, tell, dies_at=3.0, acts=(Say(first_sound(0.5), QUESTION),), llm=slow, begins=4.0)
    (owing,) = ledger.owed("room/1")
    assert 0 < len(owing.text) < len(REPLY)
    assert not owing.complete

    result = play(ledger, tell, llm=LLM(answers=(REPLY, "Fine.")))

    assert said(result) == [REPLY, "Fine."]  # once, and what was asked over the first half of it is answered
    assert result.turns == [QUESTION]
    assert [entry.receipt and entry.receipt.outcome for entry in in_the_book(ledger)] == [Outcome.FINISHED]


def test_an_interruptible_reply_asked_again_leaves_its_words_to_answer(
    ledger: Opened,
) -> None:
    def tell_otherwise(session: AgentSession[Any]) -> None:
        session.generate_reply(instructions="Tell something.", allow_interruptions=True)

    slow = LLM(answers=(REPLY, "Fine."), rate=3.0)
    play(ledger, tell, dies_at=3.0, acts=(Say(first_sound(0.5), QUESTION),), llm=slow, begins=4.0)

    assert play(ledger, tell_otherwise, llm=LLM(answers=(REPLY, "Fine."))).turns == [QUESTION]


def test_without_kept_text_only_an_unfinished_utterance_is_resumed(tmp_path: Path) -> None:
    hashes = Opened(f"sqlite:///{tmp_path}/hashes.db", text=Retention.OMIT)
    play(hashes, say(GREETING), announce(), dies_at=9.0)

    result = play(hashes, say(GREETING), announce())

    assert len(said(result)) == 1
    assert NOTICE.endswith(said(result)[0])
    assert said(result)[0] != NOTICE


def test_what_a_dead_agent_had_finished_is_not_said_again_and_the_rest_is(ledger: Opened) -> None:
    play(ledger, say(GREETING), announce(), dies_at=9.0)

    result = play(ledger, say(GREETING), announce())

    assert len(said(result)) == 1
    assert NOTICE.endswith(said(result)[0])
    assert {entry.id: entry.receipt and entry.receipt.outcome for entry in in_the_book(ledger)} == {
        entry.id: Outcome.FINISHED for entry in in_the_book(ledger)
    }


def test_an_unfinished_utterance_is_said_once_the_new_agent_has_entered(ledger: Opened) -> None:
    play(ledger, announce(), dies_at=5.6, acts=(Say(first_sound(1.0), QUESTION),))

    result = play(ledger, say(GREETING))

    assert said(result)[:2] == [GREETING, REST]
    assert result.turns == [QUESTION]


def test_who_announces_after_entering_what_is_gone_on_with_gets_its_handle(ledger: Opened) -> None:
    play(ledger, announce(), dies_at=5.6)
    handles: list[Any] = []

    result = play(
        ledger, acts=(Do(first_sound(0.5), lambda session: handles.append(session.announce(NOTICE, id="notice"))),)
    )

    assert said(result) == [REST]
    assert handles[0].done()


def test_another_text_under_that_id_has_to_wait_until_the_old_one_is_over(ledger: Opened) -> None:
    play(ledger, announce(), dies_at=5.6)

    def announce_another(session: AgentSession[Any]) -> None:
        with pytest.raises(AlreadyOwedError):
            session.announce("The notice has changed.", id="notice")

    result = play(ledger, acts=(Do(first_sound(0.5), announce_another),))

    assert said(result) == [REST]


def test_what_was_to_be_said_once_at_most_is_not_said_again(ledger: Opened) -> None:
    play(ledger, announce(redeliver=Redeliver.NEVER), dies_at=5.6, acts=(Say(first_sound(1.0), QUESTION),))

    result = play(ledger, ends_after=10.0)

    assert not any(NOTICE.endswith(one) for one in said(result))
    assert result.turns == [QUESTION]


def test_who_might_cut_in_may_still_when_it_is_gone_on_with(ledger: Opened) -> None:
    play(ledger, announce(cut_in=CutIn(keys="0", phrases=("operator",))), dies_at=3.0)

    play(ledger, acts=(Do(first_sound(0.5), lambda session: session.user_pressed("0")),))

    (entry,) = in_the_book(ledger)
    assert entry.receipt is not None
    assert (entry.receipt.outcome, entry.receipt.why) == (Outcome.CUT_IN, "key 0")


def test_a_row_with_unreadable_choices_resumes_under_the_policy(ledger: Opened) -> None:
    play(ledger, announce(), dies_at=5.6)
    (owing,) = ledger.owed("room/1")
    old = UnfinishedUtterance(dataclasses.replace(owing, policy={"redeliver": "in the year 2525"}), 5.0, 40, ())

    assert (old.asked.id, old.asked.redeliver) == ("notice", None)


def test_the_new_agent_knows_what_was_said(ledger: Opened) -> None:
    play(ledger, say(GREETING), announce(), dies_at=9.0)
    known: list[str] = []

    def look(session: AgentSession[Any]) -> None:
        messages = session.current_agent.chat_ctx.messages()
        known.extend(str(one.text_content) for one in messages if one.role == "assistant")

    play(ledger, look)

    assert known[0] == GREETING
    assert NOTICE.startswith(known[1])


def test_only_what_is_asked_for_on_entering_is_known_by_what_was_asked(ledger: Opened) -> None:
    async def read(session: AgentSession[Any]) -> None:
        await session._bridge.keep(InTheLoop(ledger, "a"), "room/1")  # type: ignore[union-attr, arg-type]
        await session.say("Good evening.", allow_interruptions=False)
        later.append(asyncio.create_task(ask_later(session)))

    async def ask_later(session: AgentSession[Any]) -> None:
        await asyncio.sleep(1.0)
        tell(session)

    later: list[Any] = []
    result = call(Say(first_sound(0.2), QUESTION), agent=reading(read), llm=LLM(answers=(GREETING, REPLY)))

    assert said(result) == ["Good evening.", GREETING, REPLY]
    greeting, told = in_the_book(ledger)
    assert greeting.id.startswith("say-")
    assert told.id.startswith("speech_")  # LiveKit's name for it, which no other call has


def test_an_agent_that_says_the_same_twice_in_its_own_call_says_it_twice(ledger: Opened) -> None:
    result = play(ledger, say(GREETING), say(GREETING), tell, tell, llm=LLM(answers=(REPLY,)))

    assert said(result) == [GREETING, GREETING, REPLY, REPLY]


def test_the_sentence_of_an_agents_death_is_said_again_with_the_rest(ledger: Opened) -> None:
    play(ledger, say(NOTICE), dies_at=0.6)

    result = play(ledger, say(NOTICE), say(GREETING))

    assert said(result) == [NOTICE, GREETING]


def test_a_finished_announcement_without_an_id_is_not_repeated(ledger: Opened) -> None:
    handles: list[Any] = []

    def enter(session: AgentSession[Any]) -> None:
        handles.append(session.announce(GREETING))
        session.announce(NOTICE)

    play(ledger, enter, dies_at=9.0)
    result = play(ledger, enter)

    assert len(said(result)) == 1
    assert handles[1].done()
    assert [entry.receipt and entry.receipt.outcome for entry in in_the_book(ledger)] == [Outcome.FINISHED] * 2


def test_another_text_under_an_id_that_a_dead_agent_finished_is_said(ledger: Opened) -> None:
    play(ledger, announce(GREETING), say(NOTICE), dies_at=9.0)

    result = play(
        ledger, say(NOTICE), acts=(Do(12.0, lambda session: session.announce("Something else.", id="notice")),)
    )

    assert said(result)[-1] == "Something else."


def test_a_second_agent_begins_anew_where_no_agent_died(ledger: Opened) -> None:
    play(ledger, say(GREETING), ends_after=10.0)

    assert said(play(ledger, say(GREETING), rescued=0)) == [GREETING]


def test_a_skipped_utterances_words_are_answered_once(ledger: Opened) -> None:
    play(ledger, announce(redeliver=Redeliver.NEVER), dies_at=5.6, acts=(Say(first_sound(1.0), QUESTION),))

    def hand_over(session: AgentSession[Any]) -> None:
        session.update_agent(Announcing())

    result = play(ledger, acts=(Do(8.0, hand_over),))

    assert result.turns == [QUESTION]


def test_a_message_of_the_user_is_known_by_its_words(ledger: Opened) -> None:
    def ask(session: AgentSession[Any]) -> None:
        message = ChatMessage(role="user", content=["Tell me something."])
        session.generate_reply(user_input=message, allow_interruptions=False)

    play(ledger, ask, dies_at=6.6, llm=LLM(answers=(REPLY,)))

    assert said(play(ledger, ask, llm=LLM(answers=("Something else.",)))) == [REPLY[REPLY.index("It was bent") :]]
