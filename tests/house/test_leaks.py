"""A task that a test or a call leaves behind is found and named."""

import asyncio
import json
from pathlib import Path

import pytest

from harness import leaks


async def forgotten() -> None:
    await asyncio.Event().wait()


def test_a_task_that_is_left_in_this_machines_time_fails_and_is_named() -> None:
    kept = []

    async def main() -> None:
        kept.append(asyncio.create_task(forgotten()))

    with pytest.raises(AssertionError, match=r"left running: .*forgotten"):
        asyncio.run(main())  # which the harness has replaced for this test, as for all


def test_a_task_that_ends_soon_is_none_that_is_left() -> None:
    kept = []

    async def main() -> int:
        kept.append(asyncio.create_task(asyncio.sleep(leaks.PATIENCE / 4)))
        return 1

    assert asyncio.run(main()) == 1


def test_an_error_of_a_test_is_not_hidden_by_what_it_left() -> None:
    kept = []

    async def main() -> None:
        kept.append(asyncio.create_task(forgotten()))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())


def test_calls_in_a_room_fail_where_one_left_tasks_or_none_ended(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ended"), leaks.checked(tmp_path):
        pass
    with leaks.checked(tmp_path):
        (tmp_path / "fine.left").write_text("[]")
    with pytest.raises(AssertionError, match=r"room-1.*forgotten"), leaks.checked(tmp_path):
        (tmp_path / "room-1.left").write_text(json.dumps(["forgotten"]))
