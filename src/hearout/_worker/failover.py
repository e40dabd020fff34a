"""A call survives its agent: when a job's process died, one worker sends the call another agent.

LiveKit's own server (1.13.5) sends an agent when a room is made, and none after its process died: the caller would hear
silence for ever. So each worker that `hearout.cli` runs says in the ledger that it lives, and looks after the calls
there: those of its own jobs, and those of workers that say nothing any more. It runs in the worker's main process.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from livekit import api
from livekit.agents import AgentServer

from ..errors import LedgerError
from ..ledger._anchors import web_session
from ..ledger._book import Ledger, new_holder
from ..ledger._calls import NOBODY, SENT, WORKER, CallRegistry, WatchedCall
from ..ledger._environment import ledger_from

logger = logging.getLogger("hearout")


LOOK = 0.4
"""Seconds from one look into the ledger to the next."""

GLANCE = 0.1
"""Seconds from one look at this worker's own jobs to the next: a process that is gone is known then."""

DEAD = 2.0
"""Seconds without a beat of another worker after which it is taken to be dead: five beats. Should it only be slow, its
agent is put out of the room before another comes, so that no two ever speak."""

LOOKS = 4
"""Looks in which a beat must not have changed, each within `PROMPT` of the one before: a ledger that stalls for
everybody keeps everybody from writing, and proves nobody's death."""

PROMPT = 3 * LOOK
"""Seconds from the end of one look to that of the next, after which what was seen before proves nothing."""

UNLISTED = -1
"""The beat of a worker that has a call and is not listed."""

RESCUES = 3
"""Agents that a call is sent at most: a fault that kills one may kill each."""

IN_VAIN = 9
"""How often an agent is asked for while none comes, `PATIENCE` each time: workers may be full for minutes."""

PATIENCE = 20.0
"""Seconds for an agent to come; after that another is sent, and that one called off. A cold process takes 3-5 s on a
busy machine, and an agent that looks something up before its session starts takes its time."""

_NO_CALLERS = frozenset(
    (api.ParticipantInfo.Kind.AGENT, api.ParticipantInfo.Kind.EGRESS, api.ParticipantInfo.Kind.INGRESS)
)


T = TypeVar("T")


@dataclass
class Orphan:
    """A call whose agent died, as this worker looks after it.

    Args:
        until: when the agent that was sent from here is given up, in seconds of the monotonic clock.
        dispatch: the id of the dispatch that sent it; empty for none.
        in_vain: how often the call was sent another, since none came.
        step: does what is due now; None while nothing is.
    """

    until: float = 0.0
    dispatch: str = ""
    in_vain: int = 0
    step: asyncio.Task[None] | None = None


class Failover:
    """Looks after the calls of one book of the ledger, for one worker.

    Args:
        server: the worker; its jobs are known by `active_jobs`.
        worker: names this worker, as no other is named.
        secret: LiveKit's API secret, by which the workers know each other's rows.
    """

    def __init__(self, server: AgentServer, ledger: Ledger, worker: str, secret: str) -> None:
        self._server = server
        self._registry = CallRegistry(ledger, secret)
        self._worker = worker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hearout-rescue")
        self._beat = 0
        self._beats: dict[str, tuple[int, float, int]] = {}
        """Of each worker: its last beat, when that was seen to change, and in how many looks it did not since."""
        self._looked = 0.0
        self._orphans: dict[str, Orphan] = {}
        self._down = False

    async def run(self) -> None:
        """Look after the calls, until it is cancelled."""
        looked, jobs = -LOOK, self._jobs
        try:
            while True:
                now, before, jobs = time.monotonic(), jobs, self._jobs
                if now >= looked + LOOK or before - jobs:
                    looked = now
                    try:
                        await self.look()
                    except Exception:  # whatever it is, calls are looked after at the next look
                        logger.exception("the calls of other workers could not be looked at")
                await asyncio.sleep(GLANCE)
        finally:
            for orphan in self._orphans.values():
                if orphan.step is not None:
                    orphan.step.cancel()
            self._thread.shutdown(wait=False)

    @property
    def _jobs(self) -> frozenset[str]:
        return frozenset(job.job.id for job in self._server.active_jobs)

    async def look(self) -> None:
        """Look once into the ledger, and begin what there is to do."""
        self._beat += 1
        try:
            seen = await self._asked(lambda: self._registry.look(worker=self._worker, beat=self._beat))
        except LedgerError as error:
            if not self._down:
                logger.error("%s; until it is back, no call whose agent dies gets another", error)
            self._down = True
            return
        self._down = False
        now = time.monotonic()
        if now - self._looked > PROMPT:
            self._beats.clear()  # whatever stood still here, or could not write, may have stood still there
        self._looked = now
        # one that is not listed may be listed in a moment: whoever's clock is an hour fast takes it for long dead
        beats = dict.fromkeys((one.worker for one in seen.calls), UNLISTED) | dict(seen.beats)
        self._beats = {worker: self._seen(worker, beat, now) for worker, beat in beats.items()}
        jobs = self._jobs  # after the look: a job that began meanwhile is not a dead one
        before, self._orphans = self._orphans, {}
        for watched in seen.calls:
            orphan = before.pop(watched.call, None) or Orphan()
            if watched.job:
                orphan.until, orphan.dispatch, orphan.in_vain = 0.0, "", 0
            self._orphans[watched.call] = orphan
            if self._is_orphan(watched, orphan, jobs, now) and orphan.step is None:
                orphan.step = asyncio.create_task(self._tend(watched, orphan))
        self._orphans |= {call: orphan for call, orphan in before.items() if orphan.step is not None}

    def _seen(self, worker: str, beat: int, now: float) -> tuple[int, float, int]:
        before, since, looks = self._beats.get(worker, (None, now, 0))
        if before is None or beat > before:
            return beat, now, 0
        return before, since, looks + 1  # an older row that somebody put back is no sign of life

    def _is_orphan(self, watched: WatchedCall, orphan: Orphan, jobs: frozenset[str], now: float) -> bool:
        if watched.worker == self._worker:
            return watched.job not in jobs if watched.job else now >= orphan.until
        if watched.worker == NOBODY:
            return True
        _, since, looks = self._beats[watched.worker]
        return looks >= LOOKS and now >= since + DEAD

    async def _tend(self, watched: WatchedCall, orphan: Orphan) -> None:
        """Do the steps that are due for one call with a dead agent. A listed call is looked at again later."""
        try:
            # by HTTPS_PROXY, as LiveKit's worker goes
            async with web_session(os.environ.get("LIVEKIT_URL", "")) as web, api.LiveKitAPI(session=web) as livekit:
                await self._send_an_agent(livekit, watched, orphan)
        except (api.TwirpError, aiohttp.ClientError, TimeoutError, LedgerError) as error:
            why = "LIVEKIT_URL is none" if isinstance(error, aiohttp.InvalidURL) else error  # that would quote it
            logger.error("room %r lost its agent, and no other could be sent: %s", watched.room, why)
            orphan.until, orphan.dispatch = 0.0, ""
            # what took this worker's agent out of the room may be what keeps this one from the server
            with contextlib.suppress(LedgerError):
                await self._asked(lambda: self._registry.release(watched, by=self._worker))
            await asyncio.sleep(LOOK)
        finally:
            orphan.step = None

    async def _send_an_agent(self, livekit: api.LiveKitAPI, watched: WatchedCall, orphan: Orphan) -> None:
        rooms = await livekit.room.list_rooms(api.ListRoomsRequest(names=[watched.room]))
        if not any(room.sid == watched.sid for room in rooms.rooms):
            await self._strike_off(watched)  # everybody has gone
            return
        people = await livekit.room.list_participants(api.ListParticipantsRequest(room=watched.room))
        if all(person.kind in _NO_CALLERS for person in people.participants):
            await asyncio.sleep(LOOK)  # they may return
            return
        here = {person.identity for person in people.participants if person.kind == api.ParticipantInfo.Kind.AGENT}
        if watched.job and not await self._is_of_that_room(livekit, watched, here):
            await self._strike_off(watched)
            return
        if not watched.job and here - {watched.identity}:
            return  # the one that was sent is there, and its session has not begun
        if (watched.rescues >= RESCUES and watched.job) or orphan.in_vain >= IN_VAIN:
            logger.error("room %r was sent %d agents; no other is", watched.room, watched.rescues)
            await self._strike_off(watched)
            return
        if not await self._asked(lambda: self._registry.claim(watched, by=self._worker)):
            return  # another worker does it
        orphan.in_vain += not watched.job
        before, orphan.dispatch, orphan.until = orphan.dispatch, "", time.monotonic() + PATIENCE
        number = watched.rescues + bool(watched.job)
        logger.warning("room %r lost its agent; another is sent (%d of %d)", watched.room, number, RESCUES)
        if before:
            with contextlib.suppress(api.TwirpError):  # it may be over
                await livekit.agent_dispatch.delete_dispatch(before, watched.room)
        if watched.identity in here:
            await self._put_out(livekit, watched)
        sent = await livekit.agent_dispatch.create_dispatch(await self._dispatch(livekit, watched))
        orphan.dispatch = sent.id

    async def _dispatch(self, livekit: api.LiveKitAPI, watched: WatchedCall) -> api.CreateAgentDispatchRequest:
        """The request that sends the same agent again, with the attributes and the deployment of its first dispatch."""
        listed = await livekit.agent_dispatch.list_dispatch(watched.room)
        before = next((one for one in listed if one.agent_name == watched.name), api.AgentDispatch())
        return api.CreateAgentDispatchRequest(
            agent_name=watched.name,
            room=watched.room,
            metadata=watched.metadata,
            deployment=before.deployment,
            attributes={**before.attributes, SENT: "1"},
        )

    async def _is_of_that_room(self, livekit: api.LiveKitAPI, watched: WatchedCall, here: set[str]) -> bool:
        """Whether LiveKit gave that job this room, by that name, and no other of its kind has come in its place.

        A row may be old: a worker wrote it, and somebody who has the database put it back. LiveKit does not list every
        job that it gave: seen once, of an agent that had spoken for 3 s (1.13.5; perhaps where the server's own request
        had timed out, LaunchJob in pkg/agent/client.go). Of such an agent LiveKit says by its list of participants that
        it is one of this room; where no agent is left there, nobody can be put out wrongly.
        """
        jobs = [job for sent in await livekit.agent_dispatch.list_dispatch(watched.room) for job in sent.state.jobs]
        listed = next((job.state.participant_identity for job in jobs if job.id == watched.job), "")
        identity = listed or (watched.identity if watched.identity in here or not here else "")
        if identity != watched.identity:
            logger.error("LiveKit gave room %r no such agent; nobody is put out, and none is sent", watched.room)
            return False
        others = {job.state.participant_identity for job in jobs if job.agent_name == watched.name} - {identity}
        if others & here:
            logger.warning("room %r has another agent by now; none is sent", watched.room)
        return not others & here

    async def _put_out(self, livekit: api.LiveKitAPI, watched: WatchedCall) -> None:
        """See to it that the agent is gone before another comes: should it live after all, two would speak."""
        gone = api.RoomParticipantIdentity(room=watched.room, identity=watched.identity)
        try:
            await livekit.room.remove_participant(gone)
        except api.TwirpError as error:
            if error.code != api.TwirpErrorCode.NOT_FOUND:  # LiveKit may have missed it by itself meanwhile
                raise

    async def _strike_off(self, watched: WatchedCall) -> None:
        await self._asked(lambda: self._registry.leave(watched.call, job=watched.job))

    async def _asked(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


@contextlib.contextmanager
def watching(server: AgentServer, environ: Mapping[str, str]) -> Iterator[None]:
    """Let a worker that runs in this block look after calls, where the environment says so.

    Args:
        server: the worker, not started yet.
        environ: with ``HEAROUT_RESCUE=off``, without a ledger, or without LiveKit's API secret, it does not.

    Raises:
        LedgerError: the environment names a ledger that makes no sense.
    """
    secret = environ.get("LIVEKIT_API_SECRET", "")
    if environ.get("HEAROUT_RESCUE") == "off" or not secret or (ledger := ledger_from(environ)) is None:
        yield
        return
    os.environ[WORKER] = worker = new_holder(socket.gethostname(), os.getpid())
    running: list[asyncio.Task[None]] = []  # a task that nobody holds may be collected

    def start(*_: object) -> None:
        running.append(asyncio.get_running_loop().create_task(Failover(server, ledger, worker, secret).run()))

    server.once("worker_started", start)
    try:
        yield
    finally:
        if running:
            with contextlib.suppress(LedgerError):
                CallRegistry(ledger, secret).retire(worker)
        ledger.close()
