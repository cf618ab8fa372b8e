"""Whatever the staff's first page shows can turn red: each figure that may is made red, seen, told once, and cured."""

from decimal import Decimal

import pytest
from django.core.cache import caches
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from accounts.models import User
from billing.models import ClosedDay, Mail
from billing.months import journal
from billing.outbox import alerts, mail, readers
from chuizi.local import demo
from core import panels as first_page
from payments.models import ExchangeRate
from tests.desk.first_page.red_cases import DAY, HOUR, PLAIN, World
from tests.desk.first_page.red_gateway import CASES
from tests.outbox import mails
from tests.payments.fake_refunds import paid_in
from tests.staffing import at_desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(settings, customer, make_request):
    panels = dict(first_page._panels)
    settings.ALERT_EMAILS = ["ops@example.org"]
    settings.PAYMENT_VARIABLES = dict.fromkeys(settings.PAYMENT_VARIABLES, "") | {"ALIPAY_APP_ID": "2021"}
    settings.USD_CNY_RATE, settings.FX_RATE_MAX_AGE_DAYS = None, 30
    now = timezone.now()
    topup = paid_in(customer, "stripe")
    ExchangeRate.objects.create(rate=Decimal("7.12"), source="test")
    # The customer's bonus was granted a few days ago.
    journal.close_days(now=now)
    journal.run_audit(now=now)
    mails().delete()
    readers.read("webhooks", now=now)
    chief = User.objects.create_superuser("chief@example.org", "a rather long one")
    yield World(customer, topup, at_desk(chief), chief, settings, make_request)
    first_page._panels.update(panels)


def code_of(panel: first_page.Panel, figure: first_page.Figure) -> str:
    return f"{panel.title} / {'*' if panel.title == 'Owed by providers' else figure.label}"


def red_now() -> set[str]:
    return {code_of(panel, figure) for panel, figure in first_page.red_figures()}


def told(code: str) -> list[str]:
    """What the operator was mailed about a figure, the oldest first."""
    subjects = mails().filter(about="alert").order_by("pk").values_list("subject", flat=True)
    return [subject.partition(":")[0] for subject in subjects if code.removesuffix("*") in subject]


def page_of(world: World) -> str:
    caches["pages"].clear()
    return " ".join(world.desk.get("/admin/").content.decode().split())


def test_every_figure_of_the_first_page_stands_here(world):
    """A new one needs a case that turns it red, or has no tone at all."""
    shown = {code_of(panel, figure) for panel in first_page.all_panels() for figure in panel.figures}
    assert shown <= PLAIN | CASES.keys()
    only_then = {"Last audit / None yet", "First page / Panels of proxy", "Prepaid credit at upstreams / main"}
    assert PLAIN | CASES.keys() <= shown | only_then
    assert not PLAIN & CASES.keys()


def test_every_panel_can_turn_red(world):
    assert {panel.title for panel in first_page.all_panels()} <= {code.partition(" / ")[0] for code in CASES}


def test_nothing_is_red_to_begin_with(world):
    assert red_now() == set()
    assert "desk-bad" not in page_of(world)
    assert alerts.watch(now=timezone.now()) == 0


@pytest.mark.parametrize("code", CASES)
def test_it_turns_red_is_told_once_and_is_green_again_once(world, code):
    act = CASES[code](world)
    next(act)
    assert code in red_now()
    label = code.partition(" / ")[2]
    assert f'{"stripe:USD" if label == "*" else escape(label)}</dt><dd class="desk-bad">' in page_of(world)
    for _look in range(2):
        alerts.watch(now=timezone.now())
    assert told(code) == ["RED"]
    assert next(act, "cured") == "cured"
    assert code not in red_now()
    for _look in range(2):
        alerts.watch(now=timezone.now())
    assert told(code) == ["RED", "green again"]


def test_a_newcomer_finds_nothing_red(db, monkeypatch, tmp_path):
    monkeypatch.setenv("CHUIZI_STATE_DIR", str(tmp_path))
    now = timezone.now()
    ExchangeRate.objects.create(rate=Decimal("7.12"), source="test")
    demo.seed(now=now)
    assert red_now() == set()
    assert ClosedDay.objects.latest("day").day >= (now - 2 * DAY).date()


def test_hanging_mail_is_sent_again_or_put_aside_by_staff(world, mailoutbox):
    written = timezone.now() - HOUR
    given = {"to": "a@b.co", "about": "x", "body": "", "created_at": written, "attempts": 30, "problem": "SMTPError"}
    first, second = (Mail.objects.create(subject=name, **given) for name in ("first", "second"))
    listed = world.desk.get(reverse("admin:billing_mail_changelist"), {"queue": "hanging"}).content.decode()
    assert "first" in listed
    world.desk.post(reverse("admin:billing_mail_send_again", args=[first.pk]))
    first.refresh_from_db()
    assert (first.attempts, first.problem) == (0, "")
    assert mail.send_due(now=timezone.now()) == 1
    assert mailoutbox[0].subject == "first"
    world.desk.post(reverse("admin:billing_mail_put_aside", args=[second.pk]), {"why": "no such address"})
    assert Mail.objects.hanging(now=timezone.now()).count() == 0
    page = world.desk.post(reverse("admin:billing_mail_put_aside", args=[first.pk]), {"why": "x"}, follow=True)
    assert "It has left" in page.content.decode()
