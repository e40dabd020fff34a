"""A floor and an announcement on it, for tests that write events down."""

from hearout import Policy
from hearout._floor import events as e
from hearout._floor.actions import Action
from hearout._floor.floor import Floor

TEXT = "This call is recorded. Please have your customer number ready."


def told(floor: Floor, *steps: tuple[float, e.Event]) -> list[Action]:
    """What the floor decides at the last of these steps."""
    actions: list[Action] = []
    for at, event in steps:
        actions = floor.apply(event, at)
    return actions


def playing(policy: Policy | None = None, *, text: str = TEXT, seconds: float = 6.0) -> Floor:
    """A floor whose announcement began at 1.0 s."""
    floor = Floor(policy)
    told(
        floor,
        (0.5, e.SpeechRequested("n1")),
        (0.6, e.TextKnown("n1", text)),
        (0.9, e.AudioMade("n1", seconds, complete=True)),
        (1.0, e.PlayoutStarted("n1")),
    )
    return floor


def ended(at: float = 7.0, played: float = 6.0) -> tuple[tuple[float, e.Event], ...]:
    """The announcement's end."""
    return (at, e.PlayoutFinished("n1", played)), (at, e.SpeechEnded("n1"))
