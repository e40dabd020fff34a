"""A call in the console, from its first line to its files."""

import asyncio
import contextlib
import datetime
import gc
import importlib.util
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from livekit.agents import AgentServer, JobExecutorType

from .._local import choice as voices
from .._session.agent_session import AgentSession
from .._session.process import use_line
from .._text import shown
from ..errors import ConsoleError, LocalVoiceMissingError

if TYPE_CHECKING:
    from .screen import Screen
    from .script import Script

START = 30.0
"""Seconds after which an agent that has not begun a session is given up."""

JOB_ENDS, WORKER_ENDS = 5.0, 1.0
"""Seconds that a worker with a job is given to end, and one without: that waits for nothing of the agent's. Of an
executor that its pool is making, LiveKit (1.8.9) waits for the end of its prewarm, or for ever; and the pool makes a
second one by chance, where the worker's thread has to wait for its core."""


def console(
    server: AgentServer,
    *,
    script: Path | None,
    out: Path | None,
    choice: voices.Choice,
    sound_card: bool,
    llm: voices.BuiltIn | voices.Upstream,
) -> int:
    """Hold one call with the agent of `server`; the exit status.

    Raises:
        HearoutError: something is wrong before the call; nothing was said.
    """
    _need("prompt_toolkit", "hibari", "moonshine_voice")
    gc.disable()  # until the worker starts: what is loaded until then stays
    with _models(choice, llm) as loaded:  # they load while the rest is imported, and while LiveKit's worker starts
        from .report import folder
        from .screen import Screen
        from .script import Script, read

        scripted = script is not None or not sys.stdin.isatty()
        steps = read(script or _talk_over()) if scripted else Script()
        directory = folder(out or Path("calls") / f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H-%M-%SZ}")
        screen = Screen(plain=scripted or not sys.stdout.isatty())
        screen.say(choice.because)
        conversation = _Conversation(server, screen, directory, steps, ends_itself=scripted)
        with conversation.logs():
            return conversation.hold(loaded, sound_card=sound_card)


class _Conversation:
    """One call and the threads that it needs: LiveKit's worker and job run in theirs, the terminal in the main one."""

    def __init__(
        self, server: AgentServer, screen: "Screen", directory: Path, steps: "Script", *, ends_itself: bool
    ) -> None:
        from .call import CallLog
        from .play import Player

        self._screen = screen
        self._directory = directory
        self._scripted = ends_itself
        self._expected = steps.expect
        self._call = screen.call = CallLog(screen.show)
        self._player = Player(self._call, steps, ends_itself=ends_itself)
        self._worker = _Worker(server, on_failed=lambda: self._player.end("agent failed"))

    @contextlib.contextmanager
    def logs(self) -> Iterator[None]:
        """Send logs to a file in the call's folder; warnings also to the screen, one line each."""
        handler = logging.FileHandler(self._directory / "agent.log", encoding="utf-8")
        handler.setFormatter(_Shown("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        short = _Short(self._screen)
        root = logging.getLogger()
        before = root.level
        for added in (handler, short):
            root.addHandler(added)
        root.setLevel(logging.INFO)
        logging.getLogger("hearout").setLevel(logging.DEBUG)
        try:
            yield
        finally:
            for added in (handler, short):
                root.removeHandler(added)
            root.setLevel(before)
            handler.close()

    def hold(self, loaded: Callable[[], None], *, sound_card: bool) -> int:
        """Hold the call, write its files, and say how it went; the exit status. `loaded` waits for the models."""
        from . import card

        if sound_card and not self._scripted and (name := card.available()):
            self._screen.say(f"sound card: {name} (--virtual leaves it alone)")
            self._call.line.card = card.Card()
        use_line(self._call.line, call=f"console/{self._directory.name}")
        self._worker.start()
        try:
            try:
                loaded()
                self._player.prepare()
                self._wait()
            except KeyboardInterrupt:
                self._player.end("stopped")
            finally:
                self._end()
        except KeyboardInterrupt:
            os._exit(130)  # the second Ctrl+C: at once
        finally:
            use_line(None)
        return self._report()

    def _wait(self) -> None:
        """Until the call is over."""
        began = time.monotonic()
        while self._call.line.session is None and not self._player.over.wait(0.02):
            if self._worker.job_ended:
                raise ConsoleError(f"the agent's job ended without a session; see {self._directory}/agent.log")
            if time.monotonic() - began > START:
                raise ConsoleError(f"the agent began no session within {START:.0f} s; see {self._directory}/agent.log")
        if self._scripted:
            while not self._player.over.wait(0.2):
                pass
        elif not self._player.over.is_set():
            self._screen.say(self._screen.help)
            self._screen.prompt(self._typed, self._player.over.is_set)
            self._player.end("hung up")

    def _typed(self, line: str) -> None:
        """What a person typed: a command, or words to be spoken."""
        command, _, rest = line.strip().partition(" ")
        try:
            if command == "/help":
                self._screen.say(self._screen.help)
            elif command == "/hangup":
                self._player.end("hung up")
            elif command == "/keys":
                self._in_call(self._press(rest.strip()))
            elif command == "/play":
                self._in_call(self._player.play(rest.strip()))
            elif command.startswith("/"):
                self._screen.show("error", f"{command} is no command; /help lists them")
            else:
                self._in_call(self._player.say(line))
        except ConsoleError as error:
            self._screen.show("error", str(error))

    async def _press(self, keys: str) -> None:
        self._player.press(keys)

    def _in_call(self, done: Coroutine[None, None, None]) -> None:
        """Run in the session's loop, and wait until the caller's words are on the line."""
        loop = self._call.line.loop
        if loop is None or not loop.is_running():
            done.close()
            return
        asyncio.run_coroutine_threadsafe(done, loop).result(20)

    def _end(self) -> None:
        if self._call.line.loop is not None and self._call.line.loop.is_running():
            asyncio.run_coroutine_threadsafe(self._hang_up(), self._call.line.loop).result(20)
        self._worker.stop()

    async def _hang_up(self) -> None:
        session = self._call.line.session
        if isinstance(session, AgentSession):
            session.user_left()  # nobody is on the line any more: what is still to be said is not said to nobody
        if session is not None:
            await session.aclose()
        await self._call.line.hang_up()

    def _report(self) -> int:
        from .line import SAMPLE_RATE
        from .report import FILES, questions, receipts, table, write

        record = self._call.record(self._player.outcome)
        write(self._directory, record, *self._call.line.recording(), SAMPLE_RATE)
        problems = self._call.problems() + self._call.unexpected(self._expected)
        (self._directory / "floor.jsonl").write_text("".join(f"{line}\n" for line in self._call.trace), "utf-8")
        self._screen.say("\n" + table(record))
        if written := self._call.receipts():
            self._screen.say("\n" + receipts(written))
        if asked := self._call.questions():
            self._screen.say("\n" + questions(asked))
        self._screen.say(f"\n{self._directory}: {', '.join(FILES)}")
        self._screen.say(self._cost())
        for problem in problems:
            self._screen.show("error", problem)
        failed = self._player.outcome in ("agent failed", "at_most")
        return 1 if failed or (self._scripted and problems) else 0

    def _cost(self) -> str:
        """What the call took, in one line; everything but the terminal, and a local LLM, runs in this process."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        began = time.time() - _age(os.getpid())
        seconds = time.time() - began
        beside = [child.cpu_times() for child in psutil.Process().children()]
        first = self._call.first_sound()
        sound = "" if first is None else f"first sound {self._call.line.began_at + first - began:.1f} s after start, "
        core = (used.ru_utime + used.ru_stime + sum(one.user + one.system for one in beside)) / seconds
        return f"{sound}{core:.0%} of a core, {used.ru_maxrss / 1024:.0f} MB at most"


class _Worker:
    """LiveKit's worker in a thread of its own, unregistered, with one job that has no room."""

    def __init__(self, server: AgentServer, *, on_failed: Callable[[], None]) -> None:
        self._server = server
        self._on_failed = on_failed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="hearout-worker", daemon=True)
        self._job: asyncio.Task[None] | None = None
        """Done when the job has begun."""

    @property
    def job_ended(self) -> bool:
        """Whether the job began, and has ended: LiveKit ends one whose entrypoint raises."""
        return self._has_begun and not self._server.active_jobs

    @property
    def _has_begun(self) -> bool:
        return self._job is not None and self._job.done()

    def start(self) -> None:
        self._server.update_options(job_executor_type=JobExecutorType.THREAD)
        gc.freeze()  # what was imported is no garbage: looking through it stops all threads for 0.1 s
        gc.enable()
        self._thread.start()

    def stop(self) -> None:
        """End the worker and its job; what does not end in time is left to the process's end."""
        within = JOB_ENDS if self._has_begun and self._server.active_jobs else WORKER_ENDS
        with contextlib.suppress(TimeoutError, RuntimeError):
            asyncio.run_coroutine_threadsafe(self._server.aclose(), self._loop).result(within)
            self._thread.join(within)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except Exception:
            # Whatever ends LiveKit's worker, the main thread must come to know of it, and the log have it.
            logging.getLogger("hearout").exception("the worker ended")
            self._on_failed()

    async def _serve(self) -> None:
        def begin() -> None:
            job = self._server.simulate_job("console-room", agent_identity="console", fake_job=True)
            self._job = self._loop.create_task(job)

        self._server.once("worker_started", begin)
        await self._server.run(devmode=True, unregistered=True)


class _Shown(logging.Formatter):
    """Lines of the log, of other libraries too, without what acts on the terminal that shows them."""

    def format(self, record: logging.LogRecord) -> str:
        """The record, its traceback included."""
        return shown(super().format(record))


class _Short(logging.Handler):
    """Errors and hearout's own warnings, one line each, on the screen; the file has the rest."""

    def __init__(self, screen: "Screen") -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR and not record.name.startswith("hearout"):
            return
        what = record.exc_info[1] if record.exc_info else None
        first = f"{record.getMessage()}{f': {what}' if what else ''}".splitlines()[:1]
        self._screen.show("error" if record.levelno >= logging.ERROR else "note", f"{record.name}: {''.join(first)}")


def _age(process: int) -> float:
    """Seconds since a process began.

    On Linux by the clock that the kernel notes it by: `psutil` adds the time of boot to it, in whole seconds.
    """
    try:
        ticks = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - float(ticks / os.sysconf("SC_CLK_TCK"))
    except OSError:
        began: float = psutil.Process(process).create_time()
        return time.time() - began


@contextlib.contextmanager
def _models(choice: voices.Choice, llm: voices.BuiltIn | voices.Upstream) -> Iterator[Callable[[], None]]:
    """The models that the agent's session will find in the environment; what waits until they are loaded."""
    if choice.where is not voices.Where.LOCAL:
        yield lambda: None
        return
    from .._local.gateway import answering

    with answering(llm) as gateway:
        os.environ.update(gateway.environment())
        yield gateway.loaded


def _need(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise LocalVoiceMissingError(
            f"the console needs {', '.join(missing)}, which hearout's extra brings; run: pip install 'hearout[local]'"
        )


def _talk_over() -> Path:
    """The scripted call: in the wheel beside this file, in a checkout in bench/calls."""
    packaged = Path(__file__).with_name("talk-over.toml")
    return packaged if packaged.is_file() else Path(__file__).parents[3] / "bench" / "calls" / "talk-over.toml"
