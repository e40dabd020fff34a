"""Which worker sends a call another agent, and when none does. LiveKit's rooms are played; the ledger is a real one."""

import asyncio
import types
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa
from livekit import api

from harness.ledger_workers import SECRET, Opened
from hearout._worker import failover as rescue
from hearout._worker.failover import DEAD, IN_VAIN, LOOK, LOOKS, PATIENCE, RESCUES, Failover
from hearout.errors import LedgerDownError
from hearout.ledger._calls import NOBODY, SENT, CallRegistry, WatchedCall
from hearout.ledger._tables import CALLS, WORKERS

CALL = WatchedCall("room/RM_1", "room", "RM_1", "job-1", "agent-1", "", "as before", worker="a", holder="a-job")
AGENT, PERSON = api.ParticipantInfo.Kind.AGENT, api.ParticipantInfo.Kind.STANDARD


@dataclass
class Rooms:
    """LiveKit's server: one room, the participants, and the requests so far."""

    sid: str = "RM_1"
    people: dict[str, Any] = field(default_factory=lambda: {"agent-1": AGENT, "caller": PERSON})
    done: list[str] = field(default_factory=list)
    is_down: bool = False
    is_unreachable: bool = False
    refuses: str = ""
    sent: Any = None
    """The last dispatch that was asked for."""
    jobs: dict[str, str] = field(default_factory=lambda: {f"job-{number}": "agent-1" for number in range(5)})
    """The agents that it gave this room: the identity of each job."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    @property
    def room(self) -> Self:
        return self

    @property
    def agent_dispatch(self) -> Self:
        return self

    async def list_rooms(self, _: api.ListRoomsRequest) -> Any:
        if self.is_unreachable:
            raise TimeoutError("no answer")
        return types.SimpleNamespace(rooms=[types.SimpleNamespace(sid=self.sid)] if self.sid else [])

    async def list_participants(self, _: api.ListParticipantsRequest) -> Any:
        people = [types.SimpleNamespace(identity=name, kind=kind) for name, kind in self.people.items()]
        return types.SimpleNamespace(participants=people)

    async def list_dispatch(self, room: str) -> Any:
        assert room == "room"
        jobs = [
            types.SimpleNamespace(id=job, agent_name="", state=types.SimpleNamespace(participant_identity=identity))
            for job, identity in self.jobs.items()
        ]
        dispatch = api.AgentDispatch(deployment="blue", attributes={"tenant": "seven"})
        return [types.SimpleNamespace(**self._as_sent(dispatch), state=types.SimpleNamespace(jobs=jobs))]

    def _as_sent(self, dispatch: Any) -> dict[str, Any]:
        names = ("agent_name", "deployment", "attributes")
        return {name: getattr(dispatch, name) for name in names}

    async def remove_participant(self, gone: api.RoomParticipantIdentity) -> None:
        if self.refuses:
            raise api.TwirpError(self.refuses, "refused", status=404)
        self.done.append(f"out: {gone.identity}")

    async def create_dispatch(self, wanted: api.CreateAgentDispatchRequest) -> Any:
        if self.is_down:
            raise TimeoutError("no answer")
        self.done.append(f"in: {wanted.metadata}")
        self.sent = wanted
        return types.SimpleNamespace(id=f"dispatch-{len(self.done)}")

    async def delete_dispatch(self, dispatch: str, room: str) -> None:
        self.done.append(f"called off: {dispatch} in {room}")


class Workers:
    """Workers that look into one ledger, on a clock that is set by hand."""

    def __init__(self, folder: Path, rooms: Rooms) -> None:
        self.ledger = Opened(f"sqlite:///{folder / 'receipts.db'}")
        self.custody = CallRegistry(self.ledger, SECRET)
        self.rooms = rooms
        self.now = 1000.0
        self.jobs: list[Any] = []
        self._named: dict[str, Failover] = {}

    def named(self, name: str) -> Failover:
        server: Any = types.SimpleNamespace(active_jobs=self.jobs)
        return self._named.setdefault(name, Failover(server, self.ledger, name, SECRET))

    def run(self, *jobs: str) -> None:
        """The workers' own jobs from now on."""
        self.jobs[:] = [types.SimpleNamespace(job=types.SimpleNamespace(id=job)) for job in jobs]

    async def look(self, *names: str, jobs: tuple[str, ...] = ()) -> None:
        """Let all workers look once, at the same time, and do all that is found."""
        self.run(*jobs)
        await asyncio.gather(*(self.named(name).look() for name in names))
        await asyncio.gather(*(one.step for name in names for one in self.named(name)._orphans.values() if one.step))

    @property
    def calls(self) -> tuple[WatchedCall, ...]:
        return self.custody.look(worker="test", beat=int(self.now)).calls


Play = Callable[[Workers], Coroutine[Any, Any, None]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Play what workers do while a call is listed; what LiveKit was asked for."""

    def played(workers_do: Play, rooms: Rooms | None = None, *, listed: WatchedCall | None = CALL) -> list[str]:
        rooms = rooms or Rooms()
        workers = Workers(tmp_path, rooms)
        clock = types.SimpleNamespace(monotonic=lambda: workers.now, time=lambda: workers.now)
        monkeypatch.setattr(rescue, "time", clock)
        monkeypatch.setattr(rescue, "LOOK", 0.0)  # what it waits for at the end of a look
        monkeypatch.setattr(rescue.api, "LiveKitAPI", lambda *, session: rooms)
        if listed is not None:
            workers.custody.attend(listed)
        asyncio.run(workers_do(workers))
        return rooms.done

    return played


SENT_ONE = ["out: agent-1", "in: as before"]


def test_a_worker_whose_job_died_removes_the_dead_agent_and_sends_another(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a", jobs=("job-1",))
        assert workers.rooms.done == []
        await workers.look("a")
        await workers.look("a")  # the other is on its way
        assert workers.calls == (replace(CALL, job="", rescues=1),)

    assert play(do) == SENT_ONE


def test_a_worker_that_looks_again_while_it_tends_a_call_goes_on(play: Any) -> None:
    async def do(workers: Workers) -> None:
        worker = workers.named("a")
        await worker.look()
        step = worker._orphans[CALL.call].step
        assert step is not None
        await worker.look()
        assert worker._orphans[CALL.call].step is step
        await step

    assert play(do) == SENT_ONE


def test_another_agent_is_sent_as_the_first_was_and_knows_that_it_was_sent(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a")
        assert workers.rooms.sent.deployment == "blue"
        assert dict(workers.rooms.sent.attributes) == {"tenant": "seven", SENT: "1"}

    assert play(do) == SENT_ONE


def test_of_agents_that_were_sent_to_one_call_the_first_has_it(play: Any) -> None:
    async def do(workers: Workers) -> None:
        first, second = (replace(CALL, job=f"job-{number}", identity=f"agent-{number}") for number in (2, 3))
        await workers.look("a")
        assert workers.custody.attend(first, is_sent=True)
        assert not workers.custody.attend(second, is_sent=True)
        assert workers.custody.attend(first, is_sent=True)
        assert workers.calls[0].job == "job-2"
        assert workers.custody.attend(second), "whom a program sent beside it stays"

    assert play(do) == SENT_ONE


def test_a_call_that_was_left_is_sent_nobody(play: Any) -> None:
    async def do(workers: Workers) -> None:
        assert workers.custody.leave(CALL.call, job=CALL.job)
        await workers.look("a", "b")

    assert play(do) == []


def test_of_workers_that_find_a_call_at_once_one_sends_an_agent(play: Any) -> None:
    async def do(workers: Workers) -> None:
        workers.custody.attend(CALL)  # of a worker that nobody has seen
        await workers.look("b", "c", "d", "e")
        assert workers.rooms.done == []  # it may be listed in a moment
        for _ in range(LOOKS + 2):
            workers.now += LOOK
            await workers.look("b", "c", "d", "e")

    assert play(do) == SENT_ONE


def test_another_workers_call_is_its_own_as_long_as_it_gives_signs_of_life(play: Any) -> None:
    async def do(workers: Workers) -> None:
        for number in range(20):
            if number % 3 == 0:
                await workers.look("a", jobs=("job-1",))
            await workers.look("b", jobs=("job-1",))
            workers.now += LOOK
        assert workers.rooms.done == []
        for _ in range(LOOKS + 3):
            await workers.look("b", jobs=("job-1",))
            workers.now += LOOK

    assert play(do) == SENT_ONE


def test_a_worker_that_stood_still_itself_takes_nobody_for_dead(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a", jobs=("job-1",))
        for _ in range(2 * LOOKS):
            await workers.look("b", jobs=("job-1",))
            workers.now += DEAD  # the ledger stalled, for "a" as well

    assert play(do) == []


def test_a_worker_that_looks_seldom_needs_as_many_looks(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a", jobs=("job-1",))
        for _ in range(LOOKS + 1):
            assert workers.rooms.done == []
            workers.now += 1.0  # prompt enough to count, and past `DEAD` with the third
            await workers.look("b")

    assert play(do) == SENT_ONE


def test_a_job_that_began_while_the_ledger_was_read_is_no_dead_one(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def do(workers: Workers) -> None:
        look = CallRegistry.look

        def began_meanwhile(custody: CallRegistry, **given: Any) -> Any:
            workers.custody.attend(CALL)
            workers.run("job-1")
            return look(custody, **given)

        monkeypatch.setattr(CallRegistry, "look", began_meanwhile)
        await workers.look("a")

    assert play(do, listed=None) == []


def test_a_worker_that_could_not_look_itself_takes_nobody_for_dead(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a", jobs=("job-1",))
        await workers.look("b")
        with monkeypatch.context() as down:
            down.setattr(CallRegistry, "look", raising)
            for _ in range(2 * LOOKS):
                workers.now += LOOK
                await workers.look("b")
        await workers.look("b")  # the ledger is back, and no other has had time to write

    def raising(*_: Any, **__: Any) -> None:
        raise LedgerDownError("the ledger cannot be used now")

    assert play(do) == []


def test_a_worker_that_cannot_reach_the_server_lets_another_send_an_agent(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a", jobs=("job-1",))
        await workers.look("b", jobs=("job-1",))
        workers.rooms.is_unreachable = True
        await workers.look("a")
        assert workers.rooms.done == []
        workers.rooms.is_unreachable = False
        await workers.look("b")

    assert play(do) == SENT_ONE


def test_a_room_without_a_caller_is_sent_an_agent_when_one_returns(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a")
        assert workers.rooms.done == []
        workers.rooms.people = {"caller": PERSON}
        await workers.look("a")

    assert play(do, Rooms(people={"agent-1": AGENT})) == SENT_ONE[1:]


@pytest.mark.parametrize("sid", ["", "RM_2"])
def test_a_call_whose_room_is_gone_is_forgotten(sid: str, play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a")
        assert workers.calls == ()

    assert play(do, Rooms(sid=sid)) == []


def test_a_call_whose_agents_die_again_and_again_is_sent_three_and_no_more(play: Any) -> None:
    async def do(workers: Workers) -> None:
        for number in range(RESCUES + 1):
            workers.custody.attend(replace(CALL, job=f"job-{number}"))
            await workers.look("a")

    assert play(do) == SENT_ONE * RESCUES


def test_where_no_agent_comes_it_is_called_off_and_another_is_sent(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a")
        workers.now += PATIENCE * 0.9
        await workers.look("a")
        assert workers.rooms.done == SENT_ONE
        workers.now += PATIENCE * 0.2
        await workers.look("a")

    assert play(do) == [*SENT_ONE, "called off: dispatch-2 in room", *SENT_ONE]


def test_an_agent_that_is_there_and_takes_its_time_to_begin_is_waited_for(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a")
        workers.rooms.people = {"agent-2": AGENT, "caller": PERSON}
        workers.now += PATIENCE * 2
        await workers.look("a")

    assert play(do) == SENT_ONE


def test_a_worker_that_dies_while_it_saves_a_call_is_replaced_by_another(play: Any) -> None:
    async def do(workers: Workers) -> None:
        workers.rooms.is_down = True
        await workers.look("a")
        workers.rooms.is_down = False
        await workers.look("b")  # the other has let it go
        (call,) = workers.calls
        assert (call.worker, call.rescues) == ("b", 1)

    assert play(do) == ["out: agent-1", *SENT_ONE]


def test_a_worker_that_cannot_send_an_agent_does_not_wait_for_one(play: Any) -> None:
    async def do(workers: Workers) -> None:
        workers.rooms.is_down = True
        await workers.look("a")
        workers.rooms.is_down = False
        await workers.look("a")

    assert play(do) == ["out: agent-1", *SENT_ONE]


def test_if_no_agent_comes_for_minutes_others_are_sent_and_finally_none(play: Any) -> None:
    async def do(workers: Workers) -> None:
        for _ in range(IN_VAIN + 3):
            await workers.look("a")
            workers.now += PATIENCE
            await workers.look("a")
            assert all(call.rescues == 1 for call in workers.calls)  # nobody has died meanwhile
        assert workers.calls == ()

    assert play(do).count("in: as before") == 1 + IN_VAIN


def test_beside_an_agent_that_cannot_be_put_out_none_is_sent(play: Any) -> None:
    async def do(workers: Workers) -> None:
        workers.rooms.refuses = "permission_denied"
        await workers.look("a")
        assert workers.rooms.done == []
        workers.rooms.refuses = "not_found"
        await workers.look("a")

    assert play(do) == ["in: as before"]


def test_an_agent_wrongly_taken_for_dead_renews_and_settles_nothing(play: Any) -> None:
    async def do(workers: Workers) -> None:
        ledger = workers.ledger
        ledger.owe("room/RM_1", "notice", "Words.", by="a-job", now=workers.now)
        await workers.look("a")
        ledger.renew("room/RM_1", "notice", by="a-job", played=5.0, now=workers.now + 1.0)

        owing = ledger.take_over("room/RM_1", "notice", by="b-job", now=workers.now + 1.5)

        assert owing is not None
        assert (owing.holder, owing.played) == ("b-job", 0.0)

    play(do)


def test_a_dead_agents_debts_are_nobodys_once_its_call_is_claimed(play: Any) -> None:
    async def do(workers: Workers) -> None:
        workers.ledger.owe(CALL.call, "notice", "This call is recorded.", by=CALL.holder, now=1000.0)
        workers.ledger.owe(CALL.call, "other", "So is this.", by="a-living-job", now=1000.0)
        await workers.look("a")
        alive = {owing.id: owing.is_alive(1000.0) for owing in workers.ledger.owed(CALL.call)}
        assert alive == {"notice": False, "other": True}

    assert play(do) == SENT_ONE


def test_a_row_that_somebody_forged_removes_nobody_and_sends_nobody(play: Any) -> None:
    async def do(workers: Workers) -> None:
        forged = {"worker": NOBODY, "metadata": "the attacker's"}
        with workers.ledger.transaction() as connection:
            connection.execute(CALLS.update().values(forged))
        for _ in range(3):
            await workers.look("a", "b", jobs=("job-1",))

    assert play(do) == []


@pytest.mark.parametrize("forged", ["a greater beat", "an older row put back"])
def test_a_forged_beat_does_not_keep_a_dead_agents_call(play: Any, forged: str) -> None:
    async def do(workers: Workers) -> None:
        rows: list[dict[str, Any]] = []
        for _ in range(3):  # its worker lives
            await workers.look("a", "b", jobs=("job-1",))
            with workers.ledger.transaction() as connection:
                row = connection.execute(sa.select(WORKERS).where(WORKERS.c.worker == "a")).mappings().one()
                rows.append(dict(row))
        for number in range(LOOKS + 8):  # and is dead
            with workers.ledger.transaction() as connection:
                values = {"beat": 100 + number} if forged == "a greater beat" else rows[number % 2]
                connection.execute(WORKERS.update().where(WORKERS.c.worker == "a").values(values))
            workers.now += LOOK
            await workers.look("b")

    assert play(do) == SENT_ONE


def test_an_agent_that_livekit_never_gave_that_room_is_not_put_out(play: Any) -> None:
    async def do(workers: Workers) -> None:
        workers.custody.attend(replace(CALL, identity="caller"))  # by who has the secret, or as an older row
        await workers.look("a")
        assert workers.calls == ()

    assert play(do) == []


@pytest.mark.parametrize("listed", [{}, {"job-1": ""}], ids=["no job", "a job without identity"])
@pytest.mark.parametrize("here", [True, False], ids=["still listed in the room", "gone from it"])
def test_a_job_that_its_dispatch_does_not_list_is_replaced(play: Any, listed: dict[str, str], *, here: bool) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a")
        assert workers.calls == (replace(CALL, job="", rescues=1),)

    agents = {CALL.identity: AGENT} if here else {}
    assert play(do, Rooms(people={**agents, "caller": PERSON}, jobs=listed)) == (SENT_ONE if here else SENT_ONE[1:])


def test_a_job_that_is_not_listed_puts_out_no_caller(play: Any) -> None:
    async def do(workers: Workers) -> None:
        workers.custody.attend(replace(CALL, identity="caller"))
        await workers.look("a")
        assert workers.calls == ()

    assert play(do, Rooms(people={"agent-9": AGENT, "caller": PERSON}, jobs={})) == []


def test_an_old_row_of_a_call_that_has_another_agent_by_now_removes_nobody(play: Any) -> None:
    async def do(workers: Workers) -> None:
        # the row was put back by who has the database; its agent died long ago
        await workers.look("a", jobs=("job-9",))
        assert workers.calls == ()

    rooms = Rooms(people={"agent-9": AGENT, "caller": PERSON}, jobs={"job-1": "agent-1", "job-9": "agent-9"})
    assert play(do, rooms) == []


def test_a_worker_that_ends_by_itself_is_listed_no_longer(play: Any) -> None:
    async def do(workers: Workers) -> None:
        await workers.look("a", "b")
        workers.custody.retire("a")
        assert "a" not in workers.custody.look(worker="b", beat=2).beats

    assert play(do, listed=None) == []
