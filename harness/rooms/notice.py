"""What the agent of `rooms/noting.py` says, and under which policy."""

from hearout import CutIn, Policy
from hearout.policy import Timeouts

NOTICE = (
    "This call is recorded for training and quality. Your data is kept for thirty days. "
    "You may object to this at any time. Please have your number ready."
)
"""About 8 s in the local voice."""

POLICY = Policy(
    cut_in=CutIn(keys="0"), may_press=frozenset({"supervisor"}), timeouts=Timeouts(listener=8.0, caller_return=6.0)
)
