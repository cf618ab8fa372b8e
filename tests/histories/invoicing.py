"""Invoices and credit notes, beside refunds and disputes of the money that they are about."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing import invoices
from billing.models import CreditTask, InvoiceRequest
from tests.billing.invoices.invoice_steps import CREDIT_CODE
from tests.histories.steps import PICK, SHARES, WHO, Steps, cents, pick, refused


class Invoicing(Steps):
    @rule(who=WHO, currency=st.sampled_from(("USD", "CNY")), share=SHARES, is_issued=st.booleans())
    def want_an_invoice(self, who, currency, share, is_issued):
        customer, now = self.customers[who], self.clock.now()
        with refused():
            most = invoices.invoiceable(customer_id=customer.pk, currency=currency, now=now).amount
            asked = invoices.ask(
                customer=customer,
                amount=cents(most * share),
                currency=currency,
                company_name="Ada GmbH",
                tax_id=CREDIT_CODE,
                email="books@ada.example",
                now=now,
            )
            if is_issued:
                invoices.issue(request_id=asked.pk, by=self.staff[0], now=now)

    @rule(index=PICK, act=st.sampled_from(("issue", "deny", "cancel", "credit")), share=SHARES, by=WHO)
    def the_desk_makes_and_takes_back_invoices(self, index, act, share, by):
        asked = pick(InvoiceRequest.objects.exclude(state__in=("denied", "cancelled", "credited")), index)
        if asked is None:
            return
        about = {"request_id": asked.pk, "now": self.clock.now()}
        with refused():
            if act == "credit":
                amount = cents((asked.amount - asked.credited) * share)
                invoices.credit(**about, amount=amount, reason="wrong", by=self.staff[by])
            elif act == "deny":
                invoices.deny(**about, words="no", by=self.staff[by])
            elif act == "issue":
                invoices.issue(**about, by=self.staff[by])
            else:
                invoices.cancel(**about)

    @rule(index=PICK, act=st.sampled_from(("credit", "credit", "override")), share=SHARES, by=WHO)
    def finance_answers_what_is_to_be_credited(self, index, act, share, by):
        task = pick(CreditTask.objects.filter(state=CreditTask.State.OPEN), index)
        if task is None:
            return
        about = {"task_id": task.pk, "by": self.staff[by], "now": self.clock.now()}
        with refused():
            if act == "credit":
                invoices.credit(**about, request_id=task.request_id, amount=cents(task.left * share), reason="refund")
            else:
                invoices.override(**about, words="agreed")

    def what_is_to_be_credited_is(self) -> None:
        for task in CreditTask.objects.filter(state=CreditTask.State.OPEN):
            about = {"task_id": task.pk, "by": self.staff[0], "now": self.clock.now()}
            invoices.credit(**about, request_id=task.request_id, amount=task.left, reason="refund")
