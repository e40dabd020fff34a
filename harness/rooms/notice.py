"""What the agent of `rooms/noting.py` says, and under which policy."""

from hearout import CutIn, Policy
from hearout.policy import Timeouts

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days and is then erased for good. "
    "You may object to this at any time and without giving a reason. We are open from nine to five on weekdays. "
    "Please have your customer number ready now."
)
"""About 15 s in the local voice."""

SHORT = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "You may object to this at any time. Please have your number ready."
)
"""About 8 s in the local voice; said where ``ROOM_NOTICE`` has it."""

POLICY = Policy(
    cut_in=CutIn(keys="0"), may_press=frozenset({"supervisor"}), timeouts=Timeouts(listener=8.0, caller_return=6.0)
)
