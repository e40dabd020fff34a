"""The comparison in real time: the judge scores made recordings as they were made, and the tables can be FAIL."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import resample_poly

from bench.course import FRAME, QUIET, RATE, Course, Samples
from bench.peers import HEAROUT, callers, model, report, ticks
from bench.peers.callers import SCENES, Scene
from bench.peers.judge import Score, Sound, judge, stretches
from bench.peers.play import CONTEST, Held
from bench.peers.results import Judged, _before, figures
from bench.table import FAIL, OK, WIDTH, Table
from harness.recordings import babble


def sound(seconds: float, seed: int) -> Samples:
    return (resample_poly(babble(seconds, seed), 3, 2) * 20_000).astype(np.int16)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), np.int16)


NOTICE, ANSWER, QUESTION = sound(6, 1), sound(2, 2), sound(1.5, 3)
LAST = callers.edges(NOTICE)[1]


def scene(name: str) -> Scene:
    return next(one for one in SCENES if one.name == name)


INSIDE, TWO, SILENT = scene("question inside"), scene("two questions"), scene("silent caller")
EARLY, LATE = scene("“yes” before the question"), scene("“yes” after the question")


def said(text: str) -> Callable[[Samples], str]:
    return lambda _: text


def call(*after: Samples, notice: Samples = NOTICE, asked: Any = ()) -> Sound:
    """A call in which the agent says the notice after 0.5 s, and then these; the caller asks 2 s into it."""
    agent = np.concatenate([silence(0.5), notice, *after, silence(1.0)])
    caller = np.concatenate([silence(2.5), QUESTION, silence(len(agent) / RATE)])[: len(agent)]
    return Sound(NOTICE, agent, caller, ["Can I change my address first?"], asked)


def test_an_announcement_that_is_answered_once_has_full_marks() -> None:
    asked = [["Can I change"], ["Can I change my address first?"]]
    score = judge(INSIDE, call(silence(0.4), ANSWER, asked=asked), said("You said: can I change my address first?"))
    assert score.found is not None
    assert score.found.in_full
    assert (score.kept, score.answers, score.replies, score.false, score.ordered) == (1.0, (1,), 1, 0, True)
    assert score.gap == pytest.approx(0.4 + 6 - LAST + callers.edges(ANSWER)[0], abs=0.05)


def test_an_answer_right_after_the_announcement_is_a_reply() -> None:
    score = judge(INSIDE, call(silence(0.02), ANSWER), said("You said: address."))
    assert (score.replies, score.answers) == (1, (1,))
    assert score.gap == pytest.approx(0.02 + 6 - LAST + callers.edges(ANSWER)[0], abs=0.05)


def test_what_is_cut_is_not_delivered_in_full() -> None:
    score = judge(INSIDE, call(notice=NOTICE[: 4 * RATE]), said(""))
    assert score.found is not None
    assert not score.found.in_full
    assert score.found.fraction == pytest.approx(4 / 6, abs=0.08)
    assert (score.answers, score.gap) == ((0,), None)


def test_a_silent_agent_has_delivered_nothing() -> None:
    score = judge(INSIDE, Sound(NOTICE, silence(5), silence(5), ["Can I"]), said(""))
    assert (score.found, score.kept, score.answers) == (None, 0.0, (0,))


def test_replies_that_are_stacked_are_counted_for_each_question() -> None:
    stacked = "You said: can I change my address? You said: can I change my address? And how much does it cost?"
    score = judge(TWO, call(silence(0.3), ANSWER, silence(0.3), ANSWER), said(stacked))
    assert (score.answers, score.ordered) == ((2, 1), True)
    assert judge(TWO, call(ANSWER), said("the cost, and the address")).ordered is False


def test_words_are_kept_as_far_as_one_request_has_them() -> None:
    for asked, kept in (([], 0.0), ([["my address first?"]], 0.5), ([["Can I change"], ["my address first"]], 0.5)):
        assert judge(INSIDE, call(asked=asked), said("")).kept == pytest.approx(kept)


def test_a_reply_to_a_silent_caller_is_a_false_one() -> None:
    assert judge(SILENT, call(silence(0.5), ANSWER), said("Hello?")).false == 1
    assert judge(SILENT, call(), said("")).false == 0


@pytest.mark.parametrize(
    ("who", "text", "consented"),
    [(EARLY, model.CONSENTED, True), (EARLY, model.ASKED_AGAIN, False), (LATE, model.CONSENTED, True)],
)
def test_consent_is_what_the_agent_says_it_noted(who: Scene, text: str, consented: object) -> None:
    score = judge(who, call(silence(0.5), ANSWER), said(text))
    assert score.consented is consented
    assert score.answers == ((1,) if who is LATE else ())


def messages(*turns: tuple[str, str]) -> list[Mapping[str, Any]]:
    return [{"role": role, "content": text} for role, text in turns]


ASKED = ("assistant", "This call may be recorded. Do you agree to the recording?")


def test_a_yes_is_consent_only_after_the_question_and_uncontradicted() -> None:
    early = ("system", "What the caller said last came before the question was put.")
    assert model.reply(messages(ASKED, ("user", "Yes."))) == model.CONSENTED
    assert model.reply(messages(ASKED, ("user", "Yes."), early)) == model.ASKED_AGAIN
    assert model.reply(messages(("user", "Yes."), ASKED)) == model.ASKED_AGAIN
    assert model.reply(messages(("user", "What does it cost?"))) == "You said: What does it cost?"


def test_the_caller_begins_with_the_agents_first_loud_sound() -> None:
    course, question = Course(QUESTION), []
    agent = np.concatenate([silence(0.5), NOTICE, silence(QUIET + 2)])
    while not course.over:
        question.append(course.next(agent[:FRAME]))
        agent = agent[FRAME:]
    given = np.concatenate(question)
    assert course.over
    assert stretches(given, 1.0)[0][0] == pytest.approx(0.5 + callers.edges(QUESTION)[0], abs=0.05)
    assert course.seconds == pytest.approx(0.5 + LAST + QUIET, abs=0.1)


def test_lines_are_placed_by_the_announcements_sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    studio = callers.Studio(tmp_path)
    monkeypatch.setattr(studio, "spoken", lambda text: NOTICE if text == callers.NOTICE else QUESTION)
    first, last = callers.edges(NOTICE)
    for name, begin, end in (("across the end", last - first - 0.9, None), ("ends just before the end", None, -0.3)):
        samples, (line,) = studio.caller(scene(name), 0)
        if begin is not None:
            assert line[0] == pytest.approx(begin, abs=0.01)
        if end is not None:
            assert line[1] == pytest.approx(last - first + end, abs=0.01)
        assert callers.edges(samples)[1] == pytest.approx(line[1], abs=0.01)
    assert [one.name for one in SCENES if one not in list(studio.scenes())][-1] == "people talking"


def test_the_noises_of_all_scenes_are_in_the_repository() -> None:
    from bench.peers.__main__ import NOISES

    assert len(list(callers.Studio(NOISES).scenes())) == len(SCENES)


def test_the_keys_of_a_call_are_words_of_its_own_lines() -> None:
    for one in SCENES:
        for line in one.said:
            own = [each.text.lower() for each in one.said if line.key in each.text.lower()]
            assert own == [line.text.lower()], f"{one.name}: {line.key}"


def test_an_agent_that_talks_through_a_question_does_not_yield() -> None:
    whole = ticks.events(INSIDE, call(silence(1), ANSWER).agent, [(1.0, 2.0)])
    assert [(one.over, one.stopped, one.latency) for one in whole] == [(True, None, None)]
    cut = ticks.events(INSIDE, call(notice=NOTICE[: 2 * RATE]).agent, [(1.0, 2.0)])
    assert cut[0].stopped == pytest.approx(1.0, abs=0.3)
    assert ticks.panel([*whole, *cut]).r_y == (0.5, 2)


def test_a_turn_after_the_announcement_has_a_latency() -> None:
    agent = call(silence(3), ANSWER).agent
    begins = 0.5 + 6 + 3 + callers.edges(ANSWER)[0]
    (found,) = ticks.events(scene("normal"), agent, [(7.0, 8.0)])
    zero = stretches(agent, ticks.PAUSE)[0][0]
    assert found.latency == pytest.approx(begins - zero - 8.0, abs=0.45)


def test_what_is_not_meant_for_the_agent_is_counted_apart() -> None:
    kinds = {one.name: [ticks.kind(one, n) for n in range(len(one.caller))] for one in SCENES}
    assert kinds["four backchannels"] == [ticks.BACKCHANNEL] * 4
    assert kinds["two vocal tics"] == [ticks.TIC] * 2
    assert kinds["people talking"] == [ticks.OTHERS]
    assert kinds["siren, engine"] == [None, None]


WHOLE = judge(INSIDE, call(), said("")).found
FINE = Score(WHOLE, kept=1.0, answers=(1,), replies=1, ordered=True, gap=0.3)


def judged(peer: str = HEAROUT, who: Scene = INSIDE, **changed: Any) -> Judged:
    held = Held(who, peer, 0, Path(), [(1.0, 2.0)], asked=[["a"]])
    return Judged(held, dataclasses.replace(FINE, **changed), [ticks.Event(ticks.TURN, over=True)], 0, 1)


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [({}, OK), ({"answers": (0,)}, FAIL), ({"answers": (2,)}, FAIL), ({"found": None}, FAIL)],
)
def test_a_hearout_that_loses_or_repeats_an_answer_fails(changed: dict[str, Any], verdict: str) -> None:
    table = report.summary([judged(), judged(**changed), judged("stock", answers=(0,))], "idle")
    assert [row.verdict for row in table.rows] == [verdict, ""]


def test_an_early_yes_taken_for_consent_fails() -> None:
    taken = judged(who=EARLY, answers=(), consented=True)
    assert figures([taken]).early == (1, 1)
    assert report.summary([taken], "").rows[0].verdict == FAIL


def test_a_peer_that_is_better_is_told() -> None:
    table = report.better([judged(), judged("stock", gap=0.1, kept=0.5), judged("strongest")])
    assert [row.cells for row in table.rows] == [("question inside", "stock", "gap, ms", "100", "300")]


def test_every_table_of_the_comparison_fits_its_width() -> None:
    every = [judged(peer, one) for peer in CONTEST for one in SCENES]
    summaries = dict.fromkeys(CONTEST)
    made = [report.summary(every, ""), report.gaps(every), report.scenes(every), report.tau(every)]
    made += [report.better(every), report.proof(every), report.outside("here", report.RECORDED, summaries)]
    assert max(len(line) for table in made for line in str(table).splitlines()) <= WIDTH


def test_lines_that_history_puts_before_the_announcement_are_counted() -> None:
    notice = ASKED[1]
    assert _before(messages(("user", "Yes."), ASKED), notice) == 1
    assert _before(messages(ASKED, ("user", "Yes.")), notice) == 0
    assert _before(messages(("user", "Yes.")), notice) == 0


def test_the_section_of_the_document_has_each_table() -> None:
    names = ("summary", "gaps", "scenes", "better", "proof", "tau", "outside", "rooms")
    text = report.section({name: Table(f"the table {name}", ("where",)) for name in names}, "one run")
    assert "one run" in text
    assert all(f"```\nthe table {name}\n" in text for name in names)
