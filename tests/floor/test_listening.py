"""Words over an utterance are an answer wherever they can be one; and the cost of that."""

from collections import Counter
from types import ModuleType

import pytest

from hearout import CutIn, Policy
from hearout._floor import events as e
from hearout._floor import held
from hearout._floor.actions import Action, DeliverTurn, PrepareAnswer, RecordFate
from hearout._floor.floor import Floor
from hearout._text import words as segmenter
from hearout.receipts import Fate
from tests.floor.test_mutants import mutant

NOTICE = "This call is recorded for training and quality. Your data is kept for thirty days and then it is erased. "
ASKING = NOTICE + "If you do not agree, please say so now."
LENGTH = 10.0


def over(text: str, *said: tuple[float, str], policy: Policy | None = None, language: str = "en") -> dict[str, Fate]:
    """The fate of words over an utterance of 10 s that begins at 1.0 s."""
    floor = Floor(policy)
    steps: list[tuple[float, e.Event]] = [
        (0.5, e.SpeechRequested("n1", text=text)),
        (0.9, e.AudioMade("n1", LENGTH, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
    ]
    for at, words in said:
        steps += [(at, e.CallerStarted()), (at + 0.2, e.CallerStopped()), (at + 0.4, e.WordsHeard(words, language))]
    steps += [(11.0, e.PlayoutFinished("n1", LENGTH)), (11.0, e.SpeechEnded("n1"))]
    return fates(floor, sorted(steps, key=lambda step: step[0]))


def fates(floor: Floor, steps: list[tuple[float, e.Event]]) -> dict[str, Fate]:
    actions: list[Action] = [action for at, event in steps for action in floor.apply(event, at)]
    return {action.words.text: action.fate for action in actions if isinstance(action, RecordFate)}


@pytest.mark.parametrize("words", ["no", "No.", "yes", "no, thank you", "oh no", "stop", "okay", "mm-hm", "I see"])
def test_nothing_is_dropped_a_second_before_the_end_of_a_request(words: str) -> None:
    assert over(ASKING, (10.0, words)) == {words: Fate.DELIVERED}


@pytest.mark.parametrize("words", ["no", "yes", "no, thank you", "oh no", "wait", "huh"])
def test_a_yes_and_a_no_are_delivered_though_nothing_was_asked(words: str) -> None:
    assert over(NOTICE, (5.0, words)) == {words: Fate.DELIVERED}


@pytest.mark.parametrize("words", ["mm-hm", "okay", "I see"])
def test_before_anything_is_asked_a_backchannel_is_one(words: str) -> None:
    assert over(ASKING, (3.0, words)) == {words: Fate.BACKCHANNEL}
    assert over(NOTICE, (10.0, words)) == {words: Fate.BACKCHANNEL}


def test_a_sentence_that_may_be_answered_ends_the_backchannels() -> None:
    text = "This call is recorded. By staying on the line you agree to that. " + NOTICE
    assert over(text, (8.0, "okay")) == {"okay": Fate.DELIVERED}


def test_the_tts_says_where_the_question_begins() -> None:
    floor = Floor(Policy(language="en"))
    steps: list[tuple[float, e.Event]] = [
        (0.5, e.SpeechRequested("n1", text=ASKING)),
        (0.6, e.SentencePlaced("n1", 0.0, NOTICE)),
        (0.7, e.SentencePlaced("n1", 2.0, "If you do not agree, please say so now.")),
        (0.9, e.AudioMade("n1", LENGTH, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        (4.0, e.CallerStarted()),
        (4.2, e.CallerStopped()),
        (4.4, e.WordsHeard("okay")),
        (11.0, e.PlayoutFinished("n1", LENGTH)),
        (11.0, e.SpeechEnded("n1")),
    ]
    assert fates(floor, steps) == {"okay": Fate.DELIVERED}


@pytest.mark.parametrize(
    ("policy", "language", "fate"),
    [
        (None, "en", Fate.BACKCHANNEL),
        (None, "en-GB", Fate.BACKCHANNEL),
        (None, "", Fate.DELIVERED),
        (None, "fi", Fate.DELIVERED),
        (None, "zh", Fate.DELIVERED),
        (Policy(language="en"), "", Fate.BACKCHANNEL),
        (Policy(language="fi"), "en", Fate.DELIVERED),
        (Policy(language="en-US"), "ja", Fate.BACKCHANNEL),
    ],
)
def test_the_policys_language_counts_and_else_the_stts(policy: Policy | None, language: str, fate: Fate) -> None:
    assert over(NOTICE, (3.0, "I see"), policy=policy, language=language) == {"I see": fate}


@pytest.mark.parametrize("language", ["en", "fi", ""])
def test_a_teams_own_backchannel_counts_in_any_language(language: str) -> None:
    policy = Policy(more_words={"backchannels": ["joo"]})
    assert over(NOTICE, (3.0, "Joo, joo!"), language=language) == {"Joo, joo!": Fate.DELIVERED}
    assert over(NOTICE, (3.0, "Joo, joo!"), policy=policy, language=language) == {"Joo, joo!": Fate.BACKCHANNEL}


def test_a_teams_own_words_make_a_sentence_ask() -> None:
    asking = f"{NOTICE} Over to you, folks. "
    more = Policy(language="en", more_words={"requests": ["over to you"]})
    assert over(asking, (10.0, "okay")) == {"okay": Fate.BACKCHANNEL}
    assert over(asking, (10.0, "okay"), policy=more) == {"okay": Fate.DELIVERED}


def test_the_stts_language_holds_until_it_says_another() -> None:
    floor = Floor()
    steps: list[tuple[float, e.Event]] = [
        (0.5, e.SpeechRequested("n1", text=NOTICE)),
        (0.6, e.AudioMade("n1", LENGTH, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        (2.0, e.WordsGuessed("my", "en")),
        (2.5, e.WordsHeard("mm-hm")),
        (11.0, e.PlayoutFinished("n1", LENGTH)),
        (11.0, e.SpeechEnded("n1")),
    ]
    assert fates(floor, steps) == {"mm-hm": Fate.BACKCHANNEL}


def test_after_a_question_okay_over_the_next_utterance_is_delivered() -> None:
    floor = Floor(Policy(language="en"))
    steps: list[tuple[float, e.Event]] = [
        (0.5, e.SpeechRequested("n1", text="Do you agree?")),
        (0.5, e.SpeechRequested("n2", text=NOTICE)),
        (0.9, e.AudioMade("n1", 2.0, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        (3.0, e.PlayoutFinished("n1", 2.0)),
        (3.0, e.SpeechEnded("n1")),
        (3.0, e.AudioMade("n2", LENGTH, complete=True)),
        (3.1, e.PlayoutStarted("n2")),
        (4.0, e.WordsHeard("okay")),
        (13.1, e.PlayoutFinished("n2", LENGTH)),
        (13.1, e.SpeechEnded("n2")),
    ]
    assert fates(floor, steps) == {"okay": Fate.DELIVERED}


def test_an_answer_to_a_question_stays_one_when_it_is_asked_again() -> None:
    floor = Floor(Policy(language="en"))
    steps: list[tuple[float, e.Event]] = [
        (0.5, e.SpeechRequested("n1", text=ASKING)),
        (0.9, e.AudioMade("n1", LENGTH, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        (9.5, e.WordsHeard("okay")),
        (9.6, e.CallerLeft()),
        (9.7, e.PlayoutFinished("n1", 8.7)),
        (9.7, e.SpeechEnded("n1", interrupted=True)),
        (12.0, e.CallerReturned()),
        (12.1, e.AudioMade("n1", LENGTH, complete=True)),
        (12.2, e.PlayoutStarted("n1")),
        (17.0, e.PlayoutFinished("n1", LENGTH)),
        (17.0, e.SpeechEnded("n1")),
    ]
    assert fates(floor, steps) == {"okay": Fate.DELIVERED}


def test_the_end_of_a_long_interim_still_cuts_in() -> None:
    floor = Floor(Policy(language="en", cut_in=CutIn(phrases=("operator",))))
    for at, event in (
        (0.5, e.SpeechRequested("n1", text=NOTICE * 10)),
        (0.9, e.AudioMade("n1", 100.0, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        (2.0, e.CallerStarted()),
    ):
        floor.apply(event, at)
    assert not floor.apply(e.WordsGuessed("blah " * 200), 60.0)
    (stopped,) = floor.apply(e.WordsGuessed("blah " * 200 + "operator please"), 61.0)
    assert stopped.why == "phrase 'operator'"  # type: ignore[union-attr]


class Looked:
    """Counts the characters that are segmented."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.characters = 0
        self._segments = segmenter._segments
        monkeypatch.setattr(segmenter, "_segments", self._count)

    def _count(self, text: str) -> object:
        self.characters += len(text)
        return self._segments(text)

    def of(self, floor: Floor, at: float, event: e.Event) -> int:
        before = self.characters
        floor.apply(event, at)
        return self.characters - before


TELEVISION = "and now the weather for tomorrow with some rain in the north of the country"


@pytest.mark.parametrize("finals", [True, False])
def test_a_television_costs_no_more_at_the_end(monkeypatch: pytest.MonkeyPatch, *, finals: bool) -> None:
    text = (
        "".join(f"Sentence number {n} of a notice that is read for five minutes. " for n in range(75)) + "Do you agree?"
    )
    floor, looked = Floor(Policy(language="en")), Looked(monkeypatch)
    for at, event in (
        (0.5, e.SpeechRequested("n1", text=text)),
        (0.9, e.AudioMade("n1", 300.0, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        (2.0, e.CallerStarted()),
    ):
        floor.apply(event, at)
    costs, heard = [], ""
    for n in range(60):
        heard = f"{heard} {TELEVISION} {n}" if not finals else f"{TELEVISION} {n}"
        costs.append(looked.of(floor, 3.0 + 4.9 * n, e.WordsGuessed(heard)))
        if finals:
            costs[-1] += looked.of(floor, 3.5 + 4.9 * n, e.WordsHeard(f"{heard} and {n}"))
    first, last = max(costs[5:15]), max(costs[-10:])
    assert 0 < last <= 1.5 * first
    assert max(looked.of(floor, 298.0 + n, e.PlayoutProgressed("n1", 297.0 + n)) for n in range(2)) <= len(TELEVISION)


def test_echoes_are_looked_at_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"Sentence number {n} of a notice that is read for five minutes. " for n in range(75))
    floor, looked = Floor(Policy(language="en")), Looked(monkeypatch)
    for at, event in (
        (0.5, e.SpeechRequested("n1", text=text)),
        (0.9, e.AudioMade("n1", 300.0, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
    ):
        floor.apply(event, at)
    for n in range(74):
        floor.apply(e.CallerStarted(), 1.3 + 4 * n)
        floor.apply(e.WordsHeard(f"sentence number {n} of a notice that is read"), 4.5 + 4 * n)
        floor.apply(e.CallerStopped(), 4.6 + 4 * n)
    assert looked.of(floor, 300.0, e.PlayoutProgressed("n1", 299.0)) == 0
    actions = [*floor.apply(e.PlayoutFinished("n1", 300.0), 301.0), *floor.apply(e.SpeechEnded("n1"), 301.0)]
    assert {action.fate for action in actions if isinstance(action, RecordFate)} == {Fate.ECHO}
    assert not [action for action in actions if isinstance(action, DeliverTurn | PrepareAnswer)]


def test_noise_while_a_reply_is_expected_rings_no_alarm_in_vain() -> None:
    floor = Floor(Policy(language="en"))
    for at, event in (
        (0.5, e.SpeechRequested("n1", text=NOTICE)),
        (0.9, e.AudioMade("n1", 2.0, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        (1.5, e.WordsHeard("what does it cost")),
        (2.0, e.CallerStarted()),
        (2.9, e.ReplyExpected()),
        (3.0, e.PlayoutFinished("n1", 2.0)),
        (3.0, e.SpeechEnded("n1")),
    ):
        floor.apply(event, at)
    rung = []
    while (alarm := floor.next_alarm) is not None:
        assert alarm not in rung
        rung.append(alarm)
        floor.apply(e.AlarmRang(), alarm)


# Finals that are given twice


def held_once(*said: tuple[float, e.Event], which: type[Floor] = Floor) -> list[tuple[str, Fate]]:
    floor = which()
    steps: list[tuple[float, e.Event]] = [
        (0.5, e.SpeechRequested("n1", text=NOTICE)),
        (0.9, e.AudioMade("n1", LENGTH, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
        *said,
        (11.0, e.PlayoutFinished("n1", LENGTH)),
        (11.0, e.SpeechEnded("n1")),
    ]
    actions: list[Action] = []
    for at, event in sorted(steps, key=lambda step: step[0]):
        while (alarm := floor.next_alarm) is not None and alarm < at:
            actions += floor.apply(e.AlarmRang(), alarm)
        actions += floor.apply(event, at)
    while (alarm := floor.next_alarm) is not None and alarm < 60.0:
        actions += floor.apply(e.AlarmRang(), alarm)
    return [(action.words.text, action.fate) for action in actions if isinstance(action, RecordFate)]


Q = "what does it cost"


@pytest.mark.parametrize(
    "again",
    [
        e.WordsHeard(Q, "en", began=2.0, ended=3.0),
        e.WordsHeard(Q, "en"),
    ],
)
def test_a_final_that_is_given_twice_is_one_turn(again: e.WordsHeard) -> None:
    said = [(2.0, e.CallerStarted()), (3.0, e.CallerStopped()), (3.4, again), (3.42, again)]

    assert Counter(held_once(*said)) == Counter([(Q, Fate.DELIVERED), (Q, Fate.REPEATED)])


def test_a_final_that_begins_with_the_one_before_adds_its_rest() -> None:
    first = e.WordsHeard(Q, "en", began=2.0, ended=3.0)
    both = e.WordsHeard(f"{Q} and how long", "en", began=2.0, ended=5.0)
    said = [
        *((2.0, e.CallerStarted()), (3.0, e.CallerStopped()), (3.4, first)),
        *((4.0, e.CallerStarted()), (5.0, e.CallerStopped()), (5.4, both)),
    ]

    assert Counter(held_once(*said)) == Counter(
        [("and how long", Fate.DELIVERED), (Q, Fate.DELIVERED), (Q, Fate.REPEATED)]
    )


def test_the_same_words_said_twice_are_two_pieces() -> None:
    said = [
        *((2.0, e.CallerStarted()), (2.3, e.CallerStopped()), (2.6, e.WordsHeard("four", "en", began=2.0, ended=2.3))),
        *((3.0, e.CallerStarted()), (3.3, e.CallerStopped()), (3.6, e.WordsHeard("four", "en", began=3.0, ended=3.3))),
        *((5.0, e.CallerStarted()), (5.3, e.CallerStopped()), (5.6, e.WordsHeard("four", "en"))),
        *((7.0, e.CallerStarted()), (7.3, e.CallerStopped()), (7.6, e.WordsHeard("four", "en"))),
    ]

    assert held_once(*said) == [("four", Fate.DELIVERED)] * 4


# Finals that never come


def test_a_guess_whose_final_is_lost_stays_when_the_next_begins() -> None:
    said = [
        *((2.0, e.CallerStarted()), (2.8, e.WordsGuessed(Q, "en")), (3.0, e.CallerStopped())),
        *((5.0, e.CallerStarted()), (5.5, e.WordsGuessed("and how", "en")), (6.0, e.CallerStopped())),
        (6.4, e.WordsHeard("and how long", "en")),
    ]

    assert held_once(*said) == [(Q, Fate.DELIVERED), ("and how long", Fate.DELIVERED)]


def test_a_guess_that_goes_on_after_a_pause_is_one() -> None:
    said = [
        *((2.0, e.CallerStarted()), (2.8, e.WordsGuessed(Q, "en")), (3.0, e.CallerStopped())),
        *((3.5, e.CallerStarted()), (4.0, e.WordsGuessed(f"{Q} and how", "en")), (4.5, e.CallerStopped())),
        (4.9, e.WordsHeard(f"{Q} and how long", "en")),
    ]

    assert held_once(*said) == [(f"{Q} and how long", Fate.DELIVERED)]


def test_a_guess_whose_final_is_lost_in_a_noise_is_delivered() -> None:
    said = [
        (2.0, e.CallerStarted()),
        (2.8, e.WordsGuessed(Q, "en")),
        (3.0, e.CallerStopped()),
        (6.0, e.CallerStarted()),
    ]

    assert held_once(*said) == [(Q, Fate.DELIVERED)]


DOUBLED = (
    *((2.0, e.CallerStarted()), (3.0, e.CallerStopped())),
    *((3.4, e.WordsHeard(Q, "en")), (3.42, e.WordsHeard(Q, "en"))),
)
SAME_PLACE = ((2.0, e.CallerStarted()), (3.0, e.CallerStopped()), (3.4, e.WordsHeard(Q, "en", began=2.0, ended=3.0)))
LOST = ((2.0, e.CallerStarted()), (2.8, e.WordsGuessed(Q, "en")), (3.0, e.CallerStopped()))


@pytest.mark.parametrize(
    ("module", "old", "new", "said"),
    [
        (held, "at - self.came < SAME and alone", "alone and False", DOUBLED),
        (held, "return abs(event.began - self.heard.began) < SAME", "return False", (*SAME_PLACE, SAME_PLACE[-1])),
        (
            held,
            "self.take_the_guess(at, owner, after_question=after_question)\n            self.sounds = [sound]",
            "self.sounds = [sound]",
            (*LOST, (5.0, e.CallerStarted()), (5.5, e.WordsGuessed("and how", "en")), (6.0, e.CallerStopped())),
        ),
    ],
)
def test_a_rule_of_finals_that_is_gone_shows(
    module: ModuleType, old: str, new: str, said: tuple[tuple[float, e.Event], ...]
) -> None:
    assert held_once(*said, which=mutant(module, old, new)) != held_once(*said)
