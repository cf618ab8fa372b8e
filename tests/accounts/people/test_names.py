"""What an account is called, and how that is told to strangers."""

import pytest

from accounts.people.names import told


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Acme Inc.", "Acme Inc."),
        ("锤子 & Co., Ltd.", "锤子 & Co., Ltd."),
        ("O'Neill-Müller (EU)", "O'Neill-Müller (EU)"),
        ("win at https://evil.com/x?y=1", "win at https evil com x?y 1"),
        ("www.evil.com", "www evil com"),
        ("evil。com evil．com evil｡com evil․com", "evil com evil com evil com evil com"),
        ("eve@evil.com", "eve evil com"),
        ("<a href='//evil'>Acme</a>", "a href ' evil' Acme a"),
        ("call +1 (800) 555-0199", "call …"),
        ("one\nSubject: two\r\tthree", "one Subject two three"),
        ("a\u202eb\u200bc\x00d", "a b c d"),
        ("{sealed}", "sealed"),
        ("_/_", "-"),
        ("x" * 150, "x" * 59 + "…"),
    ],
)
def test_no_mail_client_makes_a_link_of_a_name(name, plain):
    assert told(name) == plain
