"""What a new password must withstand: a guesser who knows the common ones, words, dates and the person's address."""

import string
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from zxcvbn import zxcvbn

LEAST_SCORE = 3
"""zxcvbn's scale: 3 withstands 10^8 guesses, 2 does not. See github.com/dwolfhub/zxcvbn-python ."""
LEAST_CORE_SCORE = 2
"""What is left without the digits and marks around it: a season with a year and two marks is tried early."""
DRESS = string.digits + string.punctuation + " "
MOST_LOOKED_AT = 72
"""Characters; the time that the estimate takes grows fast with them."""


class NotGuessable:
    """A Django password validator: no common password, also not one dressed up with a year and a mark."""

    def validate(self, password: str, user: Any = None) -> None:
        known = [part for text in (getattr(user, "email", ""), getattr(user, "name", "")) for part in _parts(text)]
        whole, core = password[:MOST_LOOKED_AT], password[:MOST_LOOKED_AT].strip(DRESS)
        if _score(whole, known) < LEAST_SCORE or (core != whole and _score(core, known) < LEAST_CORE_SCORE):
            raise ValidationError(
                _("This password is easy to guess. Several words that do not belong together make a good one."),
                code="password_too_guessable",
            )

    def get_help_text(self) -> str:
        return _("Not one that is easy to guess, such as a word with a year.")


def _score(text: str, known: list[str]) -> int:
    return int(zxcvbn(text, user_inputs=[*known, "chuizi"])["score"]) if text else 0


def _parts(text: str) -> list[str]:
    return [text, *text.replace("@", " ").replace(".", " ").split()] if text else []
