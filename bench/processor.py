"""The share of the machine's cores that each group of processes takes, as the system itself counted it."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Used:
    """Processor seconds up to a moment.

    Attributes:
        by: of each process, by the name of the group that it belongs to.
        all: of the whole machine.
    """

    by: Mapping[str, Mapping[psutil.Process, float]]
    all: float

    @classmethod
    def now(cls, groups: Mapping[str, Iterable[psutil.Process]]) -> "Used":
        """Look now; a process that has ended is left out."""
        times = psutil.cpu_times()
        # guest time is in user time already
        whole = sum(times._asdict().values()) - times.idle - times.iowait - times.guest - times.guest_nice
        return cls({name: dict(_seconds(group)) for name, group in groups.items()}, whole)

    def since(self, before: "Used", seconds: float) -> dict[str, float]:
        """Cores that each group took, and everything ("all"), in the `seconds` between; new processes count whole."""
        taken = {
            name: sum(used - before.by.get(name, {}).get(process, 0.0) for process, used in group.items()) / seconds
            for name, group in self.by.items()
        }
        return taken | {"all": (self.all - before.all) / seconds}


def _seconds(processes: Iterable[psutil.Process]) -> Iterable[tuple[psutil.Process, float]]:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            yield process, times.user + times.system


def megabytes(processes: Iterable[psutil.Process]) -> list[float]:
    """Measure the MB of memory that each process holds, with a share of what several hold (Linux's PSS)."""
    found: list[float] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.memory_full_info().pss / 2**20)
    return found
