"""What a caller, a model or a file wrote acts on no terminal and no log."""

import ast
import io
import logging
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.ledger_workers import Opened, receipt
from hearout import _ShownFilter
from hearout._console.screen import Screen
from hearout._text import apart, shown, without_secrets
from hearout.ledger._command import main
from hearout.receipts._picture import Mark, picture, svg

HOSTILE = "a\x1b[2J\x9b31m\x07\r\u202eb\u2066c\u200fd\u061ce\u2028f\u2029g\ud800h\ue000"
"""Of each kind one."""

FOREIGN = st.text(
    st.characters(categories=["Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn", "Zs", "L", "N", "P", "Mn", "So"]), max_size=40
)


def acts(text: str) -> list[str]:
    """The signs of a text that act on a terminal: all of those categories but line feed, tabulator and joiners."""
    return [
        sign
        for sign in text
        if unicodedata.category(sign) in ("Cc", "Cf", "Zl", "Zp", "Cs") and sign not in "\n\t\u200c\u200d"
    ]


def logged(what: str, *arguments: object, error: Exception | None = None) -> str:
    out = io.StringIO()
    logger = logging.Logger("of-this-test")
    logger.addFilter(_ShownFilter())
    logger.addHandler(logging.StreamHandler(out))
    logger.error(what, *arguments, exc_info=error)
    return out.getvalue()


@given(FOREIGN)
def test_no_sign_of_any_text_acts_on_the_terminal(text: str) -> None:
    told = shown(text)
    assert acts(told) == []
    assert len(told) == len(text)
    told.encode()  # a lone surrogate would fail
    assert shown(told) == told


@given(FOREIGN)
def test_no_sign_of_any_text_acts_on_who_reads_the_log(text: str) -> None:
    assert acts(logged("it said %s, twice", text)) == []
    assert logged("it said %s", text).count("\n") == 1


def test_no_sign_of_an_error_acts_on_who_reads_the_log() -> None:
    told = logged("failed", error=ValueError(HOSTILE))
    assert acts(told) == []
    assert "ValueError: a\ufffd[2J" in told


def test_a_message_that_cannot_be_formatted_is_the_handlers() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%d", ("none",), None)
    assert _ShownFilter().filter(record)
    assert record.args == ("none",)


def test_a_record_without_such_signs_keeps_its_arguments() -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s went", ("Zoë",), None)
    assert _ShownFilter().filter(record)
    assert (record.msg, record.args) == ("%s went", ("Zoë",))


@pytest.mark.parametrize("text", ["می‌خواهم", "👨‍👩‍👧", "20\u00a0€", "1\u202f000", "a\tb\nc", "नमस्ते", "e\u0301"])
def test_what_people_write_stays_as_it_is(text: str) -> None:
    assert shown(text) == text


def test_every_logger_of_ours_has_the_filter() -> None:
    names = {line.split('getLogger("')[1].split('"')[0] for line in loggers() if 'getLogger("hearout' in line}
    assert names
    for name in names:
        assert any(isinstance(one, _ShownFilter) for one in logging.getLogger(name).filters)


def loggers() -> list[str]:
    source = Path(str(sys.modules["hearout"].__file__)).parent
    return [line for path in source.rglob("*.py") for line in path.read_text().splitlines() if "getLogger(" in line]


def test_what_the_console_shows_acts_on_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(plain=True)
    for kind in ("agent", "caller", "heard", "held", "turn", "note", "error"):
        screen.show(kind, HOSTILE)
    screen.say(HOSTILE)
    assert acts(capsys.readouterr().out) == []


@pytest.mark.parametrize("command", ["list", "show", "verify", "export", "forget"])
def test_no_command_lets_a_name_act_on_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    url, name = f"sqlite:///{tmp_path / 'receipts.db'}", HOSTILE.replace("\ud800", "")
    with_rows(url, name)
    rest = {"show": [name], "forget": [name]}.get(command, [])
    main([command, *rest, "--ledger", url])
    told = capsys.readouterr()
    assert told.out + told.err
    assert acts(told.out + told.err) == []


def with_rows(url: str, name: str) -> None:
    ledger = Opened(url)
    ledger.owe(name, name, name, by=name, now=1.0, agent=name)
    ledger.settle(receipt(name, text=name, why=name), call=name, by=name, now=9.0)
    ledger.close()


def test_an_error_of_the_command_line_acts_on_nothing(tmp_path: Path) -> None:
    name = HOSTILE.replace("\ud800", "").replace("\r", "")
    for words in (["measure", f"{name}.wav", "b.wav"], ["prepare", f"{name}.txt"], ["receipts", "show", name]):
        done = subprocess.run([sys.executable, "-m", "hearout", *words], cwd=tmp_path, capture_output=True, check=False)
        assert done.returncode
        assert acts(done.stderr.decode()) == []
        assert b"\xef\xbf\xbd" in done.stderr or b"\\x1b" in done.stderr or b"receipts.db" in done.stderr


def test_the_picture_of_a_call_has_none_of_them() -> None:
    drawn = svg(picture(("caller",), [Mark("caller", 0, 9, HOSTILE, "caller", HOSTILE)], []), title=HOSTILE)
    assert acts(drawn) == []


NOT_ON_A_TERMINAL = {("_local/llama.py", "report"): "a pipe to the process that started it"}
"""Where else `print` writes to, by the name of its `file`."""


def test_every_print_shows_its_text_by_this_function() -> None:
    source = Path(str(sys.modules["hearout"].__file__)).parent
    found = [(path, call) for path in sorted(source.rglob("*.py")) for call in prints(path)]
    assert len(found) > 10
    for path, call in found:
        file = next((ast.unparse(one.value) for one in call.keywords if one.arg == "file"), "")
        if (str(path.relative_to(source)), file) not in NOT_ON_A_TERMINAL:
            assert all(is_shown(one) for one in call.args), f"{path}:{call.lineno}: print(shown(…)), whatever is in it"


def prints(path: Path) -> list[ast.Call]:
    """The calls that write to a terminal, but for those of the console's `rich`, which its own test holds."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [one for one in calls if ast.unparse(one.func) in ("print", "sys.stdout.write", "sys.stderr.write")]


def is_shown(argument: ast.expr) -> bool:
    """Whether an argument is a text of ours, or went through `shown`."""
    if isinstance(argument, ast.Constant):
        return True
    return isinstance(argument, ast.Call) and ast.unparse(argument.func) == "shown"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://ann:s3cret@host:8/v1", "http://host:8/v1"),
        ("http://ann:s3@cret@host/v1", "http://host/v1"),
        ("http://ann:s3cret#@host/v1", "http://host/v1"),
        ("http://ann:s3cret?@host/v1", "http://…"),
        ("http://host/v1?u=a@b&p=s3cret", "http://…"),
        ("http://host/v1?p=s3cret", "http://host/v1"),
        ("http://host/v1#s3cret", "http://host/v1"),
        ("ann:s3cret@host", "…"),
        ("sqlite:////var/lib/receipts.db", "sqlite:////var/lib/receipts.db"),
    ],
)
def test_a_url_is_shown_without_who_enters_and_without_its_query(url: str, told: str) -> None:
    assert without_secrets(url) == told


def test_who_enters_is_kept_apart_from_the_url() -> None:
    assert apart("http://ann:s%40@[::1]:8/v1?a=b") == ("http://[::1]:8/v1?a=b", ("ann", "s@"))
    assert apart("http://ann@host") == ("http://host", ("ann", ""))
    assert apart("https://host/v1") == ("https://host/v1", None)
