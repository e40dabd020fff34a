"""Call scripts: what is read, and that a mistake is named by file, line and field."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import ROOT
from hearout import AskOutcome, ConsoleError, QuestionReceipt, ScriptError
from hearout._console.call import CallLog
from hearout._console.play import Player
from hearout._console.script import Script, Step, read

TALK_OVER = ROOT / "bench" / "calls" / "talk-over.toml"


def test_the_call_of_make_run_asks_two_questions() -> None:
    script = read(TALK_OVER)
    assert [(step.at, step.act) for step in script.caller] == [(3.0, "say"), (10.0, "say")]
    assert script.ends_after == 3.0


def test_every_act_and_both_times_are_read(tmp_path: Path) -> None:
    (tmp_path / "cough.wav").write_bytes(b"")
    file = tmp_path / "call.toml"
    file.write_text(
        '[call]\nends_after = 2\nat_most = 30\n[[caller]]\nat = 1\nkeys = "1#D"\n[[caller]]\nfrom_end = -0.5\n'
        'type = "hello"\n[[caller]]\nat=2\nplay="cough.wav"\n[[caller]]\nat=3\ndo="hang-up"\n'
    )
    assert read(file) == Script(
        (
            Step("keys", "1#D", at=1.0),
            Step("type", "hello", from_end=-0.5),
            Step("play", str(tmp_path / "cough.wav"), at=2.0),
            Step("do", "hang-up", at=3.0),
        ),
        2.0,
        30.0,
    )


def test_an_empty_script_is_a_caller_who_says_nothing(tmp_path: Path) -> None:
    file = tmp_path / "call.toml"
    file.write_text("")
    assert read(file) == Script()


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("[call]\nends_after = 1\n[cal]\nx = 1", 3, "cal"),
        ("[call]\nend_after = 1", 2, "end_after"),
        ("[call]\nends_after = 'soon'", 2, "ends_after"),
        ("[call]\nat_most = -1", 2, "at_most"),
        ("[call]\nexpect = 1", 2, "expect"),
        ("caller = 3", 1, "caller"),
        ('[[caller]]\nat = 1\nsay = "a"\n\n[[caller]]\nsay = "b"', 5, "[[caller]]"),
        ('[[caller]]\nat = 1\nfrom_end = 2\nsay = "a"', 3, "from_end"),
        ('[[caller]]\nat = 1\nsay = "a"\nkeys = "1"', 4, "keys"),
        ('[[caller]]\nat = 1\nsay = "a"\n[[caller]]\nat = -1\nsay = "b"', 5, "at"),
        ('[[caller]]\nat = true\nsay = "a"', 2, "at"),
        ("[[caller]]\nat = 1\nsay = 3", 3, "say"),
        ('[[caller]]\nat = 1\nsay = " "', 3, "say"),
        ('[[caller]]\nat = 1\nkeys = "1a"', 3, "keys"),
        ('[[caller]]\nat = 1\ndo = "dance"', 3, "do"),
        ('[[caller]]\nat = 1\nplay = "none.wav"', 3, "play"),
        ('[[caller]]\nat = 1\nsya = "a"', 3, "sya"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_field(tmp_path: Path, text: str, line: int, field: str) -> None:
    file = tmp_path / "call.toml"
    file.write_text(text)
    with pytest.raises(ScriptError) as error:
        read(file)
    assert str(error.value).startswith(f"{file}, line {line}: {field} ")


def test_a_file_that_is_no_toml_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match="No such file"):
        read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[call\n")
    with pytest.raises(ScriptError, match=r"bad.toml: .*line 1"):
        read(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScriptError, match="UTF-8"):
        read(tmp_path / "binary.toml")


def test_a_person_may_press_the_keys_that_a_script_may_and_no_other() -> None:
    pressed: list[str] = []
    call: Any = SimpleNamespace(tickers=[], pressed=pressed.append)
    player = Player(call, Script(), ends_itself=False)

    player.press("1*#D")
    for wrong in ("", "E", "1 2"):
        with pytest.raises(ConsoleError, match="A-D"):
            player.press(wrong)

    assert pressed == ["1*#D"]


@pytest.mark.parametrize(
    ("choices", "expected", "problems"),
    [
        (["yes"], "yes", []),
        (["no", "yes"], "yes", []),
        ([""], "", []),
        (["no"], None, []),
        ([], None, []),
        (["no"], "yes", ["The last question's choice is 'no'; the script expects 'yes'."]),
        ([], "yes", ["No question ended; the script expects 'yes'."]),
    ],
)
def test_a_script_says_what_must_come_of_the_last_question(
    tmp_path: Path, choices: list[str], expected: str | None, problems: list[str]
) -> None:
    file = tmp_path / "call.toml"
    file.write_text("" if expected is None else f'[call]\nexpect = "{expected}"\n')
    asked = [QuestionReceipt("consent", "1", AskOutcome.ANSWERED, choice) for choice in choices]
    call: Any = SimpleNamespace(questions=lambda: asked)

    assert CallLog.unexpected(call, read(file).expect) == problems
