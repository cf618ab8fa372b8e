"""Files of the tax platform: each is looked into, whatever its name says. Nothing of them is run or shown as a page."""

import io
import lzma
import zipfile
import zlib
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException, ElementTree
from django.utils.translation import gettext as _

from billing.invoices.core import InvoiceError

MOST_BYTES = 5 * 1024 * 1024
MOST_UNPACKED = 50 * 1024 * 1024
"""An OFD is a zip: one that grows to more than this is a bomb, not a document."""
TYPES = {"pdf": "application/pdf", "ofd": "application/ofd", "xml": "application/xml"}
DAMAGED = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError),
    *(NotImplementedError, RuntimeError, EOFError, OSError, ValueError),
)
"""What reading a zip raises when it is not one, ends early, lies, or is packed in a way that Python lacks."""
PAGES = ("html", "svg")
"""Roots of XML that a browser would run."""


def kind_of(content: bytes) -> str:
    """`pdf`, `ofd` or `xml` by what the bytes are; raises `InvoiceError` (field `file`) for anything else."""
    if not content:
        raise InvoiceError(_("The file is empty."), field="file")
    if len(content) > MOST_BYTES:
        raise InvoiceError(_("The file is larger than 5 MB."), field="file")
    if content.startswith(b"%PDF-"):
        if b"%%EOF" not in content[-2048:]:
            raise InvoiceError(_("The PDF is cut off."), field="file")
        return "pdf"
    if content.startswith(b"PK\x03\x04"):
        _must_be_ofd(content)
        return "ofd"
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        if _root(content, "XML") in PAGES:
            raise InvoiceError(_("This is a web page, not an invoice."), field="file")
        return "xml"
    raise InvoiceError(_("The file is no PDF, OFD or XML, whatever its name says."), field="file")


def _must_be_ofd(content: bytes) -> None:
    """An OFD (GB/T 33190) is a zip with `OFD.xml` at its root."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > 5000 or sum(entry.file_size for entry in entries) > MOST_UNPACKED:
                raise InvoiceError(_("The OFD unpacks to too much."), field="file")
            if "OFD.xml" not in archive.namelist():
                raise InvoiceError(_("This is a zip file, but no OFD."), field="file")
            with archive.open("OFD.xml") as entry:
                first = entry.read(MOST_BYTES)
    except DAMAGED as error:
        raise InvoiceError(_("The OFD is damaged."), field="file") from error
    if _root(first, "OFD") != "ofd":
        raise InvoiceError(_("This is a zip file, but no OFD."), field="file")


def _root(content: bytes, kind: str) -> str:
    """The name of an XML's root in small letters, without its namespace. Entities and DTDs are refused."""
    try:
        tag = ElementTree.fromstring(content, forbid_dtd=True).tag
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise InvoiceError(_("The %(kind)s is damaged.") % {"kind": kind}, field="file") from error
    return str(tag).rpartition("}")[2].lower()
