"""`hearout receipts`: list, show, serve, verify, export, anchor, forget and expire the receipts of a ledger."""

import argparse
import getpass
import json
import math
import os
import re
import socket
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._text import shown
from .._text.progress import Progress, silent
from ..errors import HearoutError, LedgerError
from ..receipts import Level, Receipt
from ..receipts._codec import to_json
from . import Ledger, Mode
from . import _read as book
from ._book import DEFAULT_BOOK, DEFAULT_URL
from ._checkpoint import anchors, key_line
from ._entries import STANDINGS, Entry
from ._questions import answered_too_early, question_json, questions
from ._signing import load_signer, load_verifier
from ._vcon import vcons
from ._verify import ChainVerdict, verify_export

COMMANDS = ("list", "show", "serve", "verify", "export", "anchor", "forget", "expire")
FILTERS = ("since", "until", "outcome", "level")
FLAGS = ("-h", "--help", "--json", "--chain", "--vcon", "--text")
"""The options that take no value."""
WIDTH = 80
OLDEST = 1000 * 366 * 86400.0
"""Seconds: what was so long ago still has a date."""

Run = Callable[[argparse.Namespace], int]


def _no_page(_: argparse.Namespace) -> int:
    raise LedgerError("the page is part of the hearout command; run: hearout receipts serve")


def main(
    argv: Sequence[str],
    environ: Mapping[str, str] | None = None,
    *,
    clock: Callable[[], float] = time.time,
    serve: Run = _no_page,
    progress: Progress = silent,
) -> int:
    """Run the command.

    Args:
        argv: what follows ``hearout receipts``.
        environ: where ``HEAROUT_LEDGER``, ``HEAROUT_BOOK`` and ``HEAROUT_LEDGER_KEY`` are looked up.
        clock: the time, in seconds since 1970, UTC.
        progress: shows how far `verify` is.

    Returns:
        the exit status: 0; 1 when it failed or a row is bad; 2 for a wrong call.
    """
    try:
        options = _parser(environ or {}, serve).parse_args(_command_first(argv))
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    options.now, options.status, options.progress = clock(), 0, progress
    try:
        return int(options.run(options))
    except HearoutError as error:
        print(shown(f"error: {error}"), file=sys.stderr)  # noqa: T201
        return 1
    except BrokenPipeError:  # its reader has seen enough: `hearout receipts | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(options.status)


def _parser(environ: Mapping[str, str], serve: Run) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hearout receipts", description="What was said to whom, and what shows it.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Run, what: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".")
        one.set_defaults(run=run)
        _add_where(one, environ)
        return one

    listing = command("list", _list, "list the utterances, one a line (what is done when no command is given)")
    _add_filters(listing)
    listing.add_argument("--json", action="store_true", help="print a list of JSON objects")
    about = listing.add_mutually_exclusive_group()
    about.add_argument("--asked", metavar="ID", help="who was asked this question, what they said, and when")
    about.add_argument(
        "--disclosed-before-first-answer",
        metavar="ID",
        help="the calls in which something was answered before this utterance was played to its end",
    )
    show = command("show", _show, "show all that is known of an utterance")
    show.add_argument("id", metavar="ID", help="its id")
    show.add_argument("--call", metavar="CALL", help="in this call only")
    show.add_argument("--json", action="store_true", help="print a list of JSON objects")
    _add_checking(command, serve)
    export = command("export", _export, "print the utterances as JSON, one a line, with their receipts")
    _add_filters(export)
    export.add_argument("--chain", action="store_true", help="print the rows with their hashes instead")
    export.add_argument("--vcon", action="store_true", help="print each call as an IETF vCon instead")
    export.add_argument("--anchors", type=Path, metavar="FILE", help="with --chain: prove that it began as they say")
    command("anchor", _anchor, "print what the book is now, to be kept outside its database")
    _add_forgetting(command, environ)
    return parser


def _add_checking(command: Callable[[str, Run, str], argparse.ArgumentParser], serve: Run) -> None:
    verify = command("verify", _verify, "check every row, and name the first bad one")
    page = command("serve", serve, "serve a page on this machine that shows them")
    for one in (verify, page):
        signs = "every row must be signed with this public key (PEM)"
        one.add_argument("--key", type=Path, metavar="FILE", help=signs)
        begun = "the book must have begun as these anchors say"
        one.add_argument("--anchors", type=Path, metavar="FILE", help=begun)
    page.add_argument("--port", type=int, default=8001, help="0 for a free one (%(default)s)")
    sounds = "recordings of the calls: NAME.wav, or NAME/call.wav as console writes them"
    page.add_argument("--recordings", type=Path, metavar="FOLDER", help=sounds)
    verify.add_argument(
        "--file", type=Path, metavar="EXPORT", help="check what export --chain printed, without the database"
    )
    verify.add_argument("--head", metavar="HASH", help="a hash that was noted before must be there still")
    verify.add_argument("--json", action="store_true", help="print a JSON object")


def _add_forgetting(
    command: Callable[[str, Run, str], argparse.ArgumentParser],
    environ: Mapping[str, str],
) -> None:
    forget = command("forget", _forget, "remove what the caller said in a call, and its names; the chain stays whole")
    forget.add_argument("call", metavar="CALL", help="which call")
    expire = command("expire", _expire, "forget each call that is older")
    expire.add_argument(
        "--older-than", type=_age, metavar="AGE", required=True, help="by its last row: 90d, 12h; s, m, h, d or w"
    )
    key, signs = environ.get("HEAROUT_LEDGER_KEY") or None, "the private key of a book that is signed"
    for one in (forget, expire):
        one.add_argument("--text", action="store_true", help="the announcements' texts, too")
        one.add_argument("--sign", type=Path, metavar="FILE", default=key, help=f"{signs} ($HEAROUT_LEDGER_KEY)")


def _add_where(parser: argparse.ArgumentParser, environ: Mapping[str, str]) -> None:
    url, name = environ.get("HEAROUT_LEDGER") or DEFAULT_URL, environ.get("HEAROUT_BOOK") or DEFAULT_BOOK
    add = parser.add_argument
    add("--ledger", metavar="URL", default=url, help=f"the database ($HEAROUT_LEDGER, or {DEFAULT_URL})")
    add("--book", metavar="NAME", default=name, help=f"which book of it ($HEAROUT_BOOK, or {DEFAULT_BOOK})")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    add, levels = parser.add_argument, tuple(str(level) for level in Level)
    add("--call", metavar="CALL", help="of this call only")
    add("--since", type=_moment, metavar="TIME", help="promised from then on: 2027-01-31, 2027-01-31T08:00")
    add("--until", type=_moment, metavar="TIME", help="promised before then; UTC if no zone is given")
    add("--outcome", type=_some_of(STANDINGS), help=f"one or more of {', '.join(STANDINGS)}")
    add("--level", type=_some_of(levels), help=f"one or more of {', '.join(levels)}")


# Arguments: each is refused with a sentence


def _command_first(arguments: Sequence[str]) -> list[str]:
    """Put the command before the options, wherever it stands among them; `list` where there is none."""
    takes_value = False
    for number, word in enumerate(arguments):
        if word.startswith("-"):
            takes_value = "=" not in word and not any(flag.startswith(word) for flag in FLAGS)
        elif takes_value:
            takes_value = False
        elif word in COMMANDS:
            return [word, *arguments[:number], *arguments[number + 1 :]]
        else:
            break
    return list(arguments) if arguments and arguments[0] in ("-h", "--help") else ["list", *arguments]


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write it like 2027-01-31T08:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _age(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if found is None or (seconds := int(found[1]) * units[found[2]]) > OLDEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write it like 90d or 12h, and at most 1000 years")
    return seconds


def _some_of(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        chosen = tuple(one.strip() for one in text.split(","))
        for one in chosen:
            if one not in choices:
                raise argparse.ArgumentTypeError(f"{one!r} is none of {', '.join(choices)}")
        return chosen

    return parse


# The commands


def _opened(options: argparse.Namespace) -> closing[Ledger]:
    return closing(Ledger(options.ledger, options.book, mode=Mode.READ))


def _found(options: argparse.Namespace) -> Iterator[Entry]:
    when = {"since": options.since, "until": options.until}
    with _opened(options) as ledger:
        for entry in book.entries(ledger, now=options.now, call=options.call, **when):
            like = options.outcome is None or entry.standing in options.outcome
            if like and (options.level is None or entry.level in options.level):
                yield entry


def _list(options: argparse.Namespace) -> int:
    if options.asked is not None:
        return _list_asked(options)
    if options.disclosed_before_first_answer is not None:
        return _list_early(options)
    if options.json:
        _say([json.dumps([_as_json(entry) for entry in _found(options)], indent=2)])
        return 0
    lines = [_line(entry) for entry in _found(options)]
    head = _columns("promised (UTC)", "call", "utterance", "outcome", "level", "played")
    _say([head, *lines] if lines else [f"No utterance in book {options.book!r} is like that."])
    return 0


def _refuse(options: argparse.Namespace, why: str, *filters: str) -> None:
    """Refuse options that would be passed over: who gave them would take the answer for another one."""
    given = (getattr(options, one) for one in filters)
    if any(one is not None and one is not False for one in given):
        raise LedgerError(why)


def _list_asked(options: argparse.Namespace) -> int:
    _refuse(options, "--asked lists questions, which have no outcome or level to choose by", "outcome", "level")
    since = 0.0 if options.since is None else options.since
    until = math.inf if options.until is None else options.until
    with _opened(options) as ledger:
        asked = questions(ledger, call=options.call, id=options.asked)
        found = [(at, receipt) for at, receipt in asked if since <= at < until]
    if options.json:
        _say([json.dumps([question_json(at, receipt) for at, receipt in found], indent=2)])
        return 0
    head = f"{'decided (UTC)':<19} {'call':<14} {'version':<7} {'choice':<14} {'basis':<8} said"
    lines = []
    for at, receipt in found:
        choice = (receipt.choice or receipt.outcome.value) + (" (revoked)" if receipt.revoked else "")
        said = "; ".join(f"{answer.text or '…'} ({answer.verdict})" for answer in receipt.answers)
        where = f"{_time(at):<19} {_cut(receipt.call, 14)} {_cut(receipt.version, 7)} {_cut(choice, 14)}"
        lines.append(f"{where} {receipt.basis.value:<8} {_cut(said, 21)}".rstrip())
    _say([head, *lines] if lines else [f"No question {options.asked!r} has ended in book {options.book!r}."])
    return 0


def _list_early(options: argparse.Namespace) -> int:
    id = options.disclosed_before_first_answer
    _refuse(options, "--disclosed-before-first-answer looks at whole calls; only --call goes with it", *FILTERS)
    with _opened(options) as ledger:
        found = list(answered_too_early(ledger, id, now=options.now, call=options.call))
    if options.json:
        _say([json.dumps([{"call": call, "answered": what} for call, what in found], indent=2)])
    else:
        lines = [f"{_cut(call, 30)} {_one_line(what)}" for call, what in found]
        _say(lines or [f"In book {options.book!r}, nothing was answered before {id!r} was played to its end."])
    return 1 if found else 0


def _show(options: argparse.Namespace) -> int:
    options.since = options.until = options.outcome = options.level = None
    chosen = [entry for entry in _found(options) if entry.id == options.id]
    if not chosen:
        where = f" in call {options.call!r}" if options.call else ""
        raise LedgerError(f"there is no utterance {options.id!r}{where} in book {options.book!r}; see hearout receipts")
    if options.json:
        _say([json.dumps([_as_json(entry) for entry in chosen], indent=2)])
    else:
        _say("\n\n".join("\n".join(_details(entry)) for entry in chosen).split("\n"))
    return 0


def _verify(options: argparse.Namespace) -> int:
    verifier = None if options.key is None else load_verifier(options.key)
    if options.file is not None:
        known = [] if options.anchors is None else anchors(options.anchors)
        with options.progress("checking rows") as told:
            name, verdict = verify_export(options.file, verifier=verifier, head=options.head, anchors=known, told=told)
    else:
        name = options.book
        with _opened(options) as ledger, options.progress("checking rows") as told:
            known = [] if options.anchors is None else anchors(options.anchors, name)
            verdict = book.verify(ledger, verifier=verifier, head=options.head, anchors=known, told=told)
    options.status = 1 if verdict.fault else 0
    if options.json:
        found = {"book": name, **vars(verdict), "fault": verdict.fault and vars(verdict.fault)}
        _say([json.dumps(found | ({} if verifier is None else {"vkey": key_line(name, verifier.public)}))])
    else:
        _say(_verdict(name, verdict, is_checked=verifier is not None))
    return int(options.status)


def _verdict(name: str, verdict: ChainVerdict, *, is_checked: bool) -> Iterator[str]:
    if verdict.fault is not None:
        yield f"Book {name!r}: {verdict.fault.row}: {verdict.fault.what}."
        yield f"Good before it: {verdict.rows}."
        return
    how = ", checked" if is_checked else ", not checked (--key)" if verdict.signed else ""
    yield f"Book {name!r}: each row is as it was written, after the one before."
    yield f"Rows: {verdict.rows}. Signed: {verdict.signed}{how}. Anchored: {verdict.anchored}."
    for one in verdict.unknown:
        yield f"Not shown: {one}."
    yield "Note the last row's hash elsewhere; this then shows that nothing was cut off:"
    yield f"  --head {verdict.head}"


def _export(options: argparse.Namespace) -> int:
    if options.vcon:
        return _export_vcon(options)
    if not options.chain:
        _refuse(options, "--anchors goes with --chain: what else is printed has no proofs", "anchors")
        _say(json.dumps(_as_json(entry)) for entry in _found(options))
        return 0
    _refuse(options, "--chain prints rows, which have no outcome or level; only --call goes with it", *FILTERS)
    with _opened(options) as ledger:
        known = [] if options.anchors is None else anchors(options.anchors, options.book)
        _say(json.dumps(row) for row in book.rows(ledger, call=options.call, anchors=known))
    return 0


def _export_vcon(options: argparse.Namespace) -> int:
    _refuse(options, "--vcon prints whole calls; only --call goes with it", *FILTERS, "chain", "anchors")
    with _opened(options) as ledger:
        said = list(book.entries(ledger, now=options.now, call=options.call))
        for one in vcons(said, questions(ledger, call=options.call), now=options.now):
            _say([json.dumps(one)])
    return 0


def _anchor(options: argparse.Namespace) -> int:
    with _opened(options) as ledger:
        checkpoint = ledger.checkpoint()
    if checkpoint is None:
        raise LedgerError(f"book {options.book!r} has no row, so there is nothing to anchor")
    _say([json.dumps(checkpoint.to_json())])
    return 0


def _forget(options: argparse.Namespace) -> int:
    with _changing(options) as ledger:
        removed = ledger.forget(options.call, by=_me(), now=options.now, text=options.text)
    what = "the caller's words, the names" + (", the announcements' texts" if options.text else "")
    _say([f"Call {options.call!r}: {what} were removed (rows: {removed}). Copies and backups still have it."])
    return 0


def _expire(options: argparse.Namespace) -> int:
    with _changing(options) as ledger:
        before = options.now - options.older_than
        gone = ledger.expire(before=before, by=_me(), now=options.now, text=options.text)
    _say([f"Calls before {_time(before)} UTC: {gone} were forgotten. Copies and backups still have them."])
    return 0


@contextmanager
def _changing(options: argparse.Namespace) -> Iterator[Ledger]:
    """The ledger, to be written to, if there is one, and its book is signed only where that can be done here."""
    with _opened(options) as reader:  # so that a wrong URL makes no new ledger
        if options.sign is None and book.is_signed(reader):
            raise LedgerError(
                f"book {options.book!r} is signed, and so must be the row that says what was forgotten; "
                "give the private key with --sign"
            )
    signer = None if options.sign is None else load_signer(Path(options.sign))
    with closing(Ledger(options.ledger, options.book, signer=signer)) as ledger:
        yield ledger


def _me() -> str:
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # of a number without a name, as a container may run it
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


# What is printed


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        print(shown(line))  # noqa: T201
    print(end="", flush=True)  # noqa: T201


def _time(seconds: float | None) -> str:
    return "–" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _as_json(entry: Entry) -> dict[str, Any]:
    def moment(seconds: float | None) -> str | None:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()

    return {
        "call": entry.call,
        "id": entry.id,
        "agent": entry.agent,
        "standing": entry.standing,
        "level": entry.level or None,
        "promised": moment(entry.asked),
        "over": moment(entry.over),
        "amended": moment(entry.amended),
        "played": entry.played,
        "rows": list(entry.rows),
        "spooled": entry.spooled,
        "receipt": to_json(entry.receipt) if entry.receipt else None,
    }


def _line(entry: Entry) -> str:
    when = entry.asked if entry.asked is not None else entry.over
    return _columns(_time(when), entry.call, entry.id, entry.standing, entry.level or "–", f"{entry.played:.1f} s")


def _columns(when: str, call: str, id: str, outcome: str, level: str, played: str) -> str:
    return f"{when:<19} {_cut(call, 14)} {_cut(id, 14)} {outcome:<11} {level:<12} {played:>6}".rstrip()


def _cut(text: str, width: int) -> str:
    text = _one_line(text)
    return f"{text if len(text) <= width else text[: width - 1] + '…':<{width}}"


def _one_line(text: str) -> str:
    """A name or words in a column: they have no line end."""
    return shown(" ".join(text.splitlines()))


def _details(entry: Entry) -> list[str]:
    facts = [("utterance", entry.id), ("call", entry.call), ("agent", entry.agent)]
    facts.append(("promised", f"{_time(entry.asked)} UTC" if entry.asked is not None else "never"))
    if entry.over is not None:
        facts.append(("over", f"{_time(entry.over)} UTC"))
    if entry.amended is not None:
        facts.append(("amended", f"{_time(entry.amended)} UTC: more became known of who heard it"))
    *before, last = map(str, entry.rows)
    rows = f"{', '.join(before)} and {last}" if before else last
    facts.append(("rows", rows + (", written later: the ledger took too long, or was down" if entry.spooled else "")))
    facts += (
        _facts(entry.receipt) if entry.receipt else [("standing", f"{entry.standing}, {entry.played:.1f} s played")]
    )
    lines = []
    for name, what in facts:
        wrapped = textwrap.wrap(_one_line(what), WIDTH - 12) or ["–"]
        lines += [f"{label:<12}{line}" for label, line in zip([name] + [""] * len(wrapped), wrapped, strict=False)]
    return lines


def _facts(receipt: Receipt) -> Iterator[tuple[str, str]]:
    yield "outcome", receipt.outcome.value + (f": {receipt.why}" if receipt.why else "")
    if receipt.cut_in_by:
        yield "cut in by", receipt.cut_in_by
    yield "level", str(receipt.level)
    yield "text", f"“{receipt.text}”" if receipt.text else "not kept"
    yield "SHA-256", receipt.text_sha256
    whole = f" of {receipt.expected:.2f} s" if receipt.expected is not None else " s of an unknown length"
    yield "played", f"{receipt.played:.2f}{whole}" + (f"; {receipt.made:.2f} s were made" if receipt.made else "")
    for attempt in receipt.attempts:
        when = f"{attempt.began_at:.2f}–{attempt.ended_at:.2f} s of the call"
        why = f"; {attempt.ended_why}" if attempt.ended_why else ""
        yield "attempt", f"{when}: {attempt.played:.2f} s, from its second {attempt.starts_from:.2f}{why}"
    for begin, end in receipt.holes:
        yield "hole", f"{begin:.2f}–{end:.2f} s of it were not played"
    for listener in receipt.listeners:
        levels = receipt.levels(listener.identity)
        seconds = ", ".join(f"{level} {levels[level]:.2f} s" for level in levels if level >= Level.PRESENT)
        yield "listener", f"{listener.identity}: {receipt.level_of(listener.identity)} ({seconds})"
    for held, fate in receipt.held:
        said = f"“{held.text}”" if held.text else "words that are not kept"
        yield "caller", f"{held.at:.2f} s: {said} ({held.kind.value}) → {fate.value}"
    if receipt.sounds:
        yield "sounds", f"{receipt.sounds} without words"
    if receipt.stood_still:
        yield "stood still", f"the agent's event loop, for {receipt.stood_still:.1f} s meanwhile"
    if receipt.gap is not None:
        yield "gap", f"{receipt.gap:.3f} s to the answer"
