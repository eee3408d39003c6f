"""What is personal data by pattern and check digit goes; what only looks like it stays; nothing takes long."""

from __future__ import annotations

import time

import pytest

from actors.pipelines.redact import luhn, mod97, pseudonymise, redact

FOUND = [
    ("write to ann.lee+x@mail.example.co.uk.", "write to [EMAIL_1].", {"email": 1}),
    ("o'brien@example.com, jürgen@bücher.example", "[EMAIL_1], [EMAIL_2]", {"email": 2}),
    ("a@b.io or A@B.io or c@b.io", "[EMAIL_1] or [EMAIL_1] or [EMAIL_2]", {"email": 3}),
    ("IBAN DE89 3704 0044 0532 0130 00 PLEASE", "IBAN [IBAN_1] PLEASE", {"iban": 1}),
    ("gb82west12345698765432", "[IBAN_1]", {"iban": 1}),
    ("NO93-8601-1117-947", "[IBAN_1]", {"iban": 1}),
    ("AB12 then DE89370400440532013000", "AB12 then [IBAN_1]", {"iban": 1}),
    ("card 4111 1111 1111 1111 12/27 cvv 123", "card [CARD_1] 12/27 cvv 123", {"card": 1}),
    ("5555-5555-5555-4444 378282246310005", "[CARD_1] [CARD_2]", {"card": 2}),
    ("3056 930902 5904; 6011.1111.1111.1117", "[CARD_1]; [CARD_2]", {"card": 2}),
    ("call +49 30 901820 or (202) 555-0123", "call [PHONE_1] or [PHONE_2]", {"phone": 2}),
    ("tel 020 7946 0958, 0049 30 901820", "tel [PHONE_1], [PHONE_2]", {"phone": 2}),
    (
        "a@b.io 4111111111111111 DE89370400440532013000 +1 202-555-0123",
        "[EMAIL_1] [CARD_1] [IBAN_1] [PHONE_1]",
        {"email": 1, "iban": 1, "card": 1, "phone": 1},
    ),
]
INNOCENT = [
    "",
    "no personal data here",
    "@mention and user@localhost and a @ b.io",
    "card 4111 1111 1111 1112",  # Luhn
    "1234 5678 9012 3452",  # Luhn holds, no brand
    "order 41111111111111111",  # too long for what it starts with
    "DE88 3704 0044 0532 0130 00",  # mod 97
    "DE8937040044053201300",  # too short
    "ZZ89370400440532013000",  # no such country
    "XDE89370400440532013000",  # within a word
    "on 2024-01-02 12:00:00 at 192.168.100.200, v1.2.3",
    "order 2025550123 and ticket 20240102",
    "3.14159265358979323846",
    "sha 4d7e1c0a9b8f7e6d5c4b3a2918070605",
    "\u0664\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661",
]


@pytest.mark.parametrize(("text", "clean", "counts"), FOUND)
def test_personal_data_is_replaced_and_counted(text, clean, counts):
    redacted = redact(text)
    assert (redacted.text, redacted.counts) == (clean, counts)


@pytest.mark.parametrize("text", INNOCENT)
def test_what_only_looks_like_it_stays(text):
    redacted = redact(text)
    assert (redacted.text, redacted.counts) == (text, {})


def test_a_redacted_text_stays_as_it_is():
    once = redact("a@b.io 4111111111111111 DE89370400440532013000 +1 202-555-0123").text
    assert redact(once).text == once


@pytest.mark.parametrize("number", ["4111111111111111", "79927398713", "378282246310005", "0"])
def test_luhn_takes_right_numbers_and_no_neighbour(number):
    assert luhn(number)
    assert not any(luhn(number[:-1] + str((int(number[-1]) + by) % 10)) for by in range(1, 10))


@pytest.mark.parametrize("iban", ["DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947"])
def test_mod97_takes_right_numbers_and_no_transposition(iban):
    assert mod97(iban)
    assert not mod97(iban[:-3] + iban[-2] + iban[-3] + iban[-1]) or iban[-2] == iban[-3]


HOSTILE = ["a", "@", "a@", "a@b.", "1", "1 ", "44 ", "4.", "DE89", "AA11 ", "+1", "(", "+", "-", "(1-1/1)", "\u0661 "]


@pytest.mark.parametrize("unit", HOSTILE)
def test_time_grows_with_the_length_only(unit):
    redact("warm up")

    def took(length):
        text = unit * (length // len(unit))
        began = time.process_time()
        redact(text)
        return time.process_time() - began

    small, large = min(took(25_000) for _ in range(2)), took(100_000)
    assert large < 12 * small + 0.2  # linear: 4; quadratic: 16
    assert large < 10


@pytest.mark.parametrize(("text", "clean", "counts"), FOUND)
def test_what_was_kept_can_be_put_back_and_is_not_shown(text, clean, counts):
    redacted = pseudonymise(text)
    assert (redacted.text, redacted.counts) == (clean, counts)
    same = len(redacted.originals) == sum(counts.values())
    assert (redacted.restore(redacted.text) == text) == same, "of one value in two spellings the first comes back"
    assert redacted.restore(f"Dear {next(iter(redacted.originals))} and [EMAIL_99]").endswith(" and [EMAIL_99]")
    assert not any(original in repr(redacted) for original in redacted.originals.values())


def test_nothing_is_kept_unless_asked_for():
    assert redact("a@b.io").originals == {}
    assert redact("a@b.io").restore("to [EMAIL_1]") == "to [EMAIL_1]"
