"""A browser's reports of rendered seconds, and which reports are refused."""

import pytest

from harness.fake_page import report
from hearout._room import rendered
from hearout.errors import ReportError


def test_what_a_browser_rendered_is_what_it_took_without_what_it_made_up() -> None:
    assert rendered.seconds(report(concealed=48_000), sent=10.0, passed=10.0) == 9.0


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("[" * 2_000, "no object"),
        ("", "no object"),
        ("[1]", "no object"),
        ("a" * 1_000_000, "longer than"),
        ('{"received": 1}', "allowed is missing"),
        (report(received=float("nan")), "no object"),
        (report(received=float("inf")), "no object"),
        (report(received=480_000.0), "received is no number"),
        (report(received=True), "received is no number"),
        (report(received="480000"), "received is no number"),
        (report(received=-1), "received is no number"),
        (report(received=10**400), "no object"),
        (report(received=10**200), "more than was sent"),
        (report(concealed=480_001), "more samples were made up"),
        (report(received=492_480), "more than was sent"),
        (report(muted=True), "was muted"),
        (report(paused=True), "was paused"),
        (report(allowed=False), "blocked the sound"),
        (report(muted="no"), "muted is missing"),
        (report(muted=None), "muted is missing"),
    ],
)
def test_a_report_that_is_malformed_impossible_or_silent_is_refused(said: str, why: str) -> None:
    with pytest.raises(ReportError, match=why):
        rendered.seconds(said, sent=10.0, passed=10.0)


def test_a_report_may_exceed_the_sent_seconds_by_its_marks_travel() -> None:
    assert rendered.seconds(report(received=480_000 + 12_000), sent=10.0, passed=10.0) == 10.0


def test_pauses_in_the_sent_sound_do_not_count_as_rendered_speech() -> None:
    assert rendered.seconds(report(received=576_000), sent=10.0, passed=12.0) == 10.0
    assert rendered.seconds(report(received=576_000, concealed=96_000), sent=10.0, passed=12.0) == 8.0
    assert rendered.seconds(report(received=1_000), sent=10.0, passed=12.0) == 0.0
