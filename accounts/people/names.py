"""What an account is called: how its owners may name it, and how that name is told to strangers."""

import re
import unicodedata

MOST_LENGTH = 60
MOST_TOLD = 60
SPARED = frozenset("-'’&,()!?#%")
"""Marks that make no link."""
DIGITS = re.compile(r"\d(?:[ ()\-]*\d){6,}")
"""Mail clients make a link to a telephone of as many."""
NO_NAME = "-"


def tidy(name: str) -> str:
    """A name as it is kept: one line, no controls and nothing unseen, single spaces, at most `MOST_LENGTH`."""
    seen = "".join(
        " " if unicodedata.category(each)[0] in "CZ" else each for each in unicodedata.normalize("NFC", name)
    )
    return " ".join(seen.split())[:MOST_LENGTH].rstrip()


def told(name: str) -> str:
    """A name for a mail: nothing in it that a mail client would make a link of, be it an address, a domain or a number.

    Letters, digits and a few marks stay. A dot stays at the end of a word alone: "Acme Inc.", but "evil com".
    """
    plain = "".join(
        each if unicodedata.category(each)[0] in "LMN" or each in SPARED or each == "." else " "
        for each in unicodedata.normalize("NFKC", name)
    )
    plain = re.sub(r"\.(?=\w)", " ", plain)
    plain = " ".join(DIGITS.sub("…", plain).split())
    return f"{plain[: MOST_TOLD - 1].rstrip()}…" if len(plain) > MOST_TOLD else plain or NO_NAME
