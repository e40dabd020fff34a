"""A person at the page that `web` serves: Chromium with a fake microphone, and what its browser rendered."""

import base64
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import wave
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness import ROOT
from harness.rooms.caller import LOUD, Lateness, Samples, spoken
from harness.rooms.notes import Notes
from hearout._local.tts import SAMPLE_RATE
from hearout._web import site
from hearout.measure import Measured, measure

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserType, Page

STARTED, ENDED = 60.0, 30.0
"""Seconds that `web` may take to start and to end."""

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream"),
)


def lacking() -> str:
    """The first thing that this machine lacks; empty where nothing is missing."""
    if shutil.which("chromium") is None:
        return "chromium is not on PATH"
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed"
    if not site.CLIENT.is_file():
        return "LiveKit's client for browsers is not here (make page, which needs npm)"
    found = subprocess.run([ROOT / ".ci" / "livekit-server"], capture_output=True, text=True, check=False)
    return found.stderr.strip().splitlines()[-1] if found.returncode else ""


def need_everything() -> None:
    """Skip the test where something is missing; in CI, fail."""
    if reason := lacking():
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)


def ledger(log: Path) -> str:
    """The ledger of the `web` that writes this log."""
    return f"sqlite:///{log.with_suffix('.db')}"


@contextlib.contextmanager
def served(agent: Path, log: Path, **environment: str) -> Iterator[str]:
    """Run `web` on loopback while the block runs; the page's address. No process or port stays open."""
    with running(agent, log, **environment) as url:
        with urllib.request.urlopen(url) as page:
            found = re.search(r"ws://127\.0\.0\.1:(\d+)", page.headers["Content-Security-Policy"])
        assert found is not None
        yield url
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(found[1]))).close()


@contextlib.contextmanager
def running(
    agent: Path, log: Path, *, host: str = "127.0.0.1", within: Sequence[str] = (), **environment: str
) -> Iterator[str]:
    """Run `web` while the block runs; the page's address. Ctrl-C ends the command, and no process stays.

    Args:
        agent: the file of the agent.
        log: where its errors go; its ledger is beside it (:func:`ledger`).
        host: the address of the page.
        within: what the command begins with.
        environment: more of it.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LIVEKIT_", "HEAROUT_"))}
    clean["HEAROUT_LEDGER"] = ledger(log)
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*within, sys.executable, "-u", str(agent), "web", "--host", host, "--port", "0"],
            cwd=ROOT,
            env=clean | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        yield _where(process, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(ENDED) == 0, log.read_text()[-2000:]
        assert "Traceback" not in log.read_text(), log.read_text()[-2000:]
        _wait_for_the_end(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _where(process: subprocess.Popen[str], log: Path) -> str:
    """The address that `web` prints when its worker can take calls."""
    assert process.stdout is not None
    overdue = threading.Timer(STARTED, process.kill)
    overdue.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if found := re.search(r"http://[\d.:]+", line):
            overdue.cancel()
            return found.group()
    overdue.cancel()
    pytest.fail(f"web did not start: {''.join(lines)}{log.read_text()[-2000:]}")


def _wait_for_the_end(group: int) -> None:
    """No process of the group is left; LiveKit's fork server ends 1 s after the worker."""
    until = time.monotonic() + ENDED
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(group, 0)
            time.sleep(0.2)
        pytest.fail("web left processes behind")


@contextlib.contextmanager
def browsing(*flags: str, program: Path | None = None) -> Iterator["Browser"]:
    """Run Chromium while the block runs: the one on PATH, or `program`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, launched(playwright.chromium, *flags, program=program) as browser:
        yield browser


@contextlib.contextmanager
def launched(chromium: "BrowserType", *flags: str, program: Path | None = None) -> Iterator["Browser"]:
    """The same, beside a browser that runs: ``browser.browser_type`` makes another."""
    browser = chromium.launch(executable_path=program or shutil.which("chromium"), args=[*FLAGS, *flags])
    try:
        yield browser
    finally:
        browser.close()


def microphone(path: Path, *said: tuple[float, str]) -> str:
    """The flag for a microphone that says these words at these seconds after it is opened; 48 kHz, mono."""
    samples = np.zeros(SAMPLE_RATE * 90, np.int16)
    for at, text in said:
        words = spoken(text)
        samples[round(at * SAMPLE_RATE) :][: len(words)] = words
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 2 * SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(np.repeat(samples, 2).tobytes())
    return f"--use-file-for-fake-audio-capture={path}"


def receipts(page: "Page") -> list[dict[str, Any]]:
    """Those on the page, in the order of their ends."""
    cards = page.locator("#receipts .card[data-receipt]").all()
    read = [json.loads(card.get_attribute("data-receipt") or "") for card in cards]
    return sorted(read, key=lambda one: float(one["at"]))


def join(page: "Page", url: str) -> None:
    """By the keyboard alone: the first thing that can be reached is the button."""
    page.goto(url)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")


LISTENS = """
const heard = new Map(); // by the track, what receives it
let recorded = 0;
const late = []; // when this page looked at its clock late, and by how many milliseconds
(function look(due) {
  if (performance.now() > due + 50) late.push([performance.timeOrigin + due, performance.now() - due]);
  setTimeout(look, 50, performance.now() + 50);
})(performance.now());

async function listen(track, receiver) {
  if (heard.has(track)) return; // told of again, when another is negotiated
  heard.set(track, receiver);
  const frames = new MediaStreamTrackProcessor({ track, maxBufferSize: 500 }).readable.getReader();
  for (let bytes = "", number = 1; ; number += 1) {
    const { value, done } = await frames.read();
    if (done) return keep(btoa(bytes));
    const samples = new Float32Array(value.numberOfFrames);
    value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    value.close();
    recorded += samples.length;
    const whole = Int16Array.from(samples, (one) => Math.max(-1, Math.min(1, one)) * 32767);
    bytes += String.fromCharCode(...new Uint8Array(whole.buffer));
    if (number % 10 === 0) {
      keep(btoa(bytes));
      bytes = "";
    }
  }
}

window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...given) {
    super(...given);
    this.addEventListener("track", ({ track, receiver }) => listen(track, receiver));
  }
};

// What waits to be read differs from look to look; what was taken before the recorder was there does not.
window.lateness = async () => {
  const looks = [];
  while (looks.length < 5) {
    let taken = 0;
    for (const receiver of heard.values()) {
      for (const one of (await receiver.getStats()).values()) taken += one.totalSamplesReceived ?? 0;
    }
    looks.push(taken - recorded);
    await new Promise((looksAgain) => setTimeout(looksAgain, 50));
  }
  return [late, Math.max(0, Math.min(...looks))];
};
"""
"""Gives the test what the browser takes from its jitter buffer for the loudspeaker, concealment and all, each 0.1 s."""


class Hearing:
    """Sound of the agent's tracks that a page's browser played, kept beyond the page's life.

    It comes in while the test waits for the page (``page.wait_for_timeout()``).

    Args:
        page: on which nothing is open yet.
    """

    sample_rate = 48_000
    """Hz: Chromium's, of every track that comes by WebRTC."""

    def __init__(self, page: "Page") -> None:
        self._pieces: list[Samples] = []
        self._began = 0.0
        self._page = page
        page.expose_function("keep", self._keep)
        page.add_init_script(LISTENS)

    def _keep(self, piece: str) -> None:
        self._pieces.append(np.frombuffer(base64.b64decode(piece), np.int16))
        self._began = self._began or time.monotonic() - len(self._pieces[0]) / self.sample_rate

    @property
    def behind(self) -> float:
        """Seconds of sound that should be here by now and are not yet: a busy browser gives them late."""
        return max(0.0, time.monotonic() - self._began - len(self.samples) / self.sample_rate)

    def lateness(self, notes: Notes) -> Lateness:
        """Measure how late the recorder, its page and the agent's process were: what comes late is left out."""
        late, missed = self._page.evaluate("lateness()")
        clock = time.time() - time.monotonic()
        loud = np.flatnonzero(np.abs(self.samples.astype(np.int32)) > LOUD)
        began = self._began + (loud[0] / self.sample_rate if len(loud) else 0.0)
        own = [(at / 1000 - clock, seconds / 1000) for at, seconds in late]
        return Lateness.of([*own, *notes.late], began - 2.0, began, missed / self.sample_rate)

    @property
    def samples(self) -> Samples:
        """All of it so far: mono."""
        return np.concatenate([np.zeros(0, np.int16), *self._pieces])

    def wait_for_sound(self, page: "Page", *, lasting: float, within: float) -> None:
        """Wait, on its page, until so many seconds from the first sound on are in it.

        Raises:
            AssertionError: they are not `within` so many seconds.
        """
        end = time.monotonic() + within
        while time.monotonic() < end:
            page.wait_for_timeout(100)
            loud = np.flatnonzero(np.abs(self.samples.astype(np.int32)) > LOUD)
            if len(loud) and len(self.samples) - loud[0] >= lasting * self.sample_rate:
                return
        raise AssertionError(f"{len(self.samples) / self.sample_rate:.1f} s came, and no sound of {lasting} s in them")

    def judged(self, text: str) -> Measured:
        """How much of `text`, in the local voice, is in it."""
        return measure(self.samples, spoken(text), self.sample_rate, reference_rate=SAMPLE_RATE)
