"""Refunds begun at a provider that find no room here: finance makes room where it can, and the rest stays red."""

from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from payments import refunds as refunding
from payments.inbox import notifications
from payments.models import Notification, RefundPart, StatementLine, TopUp
from tests.histories.steps import Steps, refused


class NotFitting(Steps):
    def what_does_not_fit_is_looked_at(self) -> None:
        """Parts that wait for staff and take the room go back to the customer; then what was told is done again."""
        for told in Notification.objects.not_fitting().filter(topup__isnull=False):
            for part in RefundPart.objects.filter(topup=told.topup, state=RefundPart.State.PARKED):
                about = {"part_id": part.pk, "by": self.staff[0], "now": self.clock.now()}
                with refused():
                    if part.recorded_by_id is not None:
                        refunding.withdraw_transfer(**about)
                    refunding.give_back(**about, closed_there=True)
            notifications.process(notification_id=told.pk, now=self.clock.now())

    def shown_as_not_fitting(self) -> list[dict[str, Any]]:
        """What left at a provider and cannot be booked: it has no room beside what was paid back otherwise, and is red
        at the desk.
        """
        return [refund for refund in self.providers.refunds("done") if self._is_shown(refund)]

    def _is_shown(self, refund: dict[str, Any]) -> bool:
        order, number = refund["order"].rpartition(":")[2], refund["number"]
        named = Q(number=order) | Q(transaction_id=order)
        topup = TopUp.objects.filter(named, method=refund["provider"], state=TopUp.State.PAID).first()
        names = {number, refund["id"]} - {""}
        if topup is None or topup.refund_parts.filter(Q(key=number) | Q(provider_id__in=names)).exists():
            return False
        has_room = topup.refunded_charge + Decimal(refund["amount"]) / 100 <= topup.charge_amount
        red = Notification.objects.not_fitting().filter(topup=topup, reference__in=(number, order))
        return not has_room and red.exists()


def lines_of(refunds: list[dict[str, Any]]) -> QuerySet[StatementLine]:
    """Where statements tell of them; nothing was posted for these lines, their fees included."""
    numbers = [refund["number"] for refund in refunds]
    return StatementLine.objects.filter(Q(number__in=numbers) | Q(refund_id__in=numbers), kind="refund")
