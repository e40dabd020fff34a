"""Who may speak and what is owed, written down as events and actions."""

import pytest

from harness.floors import TEXT, ended, playing, told
from hearout import Answer, CutIn, Outcome, Policy, Redeliver
from hearout._floor import events as e
from hearout._floor.actions import (
    Action,
    AnswerTyped,
    DeliverTurn,
    Hold,
    NoteGap,
    PrepareAnswer,
    RecordFate,
    Release,
    Reopen,
    Resume,
    ResumeUnfinished,
    SkipUnfinished,
    StopInterruptible,
    StopUtterance,
    WriteReceipt,
)
from hearout._floor.floor import Floor
from hearout._floor.utterance import LEFT
from hearout.policy import Timeouts
from hearout.receipts import Cause, Fate, Held


def failure(actions: list[Action]) -> tuple[Outcome, str]:
    (receipt,) = [action.receipt for action in actions if isinstance(action, WriteReceipt)]
    return receipt.outcome, receipt.why


def test_words_said_over_an_announcement_are_answered_when_it_ends() -> None:
    floor = playing()

    actions = told(
        floor,
        (2.0, e.CallerStarted()),
        (3.0, e.CallerStopped()),
        (3.3, e.WordsHeard("what does it cost")),
        *ended(),
    )

    held = Held("what does it cost", at=2.0)
    assert [type(action) for action in actions] == [DeliverTurn, RecordFate, WriteReceipt, Release]
    assert actions[0] == DeliverTurn((held,), number=actions[0].number)  # type: ignore[union-attr]
    assert actions[1] == RecordFate(held, Fate.DELIVERED)
    assert actions[2].receipt.outcome is Outcome.FINISHED  # type: ignore[union-attr]


def test_what_is_asked_for_twice_under_one_id_is_owed_once() -> None:
    floor = Floor()

    assert told(floor, (0.0, e.SpeechRequested("n1"))) == [Hold()]
    assert told(floor, (0.1, e.SpeechRequested("n1"))) == []


@pytest.mark.parametrize(
    ("cut_in", "event", "why"),
    [
        (CutIn(phrases=("operator",)), e.WordsGuessed("the operator please"), "phrase 'operator'"),
        (CutIn(keys="0"), e.KeysPressed("0"), "key 0"),
        (CutIn(after=1.5), e.WordsGuessed("stop it"), "after 1.5 s"),
    ],
)
def test_an_allowed_cut_in_stops_it_at_once(cut_in: CutIn, event: e.Event, why: str) -> None:
    actions = told(playing(Policy(cut_in=cut_in)), (3.0, e.CallerStarted()), (3.2, event))

    assert actions[0] == StopUtterance("n1", why)


@pytest.mark.parametrize(
    ("cut_in", "event"),
    [
        (CutIn(keys="0"), e.KeysPressed("5")),
        (CutIn(phrases=("operator",)), e.KeysPressed("0")),
        (CutIn(phrases=("operator",)), e.WordsGuessed("operate it")),
        (CutIn(after=5.0), e.WordsGuessed("stop it")),
        (CutIn(after=1.5), e.WordsGuessed("okay")),
    ],
)
def test_another_does_not(cut_in: CutIn, event: e.Event) -> None:
    actions = told(playing(Policy(cut_in=cut_in, language="en")), (3.0, e.CallerStarted()), (3.2, event))

    assert not [action for action in actions if isinstance(action, StopUtterance)]


def test_what_stops_short_of_its_end_is_not_finished() -> None:
    assert failure(told(playing(), *ended(played=5.0))) == (Outcome.FAILED, "the audio output did not play all of it")


def test_a_prepared_announcement_that_ends_early_has_not_finished() -> None:
    actions = told(
        Floor(),
        (0.5, e.SpeechRequested("n1", text=TEXT, expected=6.0)),
        (0.9, e.AudioMade("n1", 5.5, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        *ended(6.5, played=5.5),
    )

    assert failure(actions) == (Outcome.FAILED, "the voice stopped early: there is less sound than was prepared")


def test_the_text_of_a_receipt_is_the_one_that_the_tts_was_given() -> None:
    actions = told(
        Floor(),
        (0.5, e.SpeechRequested("n1", text="**You** can read it.")),
        (0.6, e.TextKnown("n1", "You can", complete=False)),
        (0.6, e.TextKnown("n1", "You can read it.", complete=True)),
        (0.9, e.AudioMade("n1", 6.0, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        *ended(),
    )

    (receipt,) = [action.receipt for action in actions if isinstance(action, WriteReceipt)]
    assert (receipt.outcome, receipt.text) == (Outcome.FINISHED, "You can read it.")


def test_it_is_taken_up_where_the_voice_says_that_the_sentence_began() -> None:
    """Words of a voice that come without the spaces between them, too."""
    floor = playing()
    told(
        floor,
        (1.1, e.SentencePlaced("n1", 0.0, "Thiscallisrecorded.")),
        (1.1, e.SentencePlaced("n1", 1.7, "Pleasehaveyourcustomernumberready.")),
        (5.0, e.PlayoutProgressed("n1", 4.0)),
        (5.0, e.CallerLeft()),
        (5.1, e.PlayoutFinished("n1", 4.0)),
        (5.1, e.SpeechEnded("n1", interrupted=True)),
    )

    before, rest = "This call is recorded. ", "Please have your customer number ready."
    assert told(floor, (8.0, e.CallerReturned())) == [Resume("n1", 1.7, before, rest)]


def test_speech_that_its_caller_missed_is_owed_and_its_receipt_stays() -> None:
    floor = playing()
    told(floor, *ended())

    assert told(floor, (20.0, e.CallerLeft(known_until=5.5))) == [Reopen("n1+2", "n1"), Hold()]
    before, rest = "This call is recorded. ", "Please have your customer number ready."
    (again,) = told(floor, (25.0, e.CallerReturned()))
    assert again == Resume("n1+2", pytest.approx(2.2, abs=0.1), before, rest)  # type: ignore[arg-type]
    told(
        floor,
        (25.1, e.AudioMade("n1+2", 6.0, complete=True)),
        (25.2, e.PlayoutStarted("n1+2")),
        (29.0, e.PlayoutFinished("n1+2", 6.0)),
    )
    (receipt,) = [
        action.receipt for action in told(floor, (29.0, e.SpeechEnded("n1+2"))) if isinstance(action, WriteReceipt)
    ]
    assert receipt.outcome is Outcome.FINISHED
    assert [(one.began_at, one.ended_at) for one in receipt.attempts] == [(1.0, 5.5), (25.2, 29.0)]
    assert receipt.attempts[0].played == pytest.approx(4.5)


@pytest.mark.parametrize(
    ("policy", "left_at", "known_until"),
    [
        (Policy(), 20.0, None),
        (Policy(), 20.0, 6.9),
        (Policy(redeliver=Redeliver.NEVER), 20.0, 5.5),
    ],
)
def test_speech_that_was_heard_or_is_never_redelivered_is_not_owed_again(
    policy: Policy, left_at: float, known_until: float | None
) -> None:
    floor = playing(policy)
    told(floor, *ended())

    assert told(floor, (left_at, e.CallerLeft(known_until))) == []
    assert told(floor, (left_at + 1.0, e.CallerReturned())) == []


def test_a_second_vanishing_owes_an_utterance_under_another_id() -> None:
    floor = playing(Policy(timeouts=Timeouts(vanish=5.0)))
    told(floor, *ended())
    told(floor, (7.5, e.SpeechRequested("n2", text=TEXT)), (7.6, e.SpeechEnded("n2", interrupted=True)))
    assert told(floor, (9.0, e.CallerLeft(known_until=4.0))) == [Reopen("n1+2", "n1"), Hold()]
    told(
        floor,
        (10.0, e.CallerReturned()),
        (10.1, e.AudioMade("n1+2", 6.0, complete=True)),
        (10.2, e.PlayoutStarted("n1+2")),
        (14.0, e.PlayoutFinished("n1+2", 6.0)),
        (14.0, e.SpeechEnded("n1+2")),
    )
    assert told(floor, (17.0, e.CallerLeft(known_until=12.0))) == [Reopen("n1+2+2", "n1+2"), Hold()]


def test_a_hole_in_what_was_played_is_on_the_receipt() -> None:
    actions = told(
        playing(),
        (3.0, e.PlayoutProgressed("n1", 2.0)),
        (7.0, e.PlayoutProgressed("n1", 6.0, since=2.2)),
        *ended(played=5.8),
    )

    (receipt,) = [action.receipt for action in actions if isinstance(action, WriteReceipt)]
    assert (receipt.outcome, receipt.played, receipt.holes) == (Outcome.FINISHED, 5.8, ((2.0, 2.2),))


def test_the_gap_to_the_answer_is_on_the_utterance_that_was_spoken_over() -> None:
    floor = playing()
    told(floor, (2.0, e.CallerStarted()), (3.0, e.CallerStopped()), (3.3, e.WordsHeard("what does it cost")), *ended())

    assert told(floor, (7.25, e.ReplyStarted())) == [NoteGap("n1", ended_at=7.0, began_at=7.25)]
    assert told(floor, (9.0, e.ReplyStarted())) == []


def test_no_gap_is_noted_on_what_waits_for_a_tool_and_has_no_receipt() -> None:
    floor = playing()
    told(floor, (7.0, e.PlayoutFinished("n1", 6.0)), (7.0, e.ToolCalled("n1")), (8.0, e.CallerStarted()))
    told(floor, (9.0, e.CallerStopped()), (9.1, e.WordsHeard("what does it cost")))
    patience = 9.1 + floor.policy.timeouts.tool

    assert DeliverTurn in [type(action) for action in told(floor, (patience, e.AlarmRang()))]
    assert told(floor, (patience + 1.0, e.ReplyStarted())) == []


def test_an_answer_that_was_waited_for_is_prepared_earlier_the_next_time() -> None:
    assert prepared_at(begins=7.02) == 15.0  # 3 s before the end
    assert prepared_at(begins=7.6) == 18.0 - 1.25 * (7.6 - 4.0)


def prepared_at(begins: float) -> float | None:
    """When the second answer is prepared, if the first began then, was prepared at 4, and could have begun at 7."""
    floor = playing()
    asked = [(2.0, e.CallerStarted()), (3.0, e.CallerStopped()), (3.3, e.WordsHeard("what does it cost"))]
    told(floor, *asked, (4.0, e.AlarmRang()), *ended(), (begins, e.ReplyStarted()))
    told(
        floor,
        (12.0, e.SpeechRequested("n2", text=TEXT)),
        (12.0, e.AudioMade("n2", 6.0, complete=True)),
        (12.0, e.PlayoutStarted("n2")),
        (12.1, e.CallerStarted()),
        (12.2, e.CallerStopped()),
    )
    made = [action for action in told(floor, (12.3, e.WordsHeard("and how long"))) if isinstance(action, PrepareAnswer)]
    return 12.3 if made else floor.next_alarm


def test_a_policy_that_prepares_nothing_prepares_nothing() -> None:
    asked = [(2.0, e.CallerStarted()), (3.0, e.CallerStopped()), (3.3, e.WordsHeard("what does it cost"))]
    ready, plain = playing(), playing(Policy(prepare=0.0))
    told(ready, *asked)
    told(plain, *asked)

    assert ready.next_alarm == 7.0 - ready.policy.prepare
    assert not any(isinstance(action, PrepareAnswer) for action in told(plain, (7.0, e.AlarmRang())))


def test_what_is_typed_while_nothing_is_protected_is_answered_at_once() -> None:
    assert told(Floor(), (1.0, e.TextTyped("hello"))) == [AnswerTyped("hello")]
    assert AnswerTyped("hello") not in told(playing(), (2.0, e.TextTyped("hello")))


def test_what_a_dead_agent_owed_and_nobody_asks_for_is_gone_on_with() -> None:
    debt = e.UnfinishedFound("old", TEXT, ("what does it cost",))

    assert told(Floor(), (0.0, debt)) == [ResumeUnfinished("old")]


@pytest.mark.parametrize(
    ("policy", "debt"),
    [
        (
            Policy(language="en"),
            e.UnfinishedFound("old", TEXT, ("what does it cost", "mm-hm"), redeliver=Redeliver.NEVER),
        ),
        (
            Policy(redeliver=Redeliver.NEVER, language="en"),
            e.UnfinishedFound("old", TEXT, ("what does it cost", "mm-hm")),
        ),
        (Policy(language="en"), e.UnfinishedFound("old", "", ("what does it cost", "mm-hm"))),
    ],
)
def test_an_unrepeatable_utterance_is_left_and_its_words_are_answered(
    policy: Policy | None, debt: e.UnfinishedFound
) -> None:
    actions = told(Floor(policy), (0.0, debt))

    assert actions[0] == SkipUnfinished("old")
    assert [action.words for action in actions if isinstance(action, DeliverTurn)] == [
        (Held("what does it cost", at=0.0),)
    ]
    assert [action.fate for action in actions if isinstance(action, RecordFate)] == [Fate.BACKCHANNEL, Fate.DELIVERED]


@pytest.mark.parametrize(("answer", "fate"), [(Answer.DROP, Fate.DROPPED), (Answer.NOTE, Fate.NOTED)])
def test_words_over_a_dead_agents_utterance_are_treated_as_it_was_chosen(answer: Answer, fate: Fate) -> None:
    actions = told(Floor(), (0.0, e.UnfinishedFound("old", "", ("what does it cost",), answer=answer)))

    assert [action.fate for action in actions if isinstance(action, RecordFate)] == [fate]
    assert not any(isinstance(action, DeliverTurn) for action in actions)


def test_a_session_that_shuts_down_takes_over_no_debt() -> None:
    assert SkipUnfinished("old") in told(Floor(), (0.0, e.ShutdownAsked()), (0.1, e.UnfinishedFound("old", TEXT)))


def test_what_is_owed_again_takes_no_id_that_is_used() -> None:
    floor = playing()
    told(floor, (2.0, e.SpeechRequested("n1+2")), *ended())

    assert Reopen("n1+3", "n1") in told(floor, (20.0, e.CallerLeft(known_until=5.5)))


def test_how_far_it_is_is_known_while_it_plays() -> None:
    floor = playing()
    told(floor, (2.0, e.CallerStarted()), (3.0, e.CallerStopped()), (3.3, e.WordsHeard("what does it cost")))

    standing = floor.progress("n1")
    assert standing.played == 0.0  # its clock says 3 s, its audio output has said nothing
    told(floor, (3.6, e.PlayoutProgressed("n1", 1.5)), (3.8, e.PlayoutProgressed("n1", 2.4, since=1.9)))
    assert floor.progress("n1").played == pytest.approx(2.0)  # without what was left out
    assert [held.text for held in standing.held] == ["what does it cost"]
    told(floor, (4.0, e.PlayoutFinished("n1", 2.9)))
    assert floor.progress("n1").played == 2.9
    assert floor.progress("n2").played == 0.0


def test_a_session_that_closes_ends_what_is_said() -> None:
    actions = told(playing(), (3.0, e.PlayoutProgressed("n1", 2.0)), (3.1, e.SessionClosed()))

    assert failure(actions) == (Outcome.SHUT_DOWN, "the session was closed")


def test_what_is_said_again_from_the_start_stands_at_its_beginning() -> None:
    floor = Floor(Policy(redeliver=Redeliver.FROM_START))
    told(floor, (0.5, e.SpeechRequested("n1", text=TEXT)), (0.9, e.AudioMade("n1", 6.0)), (1.0, e.PlayoutStarted("n1")))

    assert (floor.progress("n1").resumes_at, floor.progress("n1").characters) == (0.0, 0)


def test_where_the_voice_words_it_otherwise_the_place_is_estimated() -> None:
    floor = playing()
    told(
        floor,
        (1.1, e.SentencePlaced("n1", 1.7, "Have your number ready, please.")),
        (6.0, e.PlayoutProgressed("n1", 5.0)),
    )

    standing = floor.progress("n1")
    assert TEXT[standing.characters :] == "Please have your customer number ready."
    assert standing.resumes_at == pytest.approx(2.2, abs=0.2)  # by its share of the text


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        (None, Outcome.CALLER_GONE),
        (Cause.TRANSFERRED, Outcome.CALLER_GONE),
        (Cause.REPLACED, Outcome.CALLER_GONE),
        (Cause.REMOVED, Outcome.CALLER_GONE),
        (Cause.NOT_ANSWERED, Outcome.NOT_ANSWERED),
        (Cause.REJECTED, Outcome.NOT_ANSWERED),
        (Cause.AGENT_REMOVED, Outcome.SHUT_DOWN),
        (Cause.AGENT_REPLACED, Outcome.SHUT_DOWN),
        (Cause.ROOM_DELETED, Outcome.SHUT_DOWN),
    ],
)
def test_why_the_caller_is_not_there_is_on_the_receipt(cause: Cause | None, outcome: Outcome) -> None:
    floor = playing()
    left = told(floor, (3.0, e.CallerLeft(2.5, cause)), (3.1, e.PlayoutFinished("n1", 2.0)), (3.1, e.SpeechEnded("n1")))
    if outcome is Outcome.CALLER_GONE:  # it stays owed until the caller does not return
        assert not any(isinstance(action, WriteReceipt) for action in left)
        left = told(floor, (23.0, e.AlarmRang()))
    (receipt,) = [action.receipt for action in left if isinstance(action, WriteReceipt)]
    assert (receipt.outcome, receipt.cause, receipt.why) == (outcome, cause, LEFT[cause][1])
    assert receipt.played == pytest.approx(1.5)


def test_what_waits_for_its_own_tool_keeps_no_other_end_waiting() -> None:
    floor = Floor()
    owing = []
    for at, event in (
        (0.0, e.SpeechRequested("n1")),
        (0.5, e.AudioMade("n1", 2.0, complete=True)),
        (0.6, e.ToolCalled("n1")),
        (0.7, e.PlayoutStarted("n1")),
        (2.7, e.PlayoutFinished("n1", 2.0)),
        (9.0, e.ModelAsked("n1")),
    ):
        told(floor, (at, event))
        owing.append(floor.is_owing)
    assert owing == [True, True, True, True, False, True]
    told(floor, (9.5, e.SpeechEnded("n1")))
    assert not floor.is_owing


def test_what_is_typed_over_nothing_is_answered_once_a_second() -> None:
    floor = Floor()
    assert told(floor, (1.0, e.TextTyped("one"))) == [AnswerTyped("one")]
    assert told(floor, (1.2, e.TextTyped("two")), (1.4, e.TextTyped("three"))) == []
    assert floor.next_alarm == 2.0
    assert told(floor, (2.0, e.AlarmRang())) == [AnswerTyped("two\nthree")]
    assert told(floor, (2.1, e.TextTyped("x" * 20_001)), (3.5, e.AlarmRang())) == []


def test_what_waits_for_its_answer_is_held_when_protected_speech_begins() -> None:
    floor = Floor()
    told(floor, (1.0, e.TextTyped("one")), (1.2, e.TextTyped("two")))
    actions = told(floor, (1.3, e.SpeechRequested("n1", text=TEXT)), (2.0, e.AlarmRang()))
    assert not [action for action in actions if isinstance(action, AnswerTyped)]
    assert [held.text for held in floor.progress("n1").held] == ["two"]


def test_what_waits_for_its_answer_is_not_answered_in_a_shutdown() -> None:
    floor = Floor()
    told(floor, (1.0, e.TextTyped("one")), (1.2, e.TextTyped("two")), (1.3, e.ShutdownAsked()))
    assert told(floor, (3.0, e.AlarmRang())) == []


def test_a_late_final_is_placed_by_the_times_that_the_stt_gives() -> None:
    floor = Floor()
    floor.apply(e.PhrasesExpected(), 0.0)
    floor.apply(e.SpeechRequested("n1", text="This call is recorded.", expected=20.0), 0.0)
    for at, event in (
        (1.0, e.CallerStarted()),
        (2.0, e.CallerStopped()),
        (3.0, e.CallerStarted()),
        (4.0, e.CallerStopped()),
        (6.0, e.WordsHeard("what does it cost", began=1.0, ended=2.0)),
        (7.0, e.WordsHeard("and when", began=3.0, ended=4.0)),
    ):
        floor.apply(event, at)

    assert [held.at for held in floor.progress("n1").held] == pytest.approx([1.0, 3.0], abs=0.35)


def test_what_hangs_before_protected_speech_is_stopped() -> None:
    floor = Floor(Policy(timeouts=Timeouts(voice=10.0)))
    floor.apply(e.SpeechRequested("n1", text=TEXT), 1.0)

    assert floor.apply(e.SpeechQueued("n1", alive_at=2.0), 11.9) == []
    assert floor.apply(e.SpeechQueued("n1", alive_at=2.0), 12.0) == [StopInterruptible()]


def test_what_is_guessed_while_nothing_is_protected_is_livekits() -> None:
    floor = Floor()

    assert told(floor, (1.0, e.CallerStarted()), (1.2, e.WordsGuessed("hello"))) == []

    spoken = (1.3, e.SpeechRequested("n1", text=TEXT)), (1.5, e.PlayoutStarted("n1")), (2.0, e.CallerStopped())
    actions = told(floor, *spoken, *ended())
    assert [type(action) for action in actions] == [WriteReceipt, Release]
