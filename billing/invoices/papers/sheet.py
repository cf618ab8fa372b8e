"""What every paper of ours is drawn on: an A4 page with both fonts, its head, blocks of text and tables."""

import logging
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path

from django.utils.translation import gettext as _
from fontTools.ttLib import TTFont
from fpdf import FPDF, FontFace
from fpdf.enums import TableBordersLayout, XPos, YPos

MARGIN = 18
WIDTH = 210 - 2 * MARGIN
INK, FAINT, LINE = (23, 27, 33), (104, 112, 122), (218, 222, 227)
PAGES = "{n}"
"""Becomes the number of pages; as short as that is, so that the line stands where it should."""
UNKNOWN = "\u25a1"
"""Stands for what neither font draws, such as emoji."""
JOINERS = ("\u200c", "\u200d", "\ufe0e", "\ufe0f")

logging.getLogger("fontTools.subset").setLevel(logging.WARNING)


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


def shown(text: str) -> str:
    """Text with a box for each character that no font draws."""
    covered = _covered()
    return "".join(char if char == "\n" or ord(char) in covered else UNKNOWN for char in text if char not in JOINERS)


class Sheet(FPDF):
    """An A4 page; `heading` and `number` stand at its foot, `made_at` is all it knows of time."""

    def __init__(self, *, heading: str, number: str, author: str, locale: str, made_at: datetime) -> None:
        super().__init__(format="A4")
        self.heading, self.number = heading, number
        rest, chinese = _fonts()
        self.add_font("rest", fname=rest)
        self.add_font("chinese", fname=chinese)
        self.set_fallback_fonts(["chinese"], exact_match=False)
        self.set_margins(MARGIN, MARGIN)
        self.c_margin = 0
        self.set_auto_page_break(True, margin=MARGIN + 8)
        self.set_creation_date(made_at)
        self.set_title(f"{heading} {number}")
        self.set_author(shown(author))
        self.set_lang("zh-CN" if locale.startswith("zh") else "en")
        self.alias_nb_pages(PAGES)

    def footer(self) -> None:
        self.set_y(-MARGIN)
        self.ink(FAINT, 8)
        self.cell(WIDTH / 2, 5, shown(f"{self.heading} {self.number}"))
        page = _("Page %(page)s of %(pages)s") % {"page": self.page_no(), "pages": PAGES}
        self.cell(WIDTH / 2, 5, page, align="R")

    def head(self, note: str, rows: Sequence[tuple[str, str]]) -> None:
        """The heading with a note below it, and on the right what the paper is known by."""
        top = self.get_y()
        self.ink(INK, 24)
        self.cell(WIDTH * 0.6, 11, self.heading, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ink(FAINT, 9.5)
        self.cell(WIDTH * 0.6, 6, note, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        end = self.get_y()
        self.set_y(top + 1)
        for name, value in rows:
            self.set_x(MARGIN + WIDTH * 0.55)
            self.ink(FAINT, 9)
            self.cell(WIDTH * 0.2, 6, name)
            self.ink(INK, 10)
            self.cell(WIDTH * 0.25, 6, shown(value), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.set_y(max(end, self.get_y()) + 8)

    def block(self, left: float, width: float, text: str, height: float) -> None:
        """Text from `left`, as many lines as it takes."""
        self._font(self.font_size_pt)
        self.set_x(left)
        self.multi_cell(width, height, shown(text), align="L", new_x=XPos.LEFT, new_y=YPos.NEXT)

    def rows(self, widths: Sequence[int], heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """A table whose last column is amounts."""
        self.ink(INK, 9.5)
        self.set_draw_color(LINE)
        with self.table(
            width=WIDTH,
            col_widths=tuple(widths),
            text_align=(*["LEFT"] * (len(widths) - 1), "RIGHT"),
            line_height=5,
            padding=(1.4, 0),
            headings_style=FontFace(color=FAINT),
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        ) as table:
            table.row(heads)
            for line in lines:
                table.row([shown(text) for text in line])
        self.ln(5)

    def ink(self, color: tuple[int, int, int], size: float) -> None:
        """What is written next has this color and size."""
        self._font(size)
        self.set_text_color(color)

    def _font(self, size: float) -> None:
        """Say the font anew: after characters of the other one the page would go on in a size of its own."""
        self.font_family = ""
        self.set_font("rest", size=size)
