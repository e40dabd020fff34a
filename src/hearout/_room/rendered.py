"""What a caller's page reports of its loudspeaker, read with distrust. Pure.

A browser counts the samples that its audio output took from the agent's track (``totalSamplesReceived``), and how many
of them it had to make up (``concealedSamples``, the silent ones too). What is left was rendered. The counters look the
same when the element is muted, so the page says that beside them.
"""

from typing import Any, NoReturn

from .._text import read_json
from ..errors import ReportError

SAMPLE_RATE = 48_000
"""Hz, of the browser's counters, whatever the track's own rate is."""

MOST = 2_048
"""Bytes of a report at most."""

SLACK = 0.25
"""Seconds by which a report may exceed what was sent: the two marks of it travel over a network."""


def seconds(report: str, *, sent: float, passed: float) -> float:
    """How much of one stretch of speech the page's browser rendered, in seconds; never more than was sent.

    Args:
        report: an object of JSON: ``received`` and ``concealed`` (samples since the begin was marked), ``allowed``
            (whether the browser allows sound), ``muted``, ``paused``.
        sent: seconds that were sent.
        passed: seconds from the first of them to the last. Where a slow TTS or a busy machine made pauses, it is more
            than `sent`; the pauses may have been rendered too, so they are taken off.

    Raises:
        ReportError: it is none, or cannot be true, or says that no sound came out. The message quotes nothing of it.
    """
    fields = _fields(report)
    for name, wanted in (("allowed", True), ("muted", False), ("paused", False)):
        if not isinstance(fields.get(name), bool):
            _refuse(f"{name} is missing")
        if fields[name] is not wanted:
            _refuse(f"the page was {name}" if name != "allowed" else "the browser blocked the sound")
    received, concealed = _count(fields, "received"), _count(fields, "concealed")
    if concealed > received:
        _refuse("more samples were made up than there were")
    if (received - concealed) > (max(sent, passed) + SLACK) * SAMPLE_RATE:
        _refuse("it is more than was sent")
    counted = (received - concealed) / SAMPLE_RATE - max(0.0, passed - sent)
    return min(sent, max(0.0, counted))


def _fields(report: str) -> dict[str, Any]:
    if len(report.encode("utf-8", "surrogatepass")) > MOST:
        _refuse(f"it is longer than {MOST} bytes")
    try:
        fields = read_json(report)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        _refuse("it is no object of JSON")
    return fields


def _count(fields: dict[str, Any], name: str) -> int:
    """A number of samples; a float (NaN, 1e999) or a truth value is none."""
    value = fields.get(name)
    if type(value) is not int or value < 0:
        _refuse(f"{name} is no number of samples")
    return value


def _refuse(why: str) -> NoReturn:
    raise ReportError(f"not counted: {why}")
