"""Members in a history: they come with a key, call models and set money aside with it, and leave with requests under
way; and the months of accounts that are closed meanwhile.
"""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

from django.db import connection
from hypothesis import strategies as st
from hypothesis.stateful import rule

from accounts.keys import issuing
from accounts.models import ApiKey, Membership, User
from accounts.people import team
from accounts.people.team import TeamError
from billing.books import holds
from billing.budgets import ending, making
from billing.budgets.making import BudgetError
from billing.models import MonthStatement, Wallet
from billing.statements import closing
from billing.statements.usage import By
from core.clock import database_now
from tests.histories.steps import DYING, MICRO, PICK, SHARES, WHO, pick
from tests.histories.usage import Usage
from tests.histories.world import mortal

MEMBERS = Membership.objects.filter(role="developer")


class Leaving(Usage):
    @rule(who=WHO)
    def somebody_joins_with_a_key(self, who):
        self.number += 1
        user = User.objects.create_user(f"member{self.number}@example.org")
        Membership.objects.create(user=user, customer=self.customers[who], role="developer")
        issuing.issue(customer=self.customers[who], name="theirs", now=self.clock.now(), created_by=user)

    @rule(index=PICK, share=SHARES, is_metered=st.booleans(), sets_aside=st.booleans(), dies=DYING)
    def a_member_spends(self, index, share, is_metered, sets_aside, dies):
        """By a request, or by a budget that requests may be made in."""
        member = pick(MEMBERS.all(), index)
        key = member and ApiKey.objects.filter(created_by=member.user, deleted_at=None, child__isnull=True).first()
        if key is None:
            return
        amount = (Wallet.objects.get(customer=key.customer).available * share).quantize(MICRO)
        if sets_aside:
            given = {"customer": key.customer, "name": "run", "now": database_now(), "made_with": key}
            with mortal(dies), suppress(BudgetError):
                making.make(amount=max(amount, making.LEAST), lasts=timedelta(hours=1), **given)
        elif amount > 0:
            now = self.clock.now()
            number = self.new_id(now)
            with connection.cursor() as cursor:  # as admission does
                cursor.execute(holds.PLACE_ONE_HOLD, [number, key.customer_id, amount, amount, now])
                cursor.execute(holds.ADD_HELD_TO_ONE, [amount, 0, key.customer_id])
            self.is_held(number, key, amount, amount, used=share if is_metered else None, now=now)

    @rule(index=PICK, keeps=st.booleans(), dies=DYING)
    def a_member_is_removed(self, index, keeps, dies):
        member = pick(MEMBERS.all(), index)
        if member is None:
            return
        now = self.clock.now()
        keep = [key.pk for key in team.keys_of(member, now=now)] if keeps else []
        under = Membership.objects.filter(customer=member.customer, role="owner").first()
        given = {"keep": keep, "under": under and under.pk} if keep else {}
        with mortal(dies), suppress(TeamError):
            team.remove(customer=member.customer, member_id=member.pk, by=None, now=now, **given)
        with mortal(dies):
            ending.end_due(now=now)

    @rule(days=st.sampled_from((0, 31)), dies=DYING)
    def months_are_closed(self, days, dies):
        self.clock.pass_(timedelta(days=days))
        with mortal(dies):
            assert not closing.close_due(now=self.clock.now()).refused

    def every_month_can_be_closed(self) -> None:
        """And a customer has in the end what the last one says, whose lists tell all usage of each month apart."""
        self.clock.pass_(timedelta(days=40))
        assert not closing.close_due(now=self.clock.now()).refused
        for customer in self.customers:
            last = MonthStatement.objects.filter(customer=customer).latest("month")
            assert last.closing == Wallet.objects.get(customer=customer).balance, customer
        for statement in MonthStatement.objects.all():
            used = statement.body["usage"]
            for by in By:
                assert not [row for row in used[by.value] if row["is_rest"]], used
                assert sum(Decimal(row["charged"]) for row in used[by.value]) == Decimal(used["charged"])
