"""Our own document as a page: a commercial invoice (账单, 非税务发票) or the credit note that takes one back.

Drawn from what the document's row says and nothing else, so that a document drawn again says the same.
"""

import json
import logging
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _
from fontTools.ttLib import TTFont
from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos

from billing.models import Document
from billing.months.periods import day_of

MARGIN = 18
WIDTH = 210 - 2 * MARGIN
INK, FAINT, LINE = (23, 27, 33), (104, 112, 122), (218, 222, 227)
PAGES = "{n}"
"""Becomes the number of pages; as short as that is, so that the line stands where it should."""
UNKNOWN = "\u25a1"
"""Stands for what neither font draws, such as emoji."""
DRAWN = (
    *("kind", "number", "currency", "gross", "net", "tax", "tax_rate"),
    *("seller", "buyer", "lines", "reason", "locale", "issued_at"),
)
REMEMBERED = 16
_drawn: dict[str, bytes] = {}
JOINERS = ("\u200c", "\u200d", "\ufe0e", "\ufe0f")

logging.getLogger("fontTools.subset").setLevel(logging.WARNING)


def render(document: Document) -> bytes:
    """The document as a PDF with its fonts inside, in the document's language. Takes a third of a second once."""
    contents = _contents(document)
    found = _drawn.get(contents)
    if found is None:
        with translation.override(document.locale):
            page = _Page(document)
            page.draw()
            found = bytes(page.output())
        while len(_drawn) >= REMEMBERED:
            _drawn.pop(next(iter(_drawn)), None)
        _drawn[contents] = found
    return found


def _contents(document: Document) -> str:
    """All that the page is drawn from."""
    said = {name: getattr(document, name) for name in DRAWN}
    first = document.refers_to.number if document.refers_to is not None else ""
    return json.dumps({**said, "first": first}, default=str, sort_keys=True)


def money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.2f} {currency}"


@cache
def _fonts() -> tuple[Path, Path]:
    """Noto Sans for all that is not Chinese, Noto Sans SC for the rest; both under the SIL Open Font License."""
    rest = resources.files("fontpkg_noto_sans") / "files" / "NotoSans[wdth,wght].ttf"
    chinese = resources.files("pylopdf_fonts_zh_cn") / "NotoSansSC-Regular.otf"
    return Path(str(rest)), Path(str(chinese))


@cache
def _covered() -> frozenset[int]:
    found: set[int] = set()
    for path in _fonts():
        with TTFont(path, lazy=True) as font:
            found.update(font.getBestCmap())
    return frozenset(found)


def _shown(text: str) -> str:
    """Text with a box for each character that no font draws."""
    covered = _covered()
    return "".join(char if char == "\n" or ord(char) in covered else UNKNOWN for char in text if char not in JOINERS)


class _Page(FPDF):
    def __init__(self, document: Document) -> None:
        super().__init__(format="A4")
        self.document = document
        self.is_credit = document.kind == Document.Kind.CREDIT_NOTE
        rest, chinese = _fonts()
        self.add_font("rest", fname=rest)
        self.add_font("chinese", fname=chinese)
        self.set_fallback_fonts(["chinese"], exact_match=False)
        self.set_margins(MARGIN, MARGIN)
        self.c_margin = 0
        self.set_auto_page_break(True, margin=MARGIN + 8)
        self.set_creation_date(document.issued_at)
        self.set_title(f"{self.heading} {document.number}")
        self.set_author(_shown(str(document.seller["name"])))
        self.set_lang("zh-CN" if document.locale.startswith("zh") else "en")
        self.alias_nb_pages(PAGES)

    @property
    def heading(self) -> str:
        return _("Credit note") if self.is_credit else _("Commercial invoice")

    def footer(self) -> None:
        self.set_y(-MARGIN)
        self._ink(FAINT, 8)
        self.cell(WIDTH / 2, 5, _shown(f"{self.heading} {self.document.number}"))
        page = _("Page %(page)s of %(pages)s") % {"page": self.page_no(), "pages": PAGES}
        self.cell(WIDTH / 2, 5, page, align="R")

    def draw(self) -> None:
        self.add_page()
        self._head()
        self._parties()
        self._lines()
        self._totals()
        self._notes()

    def _head(self) -> None:
        document, top = self.document, self.get_y()
        self._ink(INK, 24)
        self.cell(WIDTH * 0.6, 11, self.heading, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self._ink(FAINT, 9.5)
        self.cell(WIDTH * 0.6, 6, _("Not a fapiao (非税务发票)"), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        end = self.get_y()
        rows = [(_("Number"), document.number), (_("Date"), day_of(document.issued_at).isoformat())]
        if document.refers_to is not None:
            rows.append((_("Takes back"), document.refers_to.number))
        self.set_y(top + 1)
        for name, value in rows:
            self.set_x(MARGIN + WIDTH * 0.55)
            self._ink(FAINT, 9)
            self.cell(WIDTH * 0.2, 6, name)
            self._ink(INK, 10)
            self.cell(WIDTH * 0.25, 6, _shown(value), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_y(max(end, self.get_y()) + 8)

    def _parties(self) -> None:
        seller, buyer = self.document.seller, self.document.buyer
        top, ends = self.get_y(), []
        columns = (
            (_("Seller"), seller["name"], [seller["address"]], seller["tax_id"], seller["contact"]),
            (_("Buyer"), buyer["name"], [buyer["billing_address"]], buyer["tax_id"], ""),
        )
        for number, (title, name, lines, tax_id, contact) in enumerate(columns):
            left, width = MARGIN + number * (WIDTH / 2 + 4), WIDTH / 2 - 4
            self.set_xy(left, top)
            self._ink(FAINT, 9)
            self._block(left, width, title, 5)
            self._ink(INK, 11)
            self._block(left, width, str(name), 6)
            self._ink(INK, 9.5)
            country = str(buyer["country"]) if title == _("Buyer") else ""
            for line in [*lines, country, contact]:
                if line:
                    self._block(left, width, str(line), 5)
            if tax_id:
                self._block(left, width, _("Tax number: %(number)s") % {"number": tax_id}, 5)
            ends.append(self.get_y())
        self.set_y(max(ends) + 9)

    def _block(self, left: float, width: float, text: str, height: float) -> None:
        self._font(self.font_size_pt)
        self.set_x(left)
        self.multi_cell(width, height, _shown(text), align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)

    def _lines(self) -> None:
        self._ink(INK, 9.5)
        self.set_draw_color(LINE)
        heads = FontFace(color=FAINT)
        with self.table(
            width=WIDTH,
            col_widths=(88, 26, 26, 34),
            text_align=("LEFT", "LEFT", "LEFT", "RIGHT"),
            line_height=5,
            padding=(1.4, 0),
            headings_style=heads,
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        ) as table:
            table.row([_("Description"), _("Paid on"), _("Paid by"), _("Amount")])
            for line in self.document.lines:
                what = _("Prepaid credit, order %(order)s") % {"order": line["label"]}
                amount = money(Decimal(line["gross"]), self.document.currency)
                table.row([_shown(what), line["paid_on"], _shown(line["method_name"]), amount])
        self.ln(5)

    def _totals(self) -> None:
        document = self.document
        if document.net is None or document.tax is None or document.tax_rate is None:
            raise ValueError("a document of ours says its tax")
        rate = f"{(document.tax_rate * 100).normalize():f}"
        tax = _("%(tax)s, %(rate)s%%") % {"tax": document.seller["tax_name"], "rate": rate}
        rows = [(_("Net"), document.net), (tax, document.tax), (_("Total"), document.gross)]
        if self.will_page_break(30):
            self.add_page()
        for number, (name, amount) in enumerate(rows):
            is_total = number == len(rows) - 1
            self.set_x(MARGIN + WIDTH * 0.5)
            self._ink(INK if is_total else FAINT, 12 if is_total else 9.5)
            height = 9 if is_total else 6
            border: Any = "T" if is_total else 0
            self.cell(WIDTH * 0.25, height, _shown(name), border=border)
            self._ink(INK, 12 if is_total else 9.5)
            text = money(amount, document.currency)
            self.cell(WIDTH * 0.25, height, text, border=border, align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(8)

    def _notes(self) -> None:
        document = self.document
        paid = _("Prices include tax. This amount is paid; nothing is due.")
        notes = [
            document.seller["tax_note"],
            _("Reason: %(reason)s") % {"reason": document.reason} if document.reason else "",
            _("Remark: %(remark)s") % {"remark": document.buyer["remark"]} if document.buyer["remark"] else "",
            paid if not self.is_credit else "",
            _("This is a commercial document for your records. It is not a fapiao and cannot be used as one."),
        ]
        self._ink(FAINT, 9)
        for note in notes:
            if note:
                self._block(MARGIN, WIDTH, str(note), 5)

    def _ink(self, color: tuple[int, int, int], size: float) -> None:
        self._font(size)
        self.set_text_color(color)

    def _font(self, size: float) -> None:
        """Say the font anew: after characters of the other one the page would go on in a size of its own."""
        self.font_family = ""
        self.set_font("rest", size=size)
