"""Replaces e-mail addresses, IBANs, payment cards and phone numbers by placeholders such as [EMAIL_1].

Patterns and check digits only: names and postal addresses stay. The same value gets the same placeholder within a text.
With the extra `hookmill[pii]`, also the numbers by which countries know people, as [ID_1].
Time is linear in the length of the text, whatever it holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from phonenumbers import Leniency, PhoneNumberMatcher

from actors.pipelines.numbers import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

REGIONS = ("US", "GB")
"""Whose national numbers are recognised; international ones (+49 ...) always are."""

# RFC 5321 section 4.5.3.1 bounds the local part to 64 and a label to 63 characters; the bounds keep matching linear.
EMAIL = re.compile(r"[\w.+%-][\w.+%'-]{0,63}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")
IBAN = re.compile(r"(?<![A-Za-z0-9])(?=([A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}))", re.ASCII)
CARD = re.compile(r"(?<!\d)(?=(\d{2,19}(?:[ .\u00a0-]\d{2,19}){0,7}))", re.ASCII)

COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA24 VG24 XK20"
)
"""Countries and the length of their IBANs: the IBAN registry, https://www.swift.com/standards/data-standards/iban-international-bank-account-number."""

IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in COUNTRIES.split()}

BRANDS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[68]\d)\d{11}"  # Diners Club
    r"|(?:6\d{3}|35\d\d)\d{12}"  # Discover, UnionPay, JCB
    r"|(?:5[06-9]|6\d)\d{10,17}",  # Maestro
    re.ASCII,
)
PLACEHOLDER = re.compile(r"\[(?:EMAIL|IBAN|CARD|ID|PHONE)_\d{1,6}\]")
DOUBLED = {str(digit): sum(divmod(2 * digit, 10)) for digit in range(10)}

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """A text without what was found, and how many of each kind were replaced (kinds with none are left out)."""

    text: str
    counts: dict[str, int] = field(default_factory=dict)
    originals: dict[str, str] = field(default_factory=dict, repr=False)

    def restore(self, text: str) -> str:
        """Put the originals back into a text with such placeholders, if they were kept."""
        return PLACEHOLDER.sub(lambda found: self.originals.get(found[0], found[0]), text)


def redact(text: str, countries: Sequence[str] = ()) -> Redacted:
    """Replace personal data for good; kinds in the counts: email, iban, card, id, phone.

    `countries` (`us`, `de`, ...) are those whose identity, social security and tax numbers are looked for, which needs
    the extra `hookmill[pii]`. Raises Failure where it is missing, or knows none of a country.
    """
    return replace(pseudonymise(text, countries), originals={})


def pseudonymise(text: str, countries: Sequence[str] = ()) -> Redacted:
    """Do the same, and keep the originals by their placeholders: give a model the text, and nothing else."""
    counts: dict[str, int] = {}
    originals: dict[str, str] = {}
    ids = partial(numbers, countries=countries) if countries else _none
    for kind, find in (("email", emails), ("iban", ibans), ("card", cards), ("id", ids), ("phone", phones)):
        text, count, found = _replace(text, find(text), kind.upper())
        if count:
            counts[kind] = count
        originals |= found
    return Redacted(text=text, counts=counts, originals=originals)


def emails(text: str) -> Iterator[Span]:
    """Find e-mail addresses."""
    return (match.span() for match in EMAIL.finditer(text)) if "@" in text else iter(())


def ibans(text: str) -> Iterator[Span]:
    """Find IBANs whose country, length and check digits (ISO 7064 mod 97) are right, grouped or not."""
    for match in IBAN.finditer(text):
        length = IBAN_LENGTHS.get(match[1][:2].upper(), 0)
        end = _end(match[1], length)
        if end and not match[1][end : end + 1].isalnum() and mod97(_bare(match[1][:end])):
            yield match.start(), match.start() + end


def cards(text: str) -> Iterator[Span]:
    """Find payment card numbers of a known brand whose check digit (Luhn) is right, grouped or not."""
    for match in CARD.finditer(text):
        ends = [at for at in range(len(match[1]), 12, -1) if not match[1][at : at + 1].isdigit()]
        found = (end for end in ends if match[1][end - 1].isdigit() and _is_card(_bare(match[1][:end])))
        if end := next(found, 0):
            yield match.start(), match.start() + end


def phones(text: str) -> Iterator[Span]:
    """Find phone numbers that exist by their country's numbering plan; bare digits without + or a separator are not."""
    for region in REGIONS:
        for match in PhoneNumberMatcher(text, region, Leniency.VALID, max_tries=len(text) + 1):
            if not match.raw_string.isdigit() or match.raw_string.startswith("00"):
                yield match.start, match.end


def luhn(digits: str) -> bool:
    """Check the last digit of a card number (ISO/IEC 7812-1)."""
    return (sum(map(int, digits[::-2])) + sum(DOUBLED[digit] for digit in digits[-2::-2])) % 10 == 0


def mod97(iban: str) -> bool:
    """Check the check digits of an IBAN without separators (ISO 13616)."""
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def _none(text: str) -> Iterator[Span]:  # noqa: ARG001 - a finder that is not asked for
    return iter(())


def _is_card(digits: str) -> bool:
    return BRANDS.fullmatch(digits) is not None and luhn(digits)


def _bare(text: str) -> str:
    return "".join(char for char in text if char.isalnum())


def _end(text: str, length: int) -> int:
    """Give where the first `length` letters and digits end; 0 where there are fewer."""
    seen = [at for at, char in enumerate(text, 1) if char.isalnum()]
    return seen[length - 1] if 0 < length <= len(seen) else 0


def _replace(text: str, spans: Iterator[Span], name: str) -> tuple[str, int, dict[str, str]]:
    """Give the text with placeholders, how many there are, and the first of what each stands for."""
    numbers: dict[str, int] = {}
    originals: dict[str, str] = {}
    pieces, done, count = [], 0, 0
    for start, end in sorted(spans):
        if start < done:
            continue
        number = numbers.setdefault(_bare(text[start:end]).lower(), len(numbers) + 1)
        originals.setdefault(f"[{name}_{number}]", text[start:end])
        pieces += [text[done:start], f"[{name}_{number}]"]
        done, count = end, count + 1
    return "".join([*pieces, text[done:]]), count, originals
