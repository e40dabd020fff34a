"""Work that tells how far it is."""

import pytest

from hearout._text.progress import counted, silent


def test_a_thousand_things_are_told_once() -> None:
    told: list[tuple[int, int]] = []
    assert len(list(counted(range(2001), 2001, lambda *far: told.append(far)))) == 2001
    assert told == [(0, 2001), (1000, 2001), (2000, 2001)]


def test_silent_work_is_told_and_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with silent("work") as told:
        told(1, 2)
    assert capfd.readouterr() == ("", "")
