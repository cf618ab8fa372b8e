"""The WeChat Pay stand-in, driven by wechatpayv3 in public-key mode."""

import gzip
import hashlib
import json
import time
import urllib.parse
import urllib.request
from datetime import datetime, timedelta

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.sandbox.conftest import SHANGHAI


def native(wechat, number: str, total: int = 14200, **more):
    code, text = wechat.pay(
        description="Chuizi 充值", out_trade_no=number, amount={"total": total, "currency": "CNY"}, **more
    )
    return code, json.loads(text)


def found(wechat, number: str) -> dict:
    code, text = wechat.query(out_trade_no=number)
    assert code == 200, text
    return json.loads(text)


def refund(wechat, number: str, request: str, amount: int, total: int = 14200):
    code, text = wechat.refund(
        out_refund_no=request, out_trade_no=number, amount={"refund": amount, "total": total, "currency": "CNY"}
    )
    return code, json.loads(text)


def test_a_code_leads_to_a_page_where_the_order_is_paid(wechat, merchant):
    code, made = native(wechat, "order-001")
    assert code == 200
    with urllib.request.urlopen(made["code_url"], timeout=5) as answer:
        assert "Pay ¥142.00 to Chuizi" in answer.read().decode()
    assert found(wechat, "order-001")["trade_state"] == "NOTPAY"
    form = urllib.parse.urlencode({"action": "pay"}).encode()
    urllib.request.urlopen(made["code_url"], data=form, timeout=5).close()
    paid = found(wechat, "order-001")
    assert (paid["trade_state"], paid["amount"]["total"]) == ("SUCCESS", 14200)
    code, text = wechat.query(transaction_id=paid["transaction_id"])
    assert json.loads(text)["out_trade_no"] == "order-001"
    merchant.wait_for(1)


def test_a_notification_opens_with_the_sdk(sandbox, wechat, merchant):
    native(wechat, "order-002", attach="42")
    sandbox.pay("wechat", "order-002")
    path, headers, body = merchant.wait_for(1)[0]
    assert path == "/payments/wechat/notify"
    assert headers["Wechatpay-Serial"] == sandbox.environment["WECHATPAY_PUBLIC_KEY_ID"]
    assert abs(int(headers["Wechatpay-Timestamp"]) - time.time()) < 10
    notice = wechat.callback({name.lower(): value for name, value in headers.items()}, body)
    assert notice["event_type"] == "TRANSACTION.SUCCESS"
    resource = notice["resource"]
    assert (resource["out_trade_no"], resource["amount"]["total"]) == ("order-002", 14200)
    assert (resource["attach"], resource["trade_state"]) == ("42", "SUCCESS")


@pytest.mark.parametrize("fault", ["bad_signature", "signature_probe"])
def test_a_badly_signed_notification_does_not_open_and_its_repeat_does(sandbox, wechat, merchant, fault):
    merchant.answer = lambda notice: (200, b"") if opens(notice) else (401, b'{"code":"FAIL"}')

    def opens(notice):
        return wechat.callback({name.lower(): value for name, value in notice[1].items()}, notice[2]) is not None

    sandbox.fault(fault, provider="wechat")
    native(wechat, "order-003")
    sandbox.pay("wechat", "order-003")
    sent = sandbox.wait_until_delivered(order="order-003")
    assert [one["status"] for one in sent["tries"]] == [401, 200]
    if fault == "signature_probe":
        assert merchant.heard[0][1]["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")


def test_a_stale_notification_is_signed_well_but_long_ago(sandbox, wechat, merchant):
    sandbox.fault("stale_timestamp", provider="wechat", seconds=900)
    native(wechat, "order-004")
    sandbox.pay("wechat", "order-004")
    _, headers, body = merchant.wait_for(1)[0]
    assert time.time() - int(headers["Wechatpay-Timestamp"]) > 800
    assert wechat.callback({name.lower(): value for name, value in headers.items()}, body) is not None


def test_an_order_closes_with_204_and_is_then_closed(wechat):
    native(wechat, "order-005")
    assert wechat.close(out_trade_no="order-005")[0] == 204
    assert found(wechat, "order-005")["trade_state"] == "CLOSED"
    code, answer = native(wechat, "order-005")
    assert (code, answer["code"]) == (400, "ORDER_CLOSED")


def test_a_paid_order_does_not_close(sandbox, wechat):
    native(wechat, "order-006")
    sandbox.pay("wechat", "order-006")
    code, text = wechat.close(out_trade_no="order-006")
    assert (code, json.loads(text)["code"]) == (400, "ORDERPAID")
    code, answer = native(wechat, "order-006")
    assert (code, answer["code"]) == (403, "OUT_TRADE_NO_USED")


def test_a_closed_order_may_still_be_paid_late(sandbox, wechat, merchant):
    native(wechat, "order-007")
    wechat.close(out_trade_no="order-007")
    sandbox.pay("wechat", "order-007", late=True)
    assert found(wechat, "order-007")["trade_state"] == "SUCCESS"
    merchant.wait_for(1)


def test_an_unknown_order_is_404(wechat):
    code, text = wechat.query(out_trade_no="order-none")
    assert (code, json.loads(text)["code"]) == (404, "ORDER_NOT_EXIST")


def test_an_order_ends_at_its_time(sandbox, wechat):
    expiry = (datetime.now(SHANGHAI) + timedelta(seconds=1)).isoformat(timespec="seconds")
    native(wechat, "order-008", time_expire=expiry)
    for _ in range(100):
        if found(wechat, "order-008")["trade_state"] == "CLOSED":
            return
        time.sleep(0.05)
    pytest.fail("still open")


def test_a_refund_is_accepted_then_succeeds_and_is_told(sandbox, wechat, merchant):
    native(wechat, "order-010")
    sandbox.pay("wechat", "order-010")
    code, accepted = refund(wechat, "order-010", "refund-1", 4200)
    assert (code, accepted["status"]) == (200, "PROCESSING")
    notices = merchant.wait_for(1, matching=lambda notice: b"REFUND.SUCCESS" in notice[2])
    notice = wechat.callback({name.lower(): value for name, value in notices[0][1].items()}, notices[0][2])
    assert notice["resource"]["refund_status"] == "SUCCESS"
    assert notice["resource"]["amount"]["refund"] == 4200
    code, text = wechat.query_refund("refund-1")
    assert json.loads(text)["status"] == "SUCCESS"
    assert found(wechat, "order-010")["trade_state"] == "REFUND"
    assert refund(wechat, "order-010", "refund-1", 4200)[1]["refund_id"] == accepted["refund_id"]
    assert refund(wechat, "order-010", "refund-1", 4300)[1]["code"] == "INVALID_REQUEST"
    assert refund(wechat, "order-010", "refund-2", 10001)[1]["code"] == "INVALID_REQUEST"
    assert refund(wechat, "order-010", "refund-3", 10000)[0] == 200


@pytest.mark.parametrize(("fault", "status"), [("refund_abnormal", "ABNORMAL"), ("refund_closed", "CLOSED")])
def test_a_refund_may_end_otherwise(sandbox, wechat, merchant, fault, status):
    number = f"order-{status}"
    native(wechat, number)
    sandbox.pay("wechat", number)
    sandbox.fault(fault, provider="wechat", seconds=0.1)
    refund(wechat, number, f"refund-{status}", 100)
    merchant.wait_for(1, matching=lambda notice: f"REFUND.{status}".encode() in notice[2])
    assert json.loads(wechat.query_refund(f"refund-{status}")[1])["status"] == status


def test_a_refund_of_an_unknown_order_is_404_and_without_funds_403(sandbox, wechat):
    assert refund(wechat, "order-none", "refund-9", 1)[0] == 404
    native(wechat, "order-011")
    sandbox.pay("wechat", "order-011")
    sandbox.fault("refund_no_funds", provider="wechat")
    code, answer = refund(wechat, "order-011", "refund-10", 100)
    assert (code, answer["code"]) == (403, "NOT_ENOUGH")


@pytest.mark.parametrize("kind", ["trade_bill", "fundflow_bill"])
def test_a_bill_is_gzip_in_yuan_with_backticks_and_its_hash(sandbox, wechat, kind):
    native(wechat, "order-020")
    sandbox.pay("wechat", "order-020")
    refund(wechat, "order-020", "refund-20", 200)
    for _ in range(100):
        if json.loads(wechat.query_refund("refund-20")[1])["status"] == "SUCCESS":
            break
        time.sleep(0.05)
    sandbox.control("POST", "/payouts/wechat", amount=100)
    today = f"{datetime.now(SHANGHAI):%Y-%m-%d}"
    code, text = getattr(wechat, kind)(bill_date=today)
    assert (code, json.loads(text)["code"]) == (400, "STATEMENT_CREATING")
    sandbox.control("POST", "/settings", bills_at_once=True)
    code, text = getattr(wechat, kind)(bill_date="2020-01-01")
    assert json.loads(text)["code"] == "NO_STATEMENT_EXIST"
    code, text = getattr(wechat, kind)(bill_date=today)
    told = json.loads(text)
    code, content = wechat.download_bill(told["download_url"])
    assert code == 200
    raw = gzip.decompress(content)
    assert hashlib.sha1(raw).hexdigest() == told["hash_value"]
    rows = [line.split(",") for line in raw.decode("utf-8-sig").splitlines() if line.startswith("`")]
    if kind == "trade_bill":
        assert [(row[6], row[9], row[15], row[16], row[24]) for row in rows[:-1]] == [
            ("`order-020", "`SUCCESS", "`0", "`0.00", "`142.00"),
            ("`order-020", "`REFUND", "`refund-20", "`2.00", "`0.00"),
        ]
        assert rows[-1][:3] == ["`2", "`142.00", "`2.00"]
    else:
        assert [(row[4], row[5], row[6], row[9]) for row in rows[:-1]] == [
            ("`交易", "`收入", "`142.00", "`"),
            ("`扣除交易手续费", "`支出", "`0.85", "`"),
            ("`退款", "`支出", "`1.99", "`退款总金额2.00元;含手续费0.01元"),
            ("`提现", "`支出", "`1.00", "`"),
        ]
        assert rows[-1] == ["`4", "`1", "`142.00", "`3", "`3.84"]


def test_a_statement_loses_gains_and_alters_rows_on_demand(sandbox, wechat):
    for number in ("order-030", "order-031"):
        native(wechat, number)
        sandbox.pay("wechat", number)
    sandbox.control("POST", "/settings", bills_at_once=True)
    sandbox.fault("statement_drop", provider="wechat", order="order-030")
    sandbox.fault("statement_alter", provider="wechat", order="order-031", amount=5)
    sandbox.fault("statement_add", provider="wechat", amount=700)
    told = json.loads(wechat.trade_bill(bill_date=f"{datetime.now(SHANGHAI):%Y-%m-%d}")[1])
    text = gzip.decompress(wechat.download_bill(told["download_url"])[1]).decode("utf-8-sig")
    rows = [line.split(",") for line in text.splitlines() if line.startswith("`")][:-1]
    assert [row[24] for row in rows] == ["`142.05", "`7.00"]
    assert rows[0][6] == "`order-031"


def test_a_request_signed_with_another_key_is_401(sandbox, wechat):
    wechat._core._private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    code, answer = native(wechat, "order-040")
    assert (code, answer["code"]) == (401, "SIGN_ERROR")


def test_a_request_without_authorization_is_401_and_an_unknown_path_404(sandbox):
    base = sandbox.environment["WECHATPAY_API_BASE"]
    answer = requests.get(f"{base}/v3/pay/transactions/out-trade-no/order-041?mchid=1", timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (401, "SIGN_ERROR")
    assert requests.get(f"{base}/v3/marketing", timeout=5).status_code == 404


@pytest.mark.parametrize("total", [0, -1])
def test_an_odd_amount_is_400(wechat, total):
    code, answer = native(wechat, "order-042", total=total)
    assert (code, answer["code"], answer["detail"]["field"]) == (400, "PARAM_ERROR", "/body/amount/total")


@pytest.mark.parametrize("fault", ["answer_probe", "answer_bad_signature"])
def test_an_answer_that_does_not_verify_raises_after_the_call_took_effect(sandbox, wechat, fault):
    sandbox.fault(fault, provider="wechat", operation="create")
    with pytest.raises(Exception, match="failed to verify"):
        native(wechat, "order-043")
    assert found(wechat, "order-043")["trade_state"] == "NOTPAY"


def test_a_provider_that_is_down_or_hangs(sandbox, wechat):
    sandbox.fault("provider_down", provider="wechat", operation="create")
    assert native(wechat, "order-044")[0] == 503
    assert wechat.query(out_trade_no="order-044")[0] == 404
    sandbox.fault("time_out_after_success", provider="wechat", operation="create")
    wechat._core._timeout = (1, 0.3)
    with pytest.raises(requests.ReadTimeout):
        native(wechat, "order-044")
    assert found(wechat, "order-044")["trade_state"] == "NOTPAY"


def test_a_refund_may_be_abnormal_at_first_and_paid_after_all_and_go_to_a_bank_card(sandbox, wechat, merchant):
    native(wechat, "order-030")
    sandbox.pay("wechat", "order-030")
    sandbox.fault("refund_recovers", provider="wechat", seconds=0.3)
    sandbox.fault("refund_to_bank_card", provider="wechat")
    answer = refund(wechat, "order-030", "refund-30", 100)[1]
    assert (answer["status"], answer["user_received_account"]) == ("ABNORMAL", "招商银行信用卡0403")
    merchant.wait_for(1, matching=lambda notice: b"REFUND.SUCCESS" in notice[2])
    assert json.loads(wechat.query_refund("refund-30")[1])["status"] == "SUCCESS"
