"""A network of this test's own: two namespaces with one line between them, which loses packets or goes dead on demand.

Nothing of it is in the machine's own namespace. LiveKit's clients see an interface that comes or goes there, take its
address for their media, and lose that when it goes; so the line is made inside the two, and other rooms never see it.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

HOUSE_ADDRESS, CALLER_ADDRESS = "10.203.0.1", "10.203.0.2"
"""Of the two ends, in namespaces that nobody else is in."""

FILTER = """
table inet line {
  chain arriving { type filter hook input priority 0; }
  chain leaving { type filter hook output priority 0; }
}
"""

MEDIA = "meta l4proto udp @th,64,8 & 192 == 128"
"""RTP and RTCP: the first two bits after the UDP header are 10. What opens the connection (STUN, DTLS) is another."""


class NoNetworkError(Exception):
    """This machine allows no namespaces, or no filter in them; says why."""


@dataclass(frozen=True)
class Network:
    """A line between two namespaces: the house, where the server and the agent are, and the caller's.

    Attributes:
        house: the name of the one.
        caller: that of the other; all that goes wrong goes wrong there.
    """

    house: str
    caller: str

    @property
    def in_house(self) -> list[str]:
        """What a command begins with that runs in the house."""
        return ["ip", "netns", "exec", self.house]

    @property
    def at_caller(self) -> list[str]:
        """What a command begins with that runs at the caller."""
        return ["ip", "netns", "exec", self.caller]

    def lose(self, percent: int) -> None:
        """From now on so many of the packets with sound that arrive at the caller are lost, at random."""
        self._filter(f"add rule inet line arriving {MEDIA} numgen random mod 100 < {percent} counter drop")

    def cut(self) -> None:
        """From now on nothing goes either way."""
        arriving, leaving = "arriving iifname line", "leaving oifname line"
        self._filter("".join(f"add rule inet line {packets} counter drop\n" for packets in (arriving, leaving)))

    def mend(self) -> int:
        """From now on everything goes; how many packets were dropped since the last time."""
        listed = json.loads(_run([*self.at_caller, "nft", "-j", "list", "table", "inet", "line"]))
        rules = [one["rule"] for one in listed["nftables"] if "rule" in one]
        counters = [step["counter"]["packets"] for rule in rules for step in rule["expr"] if "counter" in step]
        self._filter("flush table inet line")
        return sum(counters)

    def left(self) -> list[int]:
        """The processes that are still at either end."""
        both = [_run(["ip", "netns", "pids", one]) for one in (self.house, self.caller)]
        return [int(one) for one in " ".join(both).split()]

    def _filter(self, rules: str) -> None:
        _run([*self.at_caller, "nft", "-f", "-"], rules)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Make the two namespaces and their line, and take them away again.

    Raises:
        NoNetworkError: this machine does not let us.
    """
    if missing := [name for name in ("ip", "nft") if shutil.which(name) is None]:
        raise NoNetworkError(f"not on PATH: {', '.join(missing)} (Debian's iproute2 and nftables)")
    name = f"hearout-{secrets.token_hex(4)}"
    made = Network(f"{name}-house", f"{name}-caller")
    with contextlib.ExitStack() as undo:
        for one in (made.house, made.caller):
            _run(["ip", "netns", "add", one])
            undo.callback(_run, ["ip", "netns", "del", one])
        _run(f"ip -n {made.house} link add line type veth peer name line netns {made.caller}".split())
        _set_up(made.house, HOUSE_ADDRESS, CALLER_ADDRESS)
        _set_up(made.caller, CALLER_ADDRESS, HOUSE_ADDRESS)
        undo.callback(_end_what_is_left, made)
        made._filter(FILTER)
        made.lose(1)  # a kernel without these expressions says so here
        made.mend()
        yield made


def _end_what_is_left(made: Network) -> None:
    """A test that failed may leave a server behind, which would go on in a namespace without a name."""
    for one in made.left():
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def _set_up(namespace: str, own: str, other: str) -> None:
    """With a default route: WebRTC gathers no candidates without one."""
    for words in (
        "link set lo up",
        f"address add {own}/30 dev line",
        "link set line up",
        f"route add default via {other}",
    ):
        _run(["ip", "-n", namespace, *words.split()])


def _run(command: list[str], said: str = "") -> str:
    done = subprocess.run(command, input=said, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise NoNetworkError(f"`{' '.join(command)}`: {reason[0]}")
    return done.stdout
