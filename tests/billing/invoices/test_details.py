"""What is written on an invoice is checked: tax numbers by their country's rule, files by what they are."""

import io
import zipfile

import pytest

from billing import invoices
from billing.invoices.papers.files import MOST_BYTES, kind_of
from billing.models import Document, InvoiceRequest
from tests.billing.invoices.invoice_steps import CREDIT_CODE, ask, clerk, payments
from tests.conftest import NOW

__all__ = ["clerk", "payments"]

PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
XML = b'<?xml version="1.0" encoding="UTF-8"?><EInvoice><Header/></EInvoice>'
OFD_XML = b'<ofd:OFD xmlns:ofd="http://www.ofdspec.org/2016" Version="1.0"><ofd:DocBody/></ofd:OFD>'
NUMBER = "24312000000012345678"


def checked(**values):
    return invoices.checked(**{"company_name": "Ada GmbH", "tax_id": "12345", "email": "a@b.example", **values})


def wrong(field, **values):
    with pytest.raises(invoices.InvoiceError) as error:
        checked(**values)
    assert error.value.field == field
    return str(error.value)


@pytest.mark.parametrize(
    ("tax_id", "country", "kept"),
    [
        (CREDIT_CODE, "CN", CREDIT_CODE),
        (" 9111 0000 6000 3734 1l ", "CN", CREDIT_CODE),
        (CREDIT_CODE, "", CREDIT_CODE),
        ("DE 136,695 976", "DE", "DE136695976"),
        ("136695976", "de", "DE136695976"),
        ("FR40303265045", "FR", "FR40303265045"),
        ("EL094259216", "GR", "EL094259216"),
        ("GB 980 7806 84", "GB", "980780684"),
        ("995525828", "NO", "995525828"),
        ("27AAPFU0939F1ZV", "IN", "27AAPFU0939F1ZV"),
        ("61-0123 4/x", "HK", "61-0123 4/X"),
        ("A-12345", "", "A-12345"),
        ("１２３４５６", "", "123456"),
        ("ＤＥ１３６６９５９７６", "DE", "DE136695976"),
        ("GB 980 7806 84", "UK", "980780684"),
        ("094259216", "el", "EL094259216"),
        ("00501503", "TW", "00501503"),
        ("10000004", "TW", "10000004"),  # divisible by 5 alone, as issued since 2023
        ("T5835678256246", "JP", "T5835678256246"),
        ("5835678256246", "JP", "T5835678256246"),
        ("110105123456789", "CN", "110105123456789"),
        ("11010519491231002X01", "CN", "11010519491231002X01"),
    ],
)
def test_a_right_tax_number_is_kept_in_its_one_form(tax_id, country, kept):
    assert checked(tax_id=tax_id, country=country).tax_id == kept


@pytest.mark.parametrize(
    ("tax_id", "country"),
    [
        ("91110000600037341M", "CN"),  # the check digit
        ("91110000600037341M", ""),
        ("19110000600037341L", "CN"),  # two turned round
        ("123", "CN"),
        ("DE136695977", "DE"),
        ("DE136695976", "FR"),
        ("GB980780685", "GB"),
        ("27AAPFU0939F1ZW", "IN"),
        ("11010519491231002X", "CN"),  # a person's, not a company's
        ("", ""),
        ("", "DE"),
        ("   ", "CN"),
        ("10000001", "TW"),
        ("T5835678256247", "JP"),
        ("ABCDEF", ""),
        ("=1+1", ""),
        ("<b>12</b>", ""),
        ("1" * 41, ""),
        ("1" * 5000, "CN"),
    ],
)
def test_a_wrong_tax_number_is_refused(tax_id, country):
    wrong("tax_id", tax_id=tax_id, country=country)


@pytest.mark.parametrize(
    ("tax_id", "country", "kept"),
    [
        ("91110000600037341M", "CN", "91110000600037341M"),
        ("N2110000600037341L", "CN", "N2110000600037341L"),
        ("DE 136695977", "DE", "DE136695977"),
        ("10000001", "TW", "10000001"),
        ("T5835678256247", "JP", "T5835678256247"),
    ],
)
def test_a_check_digit_that_does_not_fit_may_be_confirmed_and_is_marked(tax_id, country, kept):
    assert "tick" in wrong("tax_id", tax_id=tax_id, country=country)
    details = checked(tax_id=tax_id, country=country, tax_id_confirmed=True)
    assert (details.tax_id, details.tax_id_is_doubtful) == (kept, True)
    assert not checked(tax_id=CREDIT_CODE, country="CN", tax_id_confirmed=True).tax_id_is_doubtful


@pytest.mark.parametrize(("tax_id", "country"), [("123", "CN"), ("DE1", "DE"), ("<b>", "DE"), ("", "CN")])
def test_what_has_not_its_length_cannot_be_confirmed(tax_id, country):
    wrong("tax_id", tax_id=tax_id, country=country, tax_id_confirmed=True)


@pytest.mark.parametrize("country", ["US", "GB", "JP", "SG", "AU"])
def test_a_company_elsewhere_may_leave_it_out(country):
    assert checked(tax_id="", country=country).tax_id == ""


def test_a_person_needs_no_tax_number_and_may_give_their_own():
    person = {"buyer_kind": "individual", "country": "CN"}
    assert checked(tax_id="", **person).tax_id == ""
    assert checked(tax_id="11010519491231002X", **person).tax_id == "11010519491231002X"
    wrong("tax_id", tax_id="110105194912310021", **person)


def test_a_fapiao_is_for_china_and_the_special_one_for_companies():
    assert checked(tax_id=CREDIT_CODE, invoice_type="fapiao_general").country == "CN"
    wrong("tax_id", tax_id="12345", invoice_type="fapiao_general")
    wrong("country", tax_id=CREDIT_CODE, invoice_type="fapiao_special", country="DE")
    wrong("buyer_kind", tax_id="", invoice_type="fapiao_special", buyer_kind="individual")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("company_name", {"company_name": " \n\t\u200b\u202e "}),
        ("company_name", {"company_name": "x" * 201}),
        ("billing_address", {"billing_address": "x" * 501}),
        ("remark", {"remark": "x" * 201}),
        ("email", {"email": ""}),
        ("email", {"email": "a@b"}),
        ("email", {"email": "a@b.example\nBcc: c@d.example"}),
        ("mailing_address", {"delivery": "post"}),
        ("delivery", {"delivery": "pigeon"}),
        ("invoice_type", {"invoice_type": "paper"}),
        ("buyer_kind", {"buyer_kind": "robot"}),
        ("country", {"country": "XX"}),
        ("country", {"country": "Germany"}),
    ],
)
def test_what_is_missing_or_too_much_names_its_field(field, values):
    wrong(field, **values)


def test_characters_that_steer_a_text_and_show_nothing_are_left_out():
    made = checked(company_name="Evil\u202egnp.exe \x00\n  公司\u200b ", billing_address="1\r\n\r\n 2\x07\u2066  b ")
    assert (made.company_name, made.billing_address) == ("Evilgnp.exe 公司", "1\n2 b")


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return out.getvalue()


def spoilt(content, *, at, by=b"\xff" * 8):
    return content[:at] + by + content[at + len(by) :]


NAMED = zipped(OFD_xml=OFD_XML)
"""Its entry begins at byte 0: 30 bytes of head, the name's 7, then what is packed."""


@pytest.mark.parametrize(
    ("content", "kind"),
    [(PDF, "pdf"), (XML, "xml"), (b"\xef\xbb\xbf\n" + XML[38:], "xml"), (zipped(OFD_xml=OFD_XML), "ofd")],
)
def test_a_file_is_known_by_what_it_is(content, kind):
    assert kind_of(content) == kind


BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
REACHES_OUT = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"MZ\x90\x00 a program named invoice.pdf",
        b"%PDF-1.7 cut off",
        b"x" + PDF,
        PDF + b" " * MOST_BYTES,
        zipped(word__document_xml=XML),  # an office document
        zipped(OFD_xml=XML),  # a zip that only says so
        zipped(OFD_xml=b"no xml"),
        zipped(OFD_xml=OFD_XML)[:-30],
        spoilt(NAMED, at=37),  # packed badly
        spoilt(NAMED, at=NAMED.rindex(b"PK\x01\x02") + 10, by=b"\x0e\x00"),  # said to be LZMA
        spoilt(
            spoilt(NAMED, at=NAMED.rindex(b"OFD.xml"), by=b"\xff\xfe"), at=NAMED.rindex(b"PK\x01\x02") + 9, by=b"\x08"
        ),
        zipped(OFD_xml=OFD_XML, big_bin=b"\0" * (51 * 1024 * 1024)),
        b"<html><script>alert(1)</script></html>",
        b'<svg xmlns="http://www.w3.org/2000/svg"/>',
        b"<a><b></a>",
        BOMB,
        REACHES_OUT,
        b"<?xml version='1.0' encoding='klingon'?><a/>",
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=range(20),
)
def test_an_upload_that_is_not_what_it_says_is_refused(content):
    with pytest.raises(invoices.InvoiceError) as error:
        kind_of(content)
    assert error.value.field == "file"


@pytest.fixture
def fapiao(customer, payments):
    payments.add(customer, "113.00", currency="CNY")
    return ask(customer, "113.00", invoice_type="fapiao_general", tax_id=CREDIT_CODE)


def record(request, clerk, number=NUMBER, content=XML):
    return invoices.record_fapiao(request_id=request.pk, fapiao_number=number, content=content, by=clerk, now=NOW)


@pytest.mark.django_db
def test_a_fapiao_is_kept_as_the_tax_platform_made_it(fapiao, clerk, user):
    document = record(fapiao, clerk, content=PDF)
    fapiao.refresh_from_db()
    assert (fapiao.state, document.kind, document.fapiao_number) == ("issued", "fapiao", NUMBER)
    assert (bytes(document.content), document.content_type) == (PDF, "application/pdf")
    assert (document.file_name, document.gross, document.net) == (f"{NUMBER}.pdf", 113, None)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "number", ["", "1234567", "1" * 21, "2431200000001234567X", "２４３１２００００００１２３４５６７８"]
)
def test_a_fapiao_number_is_digits(fapiao, clerk, number):
    with pytest.raises(invoices.InvoiceError) as error:
        record(fapiao, clerk, number)
    assert error.value.field == "fapiao_number"


@pytest.mark.django_db
def test_a_fapiao_number_is_recorded_once(customer, payments, fapiao, clerk):
    record(fapiao, clerk, f" {NUMBER[:8]} {NUMBER[8:]} ")
    payments.add(customer, "50.00", currency="CNY")
    second = ask(customer, "50.00", invoice_type="fapiao_special", tax_id=CREDIT_CODE)
    with pytest.raises(invoices.InvoiceError, match="already") as error:
        record(second, clerk)
    assert error.value.field == "fapiao_number"
    second.refresh_from_db()
    assert (second.state, Document.objects.count()) == (InvoiceRequest.State.REQUESTED, 1)


@pytest.mark.django_db
def test_a_wrong_file_leaves_the_request_as_it_was(fapiao, clerk):
    with pytest.raises(invoices.InvoiceError):
        record(fapiao, clerk, content=b"MZ")
    with pytest.raises(invoices.InvoiceError) as error:
        invoices.issue(request_id=fapiao.pk, by=clerk, now=NOW)
    assert error.value.field == "invoice_type"
    fapiao.refresh_from_db()
    assert fapiao.state == InvoiceRequest.State.REQUESTED
