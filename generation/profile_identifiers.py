"""Columns and cells that would tell who a client is (pure).

The list follows the direct identifiers of the HIPAA safe harbour rule (45 CFR 164.514(b)(2)) with
the German, French and Spanish column names of common exports. It catches mistakes; it does not
make a file anonymous, which stays the duty of the group that exports it.
"""

from __future__ import annotations

import re

_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-Z])")
_WORD = re.compile(r"[^\W\d_]+|\d+")

# Patterns over the words of a header in small letters, joined by single spaces.
_HEADERS: tuple[tuple[str, str], ...] = (
    (
        "a name",
        r"(?:.+ )?(?:first|last|given|family|full|middle|maiden|nick|user|sur|fore|pre|birth)"
        r" ?names?(?: .+)?|(?:.+ )?(?:surname|forename|vorname|nachname|zuname|familienname"
        r"|geburtsname|rufname|pr[eé]nom|apellidos?|initials|initialen)(?: .+)?"
        r"|nom(?: de famille)?|nombre"
        r"|(?!(?:.* )?(?:medication|drug|medicine|brand|test|scale|study|pet|item) )(?:.+ )?names?"
        r"|names? (?:of )?(?:the |my )?(?:client|patient|partner|mother|father|child|spouse"
        r"|doctor|gp|therapist|employer|person|contact|relative)s?",
    ),
    (
        "an e-mail address",
        r"(?:.+ )?(?:e ?mail|mail|courriel|correo)(?: (?:address(?:e|es)?|adresse|electr[oó]nico))?"
        r"(?: \d+)?",
    ),
    (
        "a phone number",
        r"(?:.+ )?(?:tele)?(?:phone|fon|fax)(?:nummer)?(?: (?:no|nr|num|number|nummer|\d+))?"
        r"|(?:.+ )?(?:t[eé]l[eé]phone|tel[eé]fono|mobile?|cell(?:phone)?|handy|handynummer|tel)"
        r"(?: (?:no|nr|num|number|nummer|phone|\d+))?",
    ),
    (
        "an address",
        r"(?:.+ )?(?:address|adresse|anschrift|direcci[oó]n|street|stra(?:ss|ß)e|hausnummer"
        r"|wohnadresse|postcode|postal code|post code|zip|zip code|plz|postleitzahl|house number)"
        r"(?: (?:line|\d+|name|no|nr|number))*",
    ),
    (
        "a full birth date",
        r"dob|(?:.+ )?(?:date of birth|birth ?date|birth ?day|date naissance|date de naissance"
        r"|geburts ?datum|geburts ?tag|geb datum|gebdatum|fecha de nacimiento)",
    ),
    (
        "an insurance or identity number",
        r"(?:.+ )?(?:insurance|social security|nhs|medicare|medicaid|medical record|identity"
        r"|identity card|id card|bank account|tax|steuer|versicherung|versicherungs|versicherten"
        r"|krankenkassen|ausweis) (?:no|nr|num|number|nummer|id|code)(?: \d+)?"
        r"|(?:.+ )?(?:ssn|mrn|iban|national id|passport|social security|driving licence"
        r"|drivers? license)(?: (?:no|nr|num|number|nummer|id|code))?"
        r"|(?:.+ )?(?:versicherten|versicherungs|krankenversicherungs|sozialversicherungs"
        r"|ausweis|reisepass|patienten|steuer)nummer",
    ),
    ("a network address or web page", r"ip|ip address|(?:.+ )?(?:url|website|homepage)"),
)
_HEADER_RULES = tuple((kind, re.compile(rf"(?:{pattern})")) for kind, pattern in _HEADERS)

_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_YEAR = r"(?:1[89]|20)\d\d"
_MONTH_NAME = r"(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|okt|oct|nov|dec|dez)[a-zä]{0,6}\.?"
_FULL_DATE = re.compile(
    rf"(?<!\d)(?:{_YEAR}([-/.]){_MONTH}\1{_DAY}"
    rf"|{_DAY}([-/.]) ?{_MONTH}\2 ?(?:{_YEAR}|\d\d)"
    rf"|{_MONTH}([-/.]){_DAY}\3(?:{_YEAR}|\d\d)"
    rf"|{_DAY}(?:st|nd|rd|th)?\.? ?{_MONTH_NAME},? ?{_YEAR}"
    rf"|{_MONTH_NAME} ?{_DAY}(?:st|nd|rd|th)?,? {_YEAR})(?!\d)",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[^\s@<>()\[\],;:]+\s?@\s?[^\s@]+\.[^\W\d_]{2,}")
_PHONE = re.compile(
    r"(?<![\w.])(?!0[.,]\d+(?![\w./-]))(?:\+|00[1-9]|\(?0)\d?(?:[\s()/.-]{0,2}\d){6,14}(?!\w)"
    r"|(?<![\w-])(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4}(?![\w-])"
)
_SOCIAL_SECURITY = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
_GERMAN_INSURED = re.compile(r"\b[A-Z]\d{9}\b")


def words(header: str) -> str:
    """A header as small words: `DateOfBirth`, `date_of_birth` and `Date of birth` are the same."""
    return " ".join(_WORD.findall(_CAMEL.sub(" ", header).casefold().replace("ß", "ss")))


def identifying_header(header: str) -> str | None:
    """What a column of this name would hold (`a name`), None when it looks harmless."""
    plain = words(header)
    return next((kind for kind, rule in _HEADER_RULES if rule.fullmatch(plain)), None)


def identifying_cell(text: str) -> str | None:
    """What identifies a person in this text (`an e-mail address`), None when nothing is seen."""
    if _EMAIL.search(text):
        return "an e-mail address"
    if is_full_date(text):
        return "a full date"
    if _SOCIAL_SECURITY.search(text) or _GERMAN_INSURED.search(text):
        return "an insurance or identity number"
    if _PHONE.search(text):
        return "a phone number"
    return None


def is_full_date(text: str) -> bool:
    """True when the text holds a day, month and year together."""
    return _FULL_DATE.search(text) is not None


_CLINICAL_WORD = re.compile(
    r"(?:diagnos|comorbid|disorder|depressi|anxi|affective|remission|psychopatholog)\w*"
    r"|dsm|icd|skid|scid|mdd|gad|phq|bdi|hamd|hdrs|ham|hama|stai|panas|ctq|scl|gaf|cgi|madrs"
    r"|severity|subscales?|recurrent|episodes?"
)
_CLINICAL_HEADER = re.compile(
    r"(?:(?:study|patient|client|clinical|diagnostic) )?(?:group|case|cohort|arm)"
    r"|(?:(?:medical|psychiatric|mental|clinical) )?conditions?"
    r"|(?:.+ )?(?:scores?|totals?|sum)"
)


def is_clinical(header: str) -> bool:
    """True for a free column that tells a diagnosis or a test result (`dsm_code`, `bdi_total`)."""
    plain = words(header)
    if _CLINICAL_HEADER.fullmatch(plain):
        return True
    return any(_CLINICAL_WORD.fullmatch(word) for word in plain.split())
