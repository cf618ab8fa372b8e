"""What a customer's statement says of the requests in its month: told from the sums of its days."""

from collections.abc import Mapping, Sequence
from datetime import date

from accounts.models import ApiKey, Customer
from billing.statements import usage
from billing.statements.usage import Used
from proxy.records.sums import By, Chosen, Figures, charged_by, names_of

LISTS = {By.MODEL: usage.By.MODEL, By.KEY: usage.By.KEY, By.MEMBER: usage.By.MEMBER}


def used(customer_id: int, first: date, last: date) -> Mapping[usage.By, Sequence[Used]]:
    """What was charged in these days, the dearest first; what was only corrected in them is in the lines of that."""
    customer = Customer.objects.get(pk=customer_id)
    found: dict[usage.By, Sequence[Used]] = {}
    for by, sums in charged_by(customer, of=Chosen(first=first, last=last)).items():
        rows = _named(by, {pk: one for pk, one in sums if one.requests or one.charged})
        found[LISTS[by]] = sorted(rows, key=lambda row: (-row.charged, row.name, row.id))
    return found


def _named(by: By, figures: Mapping[int, Figures]) -> list[Used]:
    """A model goes by its slug, a key by its name and how it begins, a member by the address."""
    names = names_of(by, list(figures)) if figures else {}
    called = dict(ApiKey.objects.filter(pk__in=figures).values_list("pk", "name")) if by is By.KEY and figures else {}
    rows = []
    for pk, one in figures.items():
        name = names.get(pk, str(pk))
        if by is By.KEY:
            rows.append(Used(str(pk), called.get(pk, ""), one.requests, one.charged, prefix=name))
        else:
            rows.append(Used(name if by is By.MODEL else str(pk or ""), name, one.requests, one.charged))
    return rows
