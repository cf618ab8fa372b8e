"""The Stripe stand-in, driven by the official client."""

import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
import stripe

from tests.sandbox_server import ControlError


def ask(**more):
    return {
        "mode": "payment",
        "allowed_payment_method_types": ["card"],
        "line_items": [
            {
                "price_data": {"currency": "usd", "unit_amount": 2000, "product_data": {"name": "Chuizi credit"}},
                "quantity": 1,
            }
        ],
        "client_reference_id": "topup-1",
        "metadata": {"topup": "1"},
        "payment_intent_data": {"metadata": {"topup": "1"}},
        "payment_method_options": {"card": {"request_three_d_secure": "any"}},
        "adaptive_pricing": {"enabled": False},
        "success_url": "http://127.0.0.1:1/console/topup/1?session={CHECKOUT_SESSION_ID}",
        "cancel_url": "http://127.0.0.1:1/console/topup/1",
        "expires_at": int(time.time()) + 1800,
        **more,
    }


def new_session(client, **more):
    return client.v1.checkout.sessions.create(ask(**more))


def submit(url: str, **fields):
    """The page's form; a redirect is not followed."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    request = urllib.request.Request(url, data=urllib.parse.urlencode(fields).encode())
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=5) as answer:
            return answer.status, answer.headers.get("Location"), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location"), error.read().decode()


def events_of(sandbox, merchant, kind: str, count: int = 1):
    """Events of this type, verified as the SDK verifies them."""
    heard = merchant.wait_for(count, matching=lambda notice: f'"type": "{kind}"'.encode() in notice[2])
    secret = sandbox.environment["STRIPE_WEBHOOK_SECRET"]
    return [stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret) for _, headers, body in heard]


def test_a_session_is_open_with_a_page_that_names_the_amount(stripe_client):
    session = new_session(stripe_client)
    assert (session.status, session.payment_status, session.amount_total) == ("open", "unpaid", 2000)
    assert session.metadata["topup"] == "1"
    with urllib.request.urlopen(session.url, timeout=5) as answer:
        page = answer.read().decode()
    assert "Pay $20.00 to Chuizi" in page
    assert "Card number" in page
    assert "no real money moves" in page


def test_paying_on_the_page_leads_back_and_the_event_verifies(sandbox, stripe_client, merchant):
    session = new_session(stripe_client)
    status, location, _ = submit(session.url, action="pay", card_number="5555 5555 5555 4444")
    assert (status, location) == (303, f"http://127.0.0.1:1/console/topup/1?session={session.id}")
    event = events_of(sandbox, merchant, "checkout.session.completed")[0]
    assert event.data.object["payment_status"] == "paid"
    assert event.data.object["client_reference_id"] == "topup-1"
    assert merchant.heard[0][0] == "/payments/stripe/webhook"
    expand = ["payment_intent.latest_charge.balance_transaction"]
    found = stripe_client.v1.checkout.sessions.retrieve(session.id, {"expand": expand})
    assert (found.status, found.payment_status, found.url) == ("complete", "paid", None)
    charge = found.payment_intent.latest_charge
    assert charge.payment_method_details.card.brand == "mastercard"
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (88, 1912)
    assert found.payment_intent.metadata["topup"] == "1"
    assert "sandbox_card" not in charge
    assert stripe_client.v1.payment_intents.retrieve(found.payment_intent.id).status == "succeeded"


def test_a_declined_card_does_not_end_a_session(sandbox, stripe_client, merchant):
    session = new_session(stripe_client)
    status, _, page = submit(session.url, action="pay", card_number="4000 0000 0000 0002")
    assert status == 402
    assert "Your card was declined." in page
    assert submit(session.url, action="decline")[0] == 402
    assert "card number is incorrect" in submit(session.url, action="pay", card_number="4242 4242 4242 4241")[2]
    events_of(sandbox, merchant, "payment_intent.payment_failed", 2)
    found = stripe_client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (found.status, found.payment_intent.status) == ("open", "requires_payment_method")
    assert submit(session.url, action="pay", card_number="4242424242424242")[0] == 303


def test_closing_the_page_expires_the_session(sandbox, stripe_client, merchant):
    session = new_session(stripe_client)
    assert submit(session.url, action="close")[:2] == (303, "http://127.0.0.1:1/console/topup/1")
    assert events_of(sandbox, merchant, "checkout.session.expired")[0].data.object["status"] == "expired"
    assert submit(session.url, action="pay", card_number="4242424242424242")[0] == 409
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        stripe_client.v1.checkout.sessions.expire(session.id)


def test_the_merchant_expires_a_session_and_a_late_payment_still_arrives(sandbox, stripe_client):
    session = new_session(stripe_client)
    assert stripe_client.v1.checkout.sessions.expire(session.id).status == "expired"
    with pytest.raises(ControlError, match="no longer open"):
        sandbox.pay("stripe", session.id)
    sandbox.pay("stripe", "topup-1", late=True)
    assert stripe_client.v1.checkout.sessions.retrieve(session.id).payment_status == "paid"


def test_one_idempotency_key_makes_one_session(stripe_client):
    body = ask()
    first = stripe_client.v1.checkout.sessions.create(body, {"idempotency_key": "topup-1"})
    again = stripe_client.v1.checkout.sessions.create(body, {"idempotency_key": "topup-1"})
    assert again.id == first.id
    with pytest.raises(stripe.IdempotencyError):
        stripe_client.v1.checkout.sessions.create(ask(metadata={"topup": "2"}), {"idempotency_key": "topup-1"})


def test_a_wrong_key_and_an_unknown_session_raise_what_stripe_raises(sandbox, stripe_client):
    base = {"api": sandbox.environment["STRIPE_API_BASE"]}
    stranger = stripe.StripeClient("sk_test_somebody_else", base_addresses=base, max_network_retries=0)
    with pytest.raises(stripe.AuthenticationError, match="Invalid API Key"):
        new_session(stranger)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.checkout.sessions.retrieve("cs_test_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"success_url": ""}, "parameter_missing"),
        ({"colour": "red"}, "parameter_unknown"),
        ({"payment_method_types": ["card"]}, "payment_method_types_no_longer_supported"),
        ({"expires_at": 1}, None),
        (
            {"line_items": [{"price_data": {"currency": "usd", "unit_amount": 12.5}, "quantity": 1}]},
            "parameter_missing",
        ),
    ],
)
def test_an_odd_session_is_refused(stripe_client, change, code):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        new_session(stripe_client, **change)
    assert caught.value.code == code


def test_a_signature_made_with_another_body_does_not_verify(sandbox, stripe_client, merchant):
    merchant.answer = lambda _: (400, b"")
    sandbox.fault("bad_signature", provider="stripe")
    new_session(stripe_client)
    sandbox.pay("stripe", "topup-1")
    tries = merchant.wait_for(2, matching=lambda notice: b"checkout.session.completed" in notice[2])
    secret = sandbox.environment["STRIPE_WEBHOOK_SECRET"]
    outcomes = []
    for _, headers, body in tries[:2]:
        try:
            stripe.Webhook.construct_event(body, headers["Stripe-Signature"], secret)
            outcomes.append("good")
        except stripe.SignatureVerificationError:
            outcomes.append("bad")
    assert outcomes == ["bad", "good"]


def test_a_notification_may_be_dropped_repeated_delayed_or_stale(sandbox, stripe_client, merchant):
    def completed(reference: str, count: int):
        def is_it(notice):
            return b'"checkout.session.completed"' in notice[2] and reference.encode() in notice[2]

        return merchant.wait_for(count, matching=is_it)

    sandbox.fault("drop_notification", order="a")
    sandbox.fault("repeat_notification", order="b", count=2)
    sandbox.fault("delay_notification", order="c", seconds=0.3)
    sandbox.fault("stale_timestamp", order="d", seconds=900)
    for reference in "abcd":
        new_session(stripe_client, client_reference_id=reference)
        sandbox.pay("stripe", reference)
    assert len(completed('"client_reference_id": "b"', 3)) == 3
    completed('"client_reference_id": "c"', 1)
    _, headers, body = completed('"client_reference_id": "d"', 1)[0]
    with pytest.raises(stripe.SignatureVerificationError, match="Timestamp"):
        stripe.Webhook.construct_event(body, headers["Stripe-Signature"], sandbox.environment["STRIPE_WEBHOOK_SECRET"])
    states = {n["state"] for n in sandbox.notifications(order="a") if n["event"] == "checkout.session.completed"}
    assert states == {"dropped"}


def test_two_notifications_may_change_places(sandbox, stripe_client, merchant):
    new_session(stripe_client)
    sandbox.pay("stripe", "topup-1")
    events_of(sandbox, merchant, "checkout.session.completed")
    sandbox.fault("reorder_notification", event="charge.dispute.created", seconds=8)
    sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="open")
    sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="withdraw")
    heard = merchant.wait_for(2, matching=lambda notice: b'"type": "charge.dispute.' in notice[2])
    assert b"funds_withdrawn" in heard[0][2]
    assert b"charge.dispute.created" in heard[1][2]


def paid_intent(sandbox, client, reference="topup-1"):
    session = new_session(client, client_reference_id=reference)
    sandbox.pay("stripe", reference)
    return client.v1.checkout.sessions.retrieve(session.id).payment_intent


def test_a_refund_goes_out_once_and_not_beyond_the_charge(sandbox, stripe_client, merchant):
    intent = paid_intent(sandbox, stripe_client)
    options = {"idempotency_key": "refund-1"}
    refund = stripe_client.v1.refunds.create({"payment_intent": intent, "amount": 500}, options)
    assert refund.status == "succeeded"
    assert stripe_client.v1.refunds.create({"payment_intent": intent, "amount": 500}, options).id == refund.id
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount"):
        stripe_client.v1.refunds.create({"payment_intent": intent, "amount": 1501})
    stripe_client.v1.refunds.create({"payment_intent": intent})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        stripe_client.v1.refunds.create({"payment_intent": intent})
    assert caught.value.code == "charge_already_refunded"
    listed = stripe_client.v1.refunds.list({"payment_intent": intent})
    assert [one.amount for one in listed.data] == [1500, 500]
    assert events_of(sandbox, merchant, "charge.refunded", 2)[0].data.object["amount_refunded"] == 500


def test_a_refund_may_pend_then_fail(sandbox, stripe_client, merchant):
    intent = paid_intent(sandbox, stripe_client)
    sandbox.fault("refund_fails", provider="stripe", seconds=0.1)
    refund = stripe_client.v1.refunds.create({"payment_intent": intent})
    assert refund.status == "pending"
    assert events_of(sandbox, merchant, "refund.failed")[0].data.object["id"] == refund.id
    found = stripe_client.v1.refunds.retrieve(refund.id)
    assert (found.status, found.failure_reason) == ("failed", "expired_or_canceled_card")
    assert stripe_client.v1.charges.retrieve(found.charge).amount_refunded == 0


def test_a_refund_may_bounce_after_it_succeeded(sandbox, stripe_client, merchant):
    intent = paid_intent(sandbox, stripe_client)
    sandbox.fault("refund_bounces", provider="stripe", seconds=0.1)
    refund = stripe_client.v1.refunds.create({"payment_intent": intent})
    assert refund.status == "succeeded"
    events_of(sandbox, merchant, "refund.failed")


def test_a_refund_that_failed_may_be_paid_after_all_and_one_may_require_action(sandbox, stripe_client, merchant):
    intent = paid_intent(sandbox, stripe_client)
    sandbox.fault("refund_recovers", provider="stripe", seconds=0.3)
    refund = stripe_client.v1.refunds.create({"payment_intent": intent, "amount": 500})
    assert refund.status == "failed"
    events_of(sandbox, merchant, "refund.updated")
    found = stripe_client.v1.refunds.retrieve(refund.id)
    assert (found.status, found.failure_reason) == ("succeeded", None)
    rows = stripe_client.v1.balance_transactions.list({"source": refund.id}).data
    assert sorted(row.amount for row in rows) == [-500, -500, 500]
    assert stripe_client.v1.charges.retrieve(found.charge).amount_refunded == 500
    sandbox.fault("refund_pending", provider="stripe")
    second = stripe_client.v1.refunds.create({"payment_intent": intent, "amount": 100})
    shown = sandbox.control("POST", f"/refunds/stripe/{second.id}/abnormal")
    assert (shown["state"], stripe_client.v1.refunds.retrieve(second.id).status) == ("abnormal", "requires_action")


def test_a_refund_begun_at_stripe_is_told(sandbox, stripe_client, merchant):
    intent = paid_intent(sandbox, stripe_client)
    sandbox.control("POST", "/orders/stripe/topup-1/refund", amount=700)
    assert events_of(sandbox, merchant, "refund.created")[0].data.object["amount"] == 700
    assert stripe_client.v1.refunds.list({"payment_intent": intent}).data[0].amount == 700


def test_a_dispute_is_opened_withdrawn_and_won(sandbox, stripe_client, merchant):
    intent = paid_intent(sandbox, stripe_client)
    dispute = sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="open")
    assert stripe_client.v1.disputes.retrieve(dispute["id"]).status == "needs_response"
    with pytest.raises(stripe.InvalidRequestError, match="charged back"):
        stripe_client.v1.refunds.create({"payment_intent": intent})
    sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="withdraw")
    sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="win")
    found = stripe_client.v1.disputes.retrieve(dispute["id"])
    assert found.status == "won"
    assert [(row.amount, row.fee) for row in found.balance_transactions] == [(-2000, 1500), (2000, 0)]
    for kind in ("created", "funds_withdrawn", "funds_reinstated", "closed"):
        events_of(sandbox, merchant, f"charge.dispute.{kind}")
    sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="open")
    sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="withdraw")
    with pytest.raises(ControlError, match="withdrawn already") as caught:
        sandbox.control("POST", "/orders/stripe/topup-1/dispute", step="withdraw")
    assert caught.value.status == 409


def test_an_early_fraud_warning_is_told(sandbox, stripe_client, merchant):
    paid_intent(sandbox, stripe_client)
    sandbox.control("POST", "/orders/stripe/topup-1/warn")
    warning = events_of(sandbox, merchant, "radar.early_fraud_warning.created")[0].data.object
    assert stripe_client.v1.radar.early_fraud_warnings.retrieve(warning["id"]).actionable


def test_the_balance_lists_every_movement_page_by_page(sandbox, stripe_client):
    intents = [paid_intent(sandbox, stripe_client, f"topup-{index}") for index in range(3)]
    stripe_client.v1.refunds.create({"payment_intent": intents[0], "amount": 300})
    query = {"created": {"gte": int(time.time()) - 60}, "limit": 2, "expand": ["data.source"]}
    rows = list(stripe_client.v1.balance_transactions.list(query).auto_paging_iter())
    assert [row.amount for row in rows] == [-300, 2000, 2000, 2000]
    assert [row.source.payment_intent for row in rows] == [intents[0], *reversed(intents)]
    nothing = stripe_client.v1.balance_transactions.list({"created": {"lt": int(time.time()) - 60}})
    assert nothing.data == []


def test_a_statement_loses_and_alters_rows_on_demand(sandbox, stripe_client):
    for reference in ("one", "two"):
        paid_intent(sandbox, stripe_client, reference)
    sandbox.fault("statement_drop", provider="stripe", order="one")
    sandbox.fault("statement_alter", provider="stripe", order="two", amount=7)
    sandbox.fault("statement_add", provider="stripe", amount=99)
    rows = stripe_client.v1.balance_transactions.list({}).data
    assert sorted(row.amount for row in rows) == [99, 2007]
    assert sorted(row.amount for row in stripe_client.v1.balance_transactions.list({}).data) == [2000, 2000]


def test_a_timeout_after_success_gives_the_same_session_to_the_retry(sandbox, stripe_client):
    sandbox.fault("time_out_after_success", provider="stripe", operation="create")
    client = stripe.StripeClient(
        sandbox.environment["STRIPE_SECRET_KEY"],
        base_addresses={"api": sandbox.environment["STRIPE_API_BASE"]},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=0.3),
    )
    body, options = ask(), {"idempotency_key": "topup-1"}
    with pytest.raises(stripe.APIConnectionError):
        client.v1.checkout.sessions.create(body, options)
    session = client.v1.checkout.sessions.create(body, options)
    assert [order["number"] for order in sandbox.control("GET", "/orders")["orders"]] == [session.id]


def test_a_provider_that_is_down_raises_an_api_error(sandbox, stripe_client):
    sandbox.fault("provider_down", provider="stripe")
    with pytest.raises(stripe.APIError):
        new_session(stripe_client)
