"""The Alipay stand-in, driven by python-alipay-sdk."""

import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from datetime import datetime

import pytest
from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError
from Cryptodome.PublicKey import RSA

from tests.sandbox.conftest import SHANGHAI
from tests.sandbox_server import ControlError


def precreate(alipay: AliPay, number: str, amount: str = "142.00", **more: object) -> dict:
    return alipay.api_alipay_trade_precreate(subject="Chuizi 充值", out_trade_no=number, total_amount=amount, **more)


def opened(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read().decode()


def test_a_code_leads_to_a_page_that_names_the_amount_and_the_merchant(alipay):
    made = precreate(alipay, "t1")
    assert made["code"] == "10000"
    assert made["out_trade_no"] == "t1"
    page = opened(made["qr_code"])
    assert "Pay ¥142.00 to Chuizi" in page
    assert "no real money moves" in page


def test_an_unscanned_code_is_no_trade_to_query_and_to_close(alipay):
    precreate(alipay, "t2")
    assert alipay.api_alipay_trade_query(out_trade_no="t2")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    assert alipay.api_alipay_trade_close(out_trade_no="t2")["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_a_scanned_trade_waits_then_is_paid_from_the_page(alipay, merchant):
    made = precreate(alipay, "t3")
    opened(made["qr_code"])
    assert alipay.api_alipay_trade_query(out_trade_no="t3")["trade_status"] == "WAIT_BUYER_PAY"
    form = urllib.parse.urlencode({"action": "pay"}).encode()
    with urllib.request.urlopen(made["qr_code"], data=form, timeout=5) as answer:
        assert "Paid ¥142.00" in answer.read().decode()
    found = alipay.api_alipay_trade_query(out_trade_no="t3")
    assert (found["trade_status"], found["total_amount"]) == ("TRADE_SUCCESS", "142.00")
    assert alipay.api_alipay_trade_query(trade_no=found["trade_no"])["out_trade_no"] == "t3"
    merchant.wait_for(1)


def test_a_notification_verifies_with_the_sdk_and_carries_what_was_paid(sandbox, alipay, merchant):
    precreate(alipay, "t4")
    sandbox.pay("alipay", "t4")
    path, _, body = merchant.wait_for(1)[0]
    fields = dict(urllib.parse.parse_qsl(body.decode(), keep_blank_values=True))
    assert path == "/payments/alipay/notify"
    assert fields["app_id"] == sandbox.environment["ALIPAY_APP_ID"]
    assert fields["seller_id"] == sandbox.environment["ALIPAY_SELLER_ID"]
    assert (fields["trade_status"], fields["total_amount"], fields["out_trade_no"]) == ("TRADE_SUCCESS", "142.00", "t4")
    signature = fields.pop("sign")
    assert alipay.verify(dict(fields), signature)
    assert not alipay.verify({**fields, "total_amount": "1.00"}, signature)


def test_a_notification_is_repeated_until_it_is_answered_success(sandbox, alipay, merchant):
    answers = iter([(500, b"oops"), (200, b"ok"), (200, b"success")])
    merchant.answer = lambda _: next(answers)
    precreate(alipay, "t5")
    sandbox.pay("alipay", "t5")
    sent = sandbox.wait_until_delivered(order="t5")
    assert [one["answer"] for one in sent["tries"]] == ["oops", "ok", "success"]
    bodies = [dict(urllib.parse.parse_qsl(body.decode())) for _, _, body in merchant.heard]
    assert len({body["notify_id"] for body in bodies}) == 1


def test_a_scanned_trade_closes_and_can_no_longer_be_paid(sandbox, alipay):
    precreate(alipay, "t6")
    sandbox.control("POST", "/orders/alipay/t6/scan")
    assert alipay.api_alipay_trade_close(out_trade_no="t6")["code"] == "10000"
    assert alipay.api_alipay_trade_query(out_trade_no="t6")["trade_status"] == "TRADE_CLOSED"
    assert precreate(alipay, "t6")["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


def test_a_paid_trade_is_neither_made_nor_closed_again(sandbox, alipay):
    precreate(alipay, "t7")
    sandbox.pay("alipay", "t7")
    assert precreate(alipay, "t7")["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"
    assert alipay.api_alipay_trade_close(out_trade_no="t7")["sub_code"] == "ACQ.TRADE_STATUS_ERROR"


def test_the_same_number_with_another_amount_is_refused(alipay):
    first = precreate(alipay, "t8")
    assert precreate(alipay, "t8")["qr_code"] == first["qr_code"]
    assert precreate(alipay, "t8", amount="1.00")["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"


def test_a_trade_that_nobody_pays_closes_at_its_time(sandbox, alipay):
    precreate(alipay, "t9", time_expire=f"{datetime.now(SHANGHAI):%Y-%m-%d %H:%M:%S}")
    sandbox.control("POST", "/orders/alipay/t9/scan")
    for _ in range(50):
        if sandbox.order("alipay", "t9")["state"] == "closed":
            break
        time.sleep(0.05)
    assert alipay.api_alipay_trade_query(out_trade_no="t9")["trade_status"] == "TRADE_CLOSED"


def test_refunds_in_parts_add_up_and_a_repeat_moves_nothing(sandbox, alipay, merchant):
    precreate(alipay, "r1")
    sandbox.pay("alipay", "r1")

    def refund(amount: str, request: str) -> dict:
        return alipay.api_alipay_trade_refund(refund_amount=amount, out_trade_no="r1", out_request_no=request)

    first = refund("42.00", "r1-1")
    assert (first["code"], first["fund_change"], first["refund_fee"]) == ("10000", "Y", "42.00")
    again = refund("42.00", "r1-1")
    assert (again["fund_change"], again["refund_fee"]) == ("N", "42.00")
    assert refund("43.00", "r1-1")["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert refund("100.01", "r1-2")["sub_code"] == "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"
    assert refund("100.00", "r1-2")["refund_fee"] == "142.00"
    assert alipay.api_alipay_trade_query(out_trade_no="r1")["trade_status"] == "TRADE_CLOSED"
    found = alipay.api_alipay_trade_fastpay_refund_query("r1-1", out_trade_no="r1")
    assert (found["refund_status"], found["refund_amount"]) == ("REFUND_SUCCESS", "42.00")
    assert "refund_status" not in alipay.api_alipay_trade_fastpay_refund_query("never", out_trade_no="r1")
    refunds = merchant.wait_for(2, matching=lambda notice: b"refund_fee" in notice[2])
    last = dict(urllib.parse.parse_qsl(refunds[-1][2].decode()))
    assert (last["trade_status"], last["refund_fee"]) == ("TRADE_CLOSED", "142.00")


def test_a_refund_may_stay_pending_fail_or_lack_funds(sandbox, alipay):
    for number, fault in (
        ("p1", "refund_pending"),
        ("p2", "refund_fails"),
        ("p3", "refund_no_funds"),
        ("p4", "refund_recovers"),
    ):
        precreate(alipay, number)
        sandbox.pay("alipay", number)
        sandbox.fault(fault, provider="alipay", order=number)

    def refund(number: str) -> dict:
        return alipay.api_alipay_trade_refund(refund_amount="5.00", out_trade_no=number, out_request_no=f"{number}-1")

    assert refund("p1")["fund_change"] == "N"
    assert "refund_status" not in alipay.api_alipay_trade_fastpay_refund_query("p1-1", out_trade_no="p1")
    sandbox.control("POST", "/refunds/alipay/p1-1/done")
    assert "refund_status" in alipay.api_alipay_trade_fastpay_refund_query("p1-1", out_trade_no="p1")
    assert refund("p2")["code"] == "10000"
    assert refund("p3")["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    assert refund("p4")["fund_change"] == "N"
    sandbox.control("POST", "/refunds/alipay/p4-1/done")
    assert "refund_status" in alipay.api_alipay_trade_fastpay_refund_query("p4-1", out_trade_no="p4")


def test_the_bill_of_a_day_is_a_zip_of_gb18030_that_lists_payments_and_refunds(sandbox, alipay):
    precreate(alipay, "b1")
    sandbox.pay("alipay", "b1")
    alipay.api_alipay_trade_refund(refund_amount="2.00", out_trade_no="b1", out_request_no="b1-1")
    today = f"{datetime.now(SHANGHAI):%Y-%m-%d}"
    method = "alipay.data.dataservice.bill.downloadurl.query"
    content = {"bill_type": "trade", "bill_date": today}
    assert alipay.server_api(method, content)["sub_code"] == "isp.bill_not_exist"
    sandbox.control("POST", "/settings", bills_at_once=True)
    found = alipay.server_api(method, content)
    with urllib.request.urlopen(found["bill_download_url"], timeout=5) as answer:
        packed = zipfile.ZipFile(io.BytesIO(answer.read()))
    assert len(packed.namelist()) == 2
    text = packed.read(packed.namelist()[0]).decode("gb18030")
    rows = [line.split(",") for line in text.splitlines() if not line.startswith(("#", "支付宝交易号"))]
    assert [(row[1].strip(), row[2].strip(), row[11], row[-4].strip()) for row in rows] == [
        ("b1", "交易", "142.00", ""),
        ("b1", "退款", "-2.00", "b1-1"),
    ]


def test_the_fund_flow_of_a_day_has_whatever_moved_with_what_was_taken_below_zero(sandbox, alipay):
    precreate(alipay, "f1")
    sandbox.pay("alipay", "f1")
    alipay.api_alipay_trade_refund(refund_amount="2.00", out_trade_no="f1", out_request_no="f1-1")
    sandbox.control("POST", "/movements/alipay", kind="收费", amount=-50, note="提现手续费")
    assert sandbox.control("GET", "/balances")["alipay"] == 14200 - 85 - 200 + 1 - 50
    with pytest.raises(ControlError, match="13866 fen"):
        sandbox.control("POST", "/payouts/alipay", amount=13867)
    sandbox.control("POST", "/payouts/alipay")
    assert sandbox.control("GET", "/balances")["alipay"] == 0
    sandbox.control("POST", "/settings", bills_at_once=True)
    content = {"bill_type": "signcustomer", "bill_date": f"{datetime.now(SHANGHAI):%Y-%m-%d}"}

    def text() -> str:
        found = alipay.server_api("alipay.data.dataservice.bill.downloadurl.query", content)
        with urllib.request.urlopen(found["bill_download_url"], timeout=5) as answer:
            packed = zipfile.ZipFile(io.BytesIO(answer.read()))
        assert len(packed.namelist()) == 2
        return packed.read(packed.namelist()[0]).decode("gb18030")

    rows = [line.split(",") for line in text().splitlines() if not line.startswith(("#", "账务流水号"))]
    assert [(row[2].strip(), row[6], row[7], row[8], row[10]) for row in rows] == [
        ("f1", "142.00", "0.00", "142.00", "在线支付"),
        ("f1", "0.00", "-0.85", "141.15", "收费"),
        ("f1", "0.00", "-2.00", "139.15", "交易退款"),
        ("f1", "0.01", "0.00", "139.16", "退费"),
        ("", "0.00", "-0.50", "138.66", "收费"),
        ("", "0.00", "-138.66", "0.00", "提现"),
    ]
    again = [line.split(",") for line in text().splitlines() if not line.startswith(("#", "账务流水号"))]
    assert [row[0] for row in again] == [row[0] for row in rows]
    assert "#支出合计：4笔，共-142.01元" in text()


def test_an_address_of_a_bill_dies(sandbox, alipay):
    with pytest.raises(urllib.error.HTTPError) as caught:
        opened(f"{sandbox.url}/alipay/bill/long-gone")
    assert caught.value.code == 403
    caught.value.close()


def test_a_request_signed_with_another_key_is_refused_in_alipays_shape(sandbox, alipay):
    alipay._app_private_key = RSA.generate(2048)
    answer = precreate(alipay, "x1")
    assert (answer["code"], answer["sub_code"]) == ("40002", "isv.invalid-signature")


def test_another_app_id_is_refused_without_a_signature(alipay):
    alipay._appid = "2021999999999999"
    with pytest.raises(AliPayException) as caught:
        precreate(alipay, "x2")
    assert "isv.invalid-app-id" in caught.value._AliPayException__message


def test_a_clock_that_is_not_shanghais_is_refused(sandbox, alipay):
    plain = AliPay.build_body
    body = plain(alipay, "alipay.trade.query", {"out_trade_no": "x3"}) | {"timestamp": "2020-01-01 00:00:00"}
    answer = alipay.verified_sync_response(body, "alipay_trade_query_response")
    assert answer["sub_code"] == "isv.invalid-timestamp"


@pytest.mark.parametrize("amount", ["0.00", "-1.00", "1.234", "NaN", ""])
def test_an_odd_amount_is_refused(alipay, amount):
    assert precreate(alipay, "x4", amount=amount)["sub_code"] == "ACQ.INVALID_PARAMETER"


def test_an_answer_with_a_bad_signature_does_not_pass_the_sdk(sandbox, alipay):
    sandbox.fault("answer_bad_signature", provider="alipay", operation="create")
    with pytest.raises(AliPayValidationError):
        precreate(alipay, "x5")
    assert sandbox.order("alipay", "x5")["state"] == "open"


def test_a_timeout_after_success_takes_effect(sandbox, alipay):
    precreate(alipay, "x6")
    sandbox.pay("alipay", "x6")
    sandbox.fault("time_out_after_success", provider="alipay", operation="refund", seconds=30)
    alipay._config.timeout = 0.3
    with pytest.raises(OSError, match="timed out"):
        alipay.api_alipay_trade_refund(refund_amount="1.00", out_trade_no="x6", out_request_no="x6-1")
    alipay._config.timeout = 5
    found = alipay.api_alipay_trade_fastpay_refund_query("x6-1", out_trade_no="x6")
    assert found["refund_status"] == "REFUND_SUCCESS"


def test_a_provider_that_is_down_answers_503(sandbox, alipay):
    sandbox.fault("provider_down", provider="alipay")
    with pytest.raises(urllib.error.HTTPError) as caught:
        precreate(alipay, "x7")
    assert caught.value.code == 503
    caught.value.close()
    assert precreate(alipay, "x7")["code"] == "10000"


def test_what_is_reported_may_differ_from_what_was_asked(sandbox, alipay):
    precreate(alipay, "x8")
    sandbox.control("POST", "/orders/alipay/x8/report", amount=100)
    sandbox.pay("alipay", "x8")
    assert alipay.api_alipay_trade_query(out_trade_no="x8")["total_amount"] == "1.00"


def test_chinese_and_slashes_in_an_answer_are_signed_as_sent(sandbox, alipay):
    raw = urllib.request.urlopen(
        alipay._gateway + "?" + alipay.sign_data(alipay.build_body("alipay.trade.query", {"out_trade_no": "none"})),
        timeout=5,
    )
    with raw:
        text = raw.read().decode()
    assert "交易不存在" in text
    assert list(json.loads(text)) == ["alipay_trade_query_response", "sign"]
