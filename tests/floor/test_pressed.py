"""Keys and buttons, written down as events and actions."""

from hearout import Policy
from hearout._floor import events as e
from hearout._floor.actions import Action, EndQuestion, NoteAcknowledgement, OfferChoices, RecordFate
from hearout._floor.answering import YES_NO, Expected
from hearout._floor.floor import Floor
from hearout.policy import CutIn
from hearout.receipts import Fate, Kind, QuestionReceipt

OK = (("acknowledged", "I have understood"),)


def told(floor: Floor, *steps: tuple[float, e.Event]) -> list[Action]:
    """What the floor decides at these steps."""
    return [action for at, event in steps for action in floor.apply(event, at)]


def said(floor: Floor, name: str, *, interrupted: bool = False, cut_in: CutIn | None = None) -> list[Action]:
    """What the floor decides when a notice that is to be acknowledged has been said, from 1 s to 4 s."""
    asked = e.SpeechRequested(name, text="Very well.", acknowledge=OK[0][1], acknowledge_keys="1", cut_in=cut_in)
    return told(
        floor,
        (1.0, asked),
        (1.0, e.AudioMade(name, 3.0, complete=True)),
        (1.0, e.PlayoutStarted(name)),
        (4.0, e.PlayoutFinished(name, 3.0)),
        (4.0, e.SpeechEnded(name, interrupted=interrupted)),
    )


def given(actions: list[Action]) -> list[str]:
    """What was acknowledged."""
    return [one.id for one in actions if isinstance(one, NoteAcknowledgement)]


def offers(actions: list[Action]) -> list[OfferChoices]:
    return [one for one in actions if isinstance(one, OfferChoices)]


def test_what_was_said_to_its_end_is_acknowledged_once_by_key_or_button() -> None:
    for press in (e.KeysPressed("71"), e.ChoicePressed("notice", "acknowledged")):
        floor = Floor()
        assert offers(said(floor, "notice")) == [OfferChoices("notice", OK, "1")]
        assert given(told(floor, (9.0, press))) == ["notice"]
        assert told(floor, (9.5, press)) == []


def test_another_key_button_or_utterance_acknowledges_nothing() -> None:
    floor = Floor()
    said(floor, "notice")

    for press in (e.KeysPressed("2"), e.ChoicePressed("other", "acknowledged"), e.ChoicePressed("notice", "yes")):
        assert told(floor, (9.0, press)) == []


def test_what_was_cut_short_cannot_be_acknowledged() -> None:
    floor = Floor()

    assert offers(said(floor, "notice", interrupted=True)) == []
    assert given(told(floor, (9.0, e.KeysPressed("1")))) == []


def test_a_key_before_the_end_acknowledges_nothing_and_is_recorded() -> None:
    floor = Floor()
    told(floor, (0.5, e.SpeechRequested("notice", acknowledge_keys="1")))
    early = told(floor, (0.8, e.KeysPressed("1")))

    assert [one.fate for one in early if isinstance(one, RecordFate)] == [Fate.RECORDED]
    assert given(early + said(floor, "notice")) == []


def test_a_key_that_cuts_in_acknowledges_nothing_else() -> None:
    floor = Floor()
    said(floor, "notice")
    told(floor, (5.0, e.SpeechRequested("more", cut_in=CutIn(keys="1"))), (5.0, e.PlayoutStarted("more")))

    assert given(told(floor, (6.0, e.KeysPressed("1")))) == []


def asked(floor: Floor, expected: Expected = YES_NO, language: str = "en") -> list[Action]:
    """What the floor decides when a question has been asked at 8 s."""
    return told(
        floor,
        (5.0, e.QuestionAsked("q", text="May we?", expected=expected, keys=(("1", "yes"),), language=language)),
        (5.0, e.SpeechRequested("q", text="May we?", question="q")),
        (5.0, e.AudioMade("q", 3.0, complete=True)),
        (5.0, e.PlayoutStarted("q")),
        (8.0, e.PlayoutFinished("q", 3.0)),
        (8.0, e.SpeechEnded("q")),
    )


def record(actions: list[Action]) -> QuestionReceipt:
    return next(one.receipt for one in actions if isinstance(one, EndQuestion))


def test_a_button_answers_and_a_key_of_a_question_acknowledges_nothing() -> None:
    floor = Floor(Policy(language="en"))
    said(floor, "notice")
    asked(floor)
    actions = told(floor, (9.0, e.KeysPressed("1")))
    assert (record(actions).choice, given(actions)) == ("yes", [])

    floor = Floor(Policy(language="en"))
    asked(floor)
    receipt = record(told(floor, (9.0, e.ChoicePressed("q", "no"))))
    assert (receipt.choice, receipt.answers[0].kind, receipt.answers[0].rule) == ("no", Kind.BUTTON, "a button")


def test_buttons_speak_the_language_of_the_question() -> None:
    (offered,) = offers(asked(Floor(), language="de"))

    assert offered == OfferChoices("q", (("yes", "ja"), ("no", "nein")), text="May we?")


def test_a_button_is_named_by_its_choice_and_digits_have_none() -> None:
    choices = Expected(choices=(("sales", ("sales", "buy")), ("support", ("support",))))
    assert offers(asked(Floor(), choices))[0].choices == (("sales", "sales"), ("support", "support"))
    assert offers(asked(Floor(), Expected(digits=4)))[0].choices == ()


def test_a_button_before_its_question_or_of_another_counts_nothing() -> None:
    floor = Floor(Policy(language="en"))
    told(
        floor, (5.0, e.QuestionAsked("q", text="May we?")), (5.0, e.SpeechRequested("q", text="May we?", question="q"))
    )
    told(floor, (5.0, e.AudioMade("q", 3.0, complete=True)), (5.0, e.PlayoutStarted("q")))
    told(floor, (6.0, e.ChoicePressed("q", "yes")))
    told(floor, (8.0, e.PlayoutFinished("q", 3.0)), (8.0, e.SpeechEnded("q")))
    for press in (e.ChoicePressed("other", "yes"), e.ChoicePressed("q", "perhaps")):
        assert not [one for one in told(floor, (8.5, press)) if isinstance(one, EndQuestion)]
    receipt = record(told(floor, (9.0, e.ChoicePressed("q", "no"))))

    assert [(one.text, one.early) for one in receipt.answers] == [("yes", True), ("no", False)]
