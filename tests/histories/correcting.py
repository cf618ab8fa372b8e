"""What two of finance correct in a balance: up or down, a charge given back, a small debt written off."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from billing.books import adjustments
from billing.books.small_debts import small_debts
from billing.models import AdjustmentProposal
from proxy.models import Generation
from tests.histories.steps import PICK, WHO, Steps, pick, refused

SUMS = st.sampled_from(("0.10", "0.50", "5.00"))


class Correcting(Steps):
    @rule(who=WHO, kind=st.sampled_from(adjustments.FREE), amount=SUMS, by=WHO, is_approved=st.booleans())
    def finance_moves_a_balance(self, who, kind, amount, by, is_approved):
        about = {"customer": self.customers[who], "by": self.staff[by], "now": self.clock.now()}
        with refused():
            proposal = adjustments.propose(**about, kind=kind, amount=amount, reason="test", words="")
            if is_approved:
                self._approve(proposal, by=1 - by)

    @rule(index=PICK, by=WHO)
    def finance_gives_a_charge_back(self, index, by):
        charged = pick(Generation.objects.filter(state=Generation.State.SETTLED), index)
        if charged is None:
            return
        about = {"generation_id": charged.pk, "by": self.staff[by], "now": self.clock.now()}
        with refused():
            self._approve(adjustments.propose_reversal(**about, reason="test"), by=1 - by)

    @rule(by=WHO)
    def a_month_later_finance_writes_small_debts_off(self, by):
        self.clock.pass_(timedelta(days=31))
        now = self.clock.now()
        for wallet in small_debts(now=now):
            with refused():
                about = {"customer_id": wallet.pk, "reason": "small", "by": self.staff[by], "now": now}
                self._approve(adjustments.propose_write_off(**about), by=1 - by)

    @rule(index=PICK, act=st.sampled_from((adjustments.approve, adjustments.approve, adjustments.refuse)), by=WHO)
    def finance_decides_a_proposal(self, index, act, by):
        proposal = pick(AdjustmentProposal.objects.filter(state="proposed"), index)
        if proposal is None:
            return
        why = {"why": "no"} if act is adjustments.refuse else {}
        with refused():
            act(proposal_id=proposal.pk, by=self.staff[by], now=self.clock.now(), **why)

    def _approve(self, proposal: AdjustmentProposal, *, by: int) -> None:
        adjustments.approve(proposal_id=proposal.pk, by=self.staff[by], now=self.clock.now())
