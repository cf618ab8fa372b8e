"""`reconcile_upstream`, from requests whose purchase was posted to differences in the queue."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from billing.models import Discrepancy
from proxy.models import UpstreamBill
from proxy.purchases import posting
from tests.conftest import NOW
from tests.proxy.purchases.conftest import answered, load

__all__ = ["answered"]
pytestmark = pytest.mark.django_db
DAY = f"{NOW:%Y-%m-%d}"


@pytest.fixture
def bill(tmp_path) -> Path:
    return tmp_path / "bill.csv"


def told(capsys, bill: Path, *more: str, upstream: str = "main") -> str:
    call_command("reconcile_upstream", str(bill), "--upstream", upstream, "--from", DAY, "--to", DAY, *more)
    return capsys.readouterr().out


def test_a_bill_of_posted_requests_is_told_with_what_differs(answered, bill, capsys):
    load()
    answered(upstream_request_id="a")
    one = answered(at=NOW + timedelta(seconds=1), upstream_request_id="b")
    posting.post_all_purchases(now=NOW)
    bill.write_text(f"day,model,amount,request_id\n{DAY},m,0.0135,a\n{DAY},m,0.0935,b\n")
    assert told(capsys, bill).splitlines() == [
        f"main, {DAY} to {DAY} (UTC): day, model, amount, 2 lines, 0 left out",
        "billed 0.10700000 USD, ours 0.02700000 USD, drift 0.08 USD",
        f"{DAY} m: amount_differs, billed 0.09350000, ours 0.01350000",
        f"  {one.pk}",
        "1 differences, 1 of them open in the queue of discrepancies",
    ]
    assert Discrepancy.objects.get().detail == f"m; {one.pk}"
    assert "0 differences, 0 of them open" in told(capsys, bill, "--tolerance", "0.10")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--upstream", "nobody"), "There is no upstream nobody"),
        (("--zone", "Mars"), "Nothing was taken.\nthere is no zone 'Mars'"),
        (("--format", "excel"), "invalid choice: 'excel'"),
        (("--to", "soon"), "'soon' is no day such as 2026-11-01"),
        (("--tolerance", "NaN"), "'NaN' is no tolerance"),
    ],
)
def test_what_cannot_be_is_said(bill, capsys, more, words):
    load()
    bill.write_text("day,amount\n")
    with pytest.raises(CommandError) as error:
        told(capsys, bill, *more)
    assert words in str(error.value)
    assert not UpstreamBill.objects.exists()


def test_a_bad_file_is_told_with_its_lines(bill, capsys):
    load()
    bill.write_text(f"day,amount\n{DAY},1\n{DAY},NaN\n")
    with pytest.raises(CommandError, match=r"Nothing was taken\.\nline 3: amount is no amount: 'NaN'"):
        told(capsys, bill)
    with pytest.raises(CommandError, match="No such file"):
        told(capsys, bill.with_name("other.csv"))
