"""Silence that means yes: the silence of a caller who was there, and only as long as that is what is known."""

import dataclasses
from collections.abc import Callable

from ..receipts import Basis, Level, Outcome, QuestionReceipt, Receipt
from .call_receipts import CallReceipts

ABSENT = "the caller is not known to have been there"


class Silences:
    """The implied choices of one call: each rests on the caller's presence, from the question to the decision.

    Args:
        receipts: of the call, and who knows who was there.
        revoke: takes back the choice of a question that ended at that second, with the reason.
    """

    def __init__(self, receipts: CallReceipts, revoke: Callable[[str, float, str], None]) -> None:
        self._receipts, self._revoke = receipts, revoke
        self._kept: list[tuple[QuestionReceipt, Receipt]] = []
        receipts.on_looked.append(self._look_again)

    def must_be_witnessed(self, receipt: QuestionReceipt) -> bool:
        """Whether a choice is implied, where somebody knows who was there."""
        return receipt.basis is Basis.IMPLIED and self._receipts.evidence is not None

    async def witnessed(self, receipt: QuestionReceipt) -> QuestionReceipt:
        """The record, without its choice where the caller was not there; waits a bounded time for a sign of life."""
        evidence, silence = self._receipts.evidence, self._silence(receipt)
        if evidence is not None:
            await evidence.confirm("", silence)
            caller = evidence.witnessed("", silence).caller  # another may be later
            silence = dataclasses.replace(silence, caller=caller)
        if not self._is_present(silence):
            return dataclasses.replace(receipt, choice="", basis=Basis.NONE)
        self._kept.append((receipt, silence))
        return receipt

    def _silence(self, receipt: QuestionReceipt) -> Receipt:
        """The last attempt and the wait after it, as if it had been one utterance: presence is known of utterances."""
        last = self._receipts.of(receipt.attempts[-1].utterance) if receipt.attempts else None
        began = receipt.decided_at if last is None or last.started_at is None else last.started_at
        ended, text = receipt.decided_at, receipt.text
        return Receipt(receipt.id, Outcome.FINISHED, "", began, began, ended, ended - began, ended - began, text, ())

    def _is_present(self, silence: Receipt) -> bool:
        evidence = self._receipts.evidence
        return evidence is not None and evidence.witnessed("", silence).level >= Level.PRESENT

    def _look_again(self) -> None:
        for one in [one for one in self._kept if not self._is_present(one[1])]:
            self._kept.remove(one)
            self._revoke(one[0].id, one[0].decided_at, ABSENT)
