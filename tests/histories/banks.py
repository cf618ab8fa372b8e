"""What a card's bank does: it warns of fraud, disputes a payment or a part of it, and decides; and what staff lift."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from accounts.people import customers
from payments.models import TopUp
from tests.histories.steps import PICK, SHARES, WHO, Steps, pick, refused

BY_CARD = TopUp.objects.filter(method="stripe").exclude(reference="")


class Banks(Steps):
    @rule(index=PICK)
    def a_bank_warns_of_fraud(self, index):
        if (topup := pick(BY_CARD.all(), index)) is not None:
            with refused():
                self.providers.act(topup, "warn")

    @rule(index=PICK, step=st.sampled_from(("open", "inquire")))
    def a_bank_disputes_a_payment(self, index, step):
        if (topup := pick(BY_CARD.all(), index)) is not None:
            with refused():
                self.providers.act(topup, "dispute", step=step)

    @rule(index=PICK, share=SHARES)
    def a_bank_takes_a_part_back(self, index, share):
        """Never more than was paid, whatever of it went back already: banks do not look."""
        if (topup := pick(BY_CARD.all(), index)) is not None:
            with refused():
                amount = max(1, int(topup.charge_amount * 100 * share))
                self.providers.act(topup, "dispute", step="open", amount=amount)
                self.providers.act(topup, "dispute", step="withdraw")

    @rule(index=PICK, step=st.sampled_from(("withdraw", "withdraw", "reinstate", "win", "lose", "lose")))
    def a_dispute_goes_on(self, index, step):
        payments = [dispute["payment_intent"] for dispute in self.providers.disputes()]
        if (topup := pick(BY_CARD.filter(transaction_id__in=payments), index)) is not None:
            with refused():
                self.providers.act(topup, "dispute", step=step)

    @rule(who=WHO)
    def staff_lift_a_suspension(self, who):
        customers.lift_suspension(customer=self.customers[who])
