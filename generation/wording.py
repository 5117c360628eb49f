"""English words and phrases that the checks look for, as data. Pure.

Every pattern is of bounded reach (no open-ended repeats side by side), so a search is linear in
the text. Phrases are sought in ``utterances.plain`` text: lower case, straight apostrophes.
"""

import re
from typing import Final

from generation.utterances import CLIENT, THERAPIST, Role

# --- roles -------------------------------------------------------------------------------------
_LABELS: Final[dict[Role, str]] = {
    THERAPIST: r"therapist|counsell?or|psychologist|psychotherapist|assistant",
    CLIENT: r"client|patient|user|human",
}
_AFTER_LABEL = r"(?:[ \t]{0,3}\([^()\n]{0,40}\))?[\])*_]{0,4}[ \t]{0,3}[:：]"


def _label(names: str) -> re.Pattern[str]:
    """A label at the start of a line (any case), or capitalised after the end of a sentence."""
    inline = "|".join(
        f"{n[0].upper()}{n[1:]}|{n.upper()}" for n in names.replace("l?", "l").split("|")
    )
    return re.compile(
        rf"^[ \t>#*_\[(\-]{{0,6}}(?i:{names}){_AFTER_LABEL}"
        rf"|(?<=[.!?…\"”’)\]*])[ \t]{{1,2}}[*_\[(]{{0,4}}(?:{inline}){_AFTER_LABEL}",
        re.MULTILINE,
    )


ROLE_LABELS: Final[dict[Role, re.Pattern[str]]] = {
    role: _label(names) for role, names in _LABELS.items()
}

# --- refusals and stepping out of the role -----------------------------------------------------
_MACHINE = (
    r"(?:ai|artificial intelligence|large language model|language model|chatbot|virtual assistant"
    r"|digital assistant|computer program)"
    r"(?: (?:language )?(?:model|assistant|chatbot|system|program))?"
)
_REQUEST = r"(?:this|that|your|the|such an?)(?: kind of| type of| specific)? request"
AI_DISCLOSURE: Final = re.compile(
    rf"\bas (?:just |only )?an? {_MACHINE}(?=[,.;:!]| i\b| my\b|$)"
    rf"|\bi(?: am|'m) (?:just |only |actually |simply )?an? {_MACHINE}"
    r"(?=[,.;:!?]|$| (?:and|so|but|who|that|trained|created|developed|designed|without|here)\b)"
    r"|\bi was (?:trained|created|developed) by (?:openai|anthropic|google|meta|mistral|alibaba)\b"
)
_CANNOT = (
    r"\bi(?: can't| cannot| can not|'m unable to| am unable to|'m not able to| am not able to"
    r"| won't)"
)
REFUSAL: Final = re.compile(
    rf"{_CANNOT} (?:assist|help)(?: you)?(?: further)? with {_REQUEST}"
    rf"|{_CANNOT} assist (?:you )?with (?:this|that)\b"
    rf"|\bsorry, (?:but )?{_CANNOT} help (?:you )?with (?:this|that)(?=[.,;!]|$)"
    rf"|{_CANNOT} (?:fulfil|fulfill|comply with|respond to|answer|process|complete) {_REQUEST}"
    rf"|{_CANNOT} (?:role-?play|pretend to be|act as a|take on the role|play the role)"
    rf"|{_CANNOT} (?:continue|engage in|participate in|take part in) (?:this|the|that|such a?) ?"
    r"(?:role-?play|scenario|simulation|fiction)"
    rf"|{_CANNOT} (?:create|generate|produce|write|provide) (?:this|that|such|any|the requested)? ?"
    r"(?:kind of |type of )?(?:content|dialogue|script|responses?|material)\b"
    r"|\b(?:violates?|against|goes against) (?:my|our|the) (?:content )?"
    r"(?:polic(?:y|ies)|guidelines|programming)\b"
)

# --- text that was meant to be filled in -------------------------------------------------------
_WHEN = r"(?:date|time|day|city|place|location|phone|number|address|topic|activity|place)"
PLACEHOLDER: Final = re.compile(
    r"\[\s{0,3}(?:"
    r"(?:insert|your|preferred|specific|fill|enter|describe|e\.g\.?|for example|name|relevant)\b"
    r"[^\[\]\n]{0,80}"
    rf"|{_WHEN}(?:\s{{0,2}}(?:/|\b(?:and|or|of|for|here)\b)[^\[\]\n]{{0,80}})?"
    r"|(?:client|patient|therapist|counsell?or|doctor)(?:'s|s')? (?:first |last |full |sur)?name"
    r"|x{2,9})\s{0,3}\]"
    r"|\(insert [^()\n]{1,80}\)"
    r"|\{{1,2}[ \t]{0,2}[a-z_][a-z0-9_ .']{0,40}\}{1,2}|\$\{[a-z_][a-z0-9_.]{0,40}\}"
    rf"|<(?:insert|your|name|{_WHEN}|(?:client|patient|therapist)[_ ']{{0,2}}s?[_ ]?name)"
    r"(?:[ _][^<>\n]{0,40})?>"
    r"|(?<!_)_{4}|\bxx/xx(?:/xx)?",
    re.IGNORECASE,
)

# --- markup and chat-template tokens -----------------------------------------------------------
MARKUP: Final = re.compile(
    r"<[|｜][^\s<>]{1,60}[|｜]>|</?s>|</?think(?:ing)?>|<(?:start|end)_of_turn>"
    r"|<(?:bos|eos|pad|unk|mask)>|\[/?INST\]|<</?SYS>>|```"
    r"|^[ \t]{0,3}#{1,6} (?:instruction|response|input|output|system|user|assistant)"
    r"|</?(?:br|p|div|span|b|i|em|strong|ul|ol|li|h[1-6]|html|body|script|style|a|img)"
    r"(?:[ /][^<>\n]{0,200})?>",
    re.IGNORECASE | re.MULTILINE,
)
STAGE_DIRECTION: Final = re.compile(
    r"\*[^*\n]{1,300}\*|\([^()\n]{1,300}\)|\[[^\[\]\n]{1,300}\]|_[^_\n]{1,300}_"
)

# --- questionnaires ----------------------------------------------------------------------------
QUESTIONNAIRE_NAME: Final = re.compile(
    r"\b(?:(?i:PHQ[-_ ]?[2489]?|GAD[-_ ]7|GAD7|BDI(?:[-_ ]?II|[-_ ]?2)?|MADRS|PSWQ|PANAS)"
    r"|HAM[-_][AD]|HAMD|HAMA|HDRS|HRSD|STAI|BAI|CTQ|CORE-10|SCL-90(?:-R)?|DASS(?:-21)?)\b"
    r"|\b(?i:beck (?:depression|anxiety) inventory|patient health questionnaire"
    r"|generali[sz]ed anxiety disorder (?:scale|questionnaire|7|seven)"
    r"|hamilton (?:depression |anxiety )?(?:rating )?scale)\b"
)
ITEM_CODE: Final = re.compile(
    r"\b(?:(?:phq|gad|ham[ad]|bai|madrs|pswq|core)[-_]?\d{0,2}_\d{1,2}|bdi_?[a-z0-9]{0,3}_[a-z0-9]{1,10})\b",
    re.IGNORECASE,
)
DIAGNOSIS_CODE: Final = re.compile(
    r"\bF[0-9]{2}\.[0-9]{1,2}\b|\bDSM-?(?:III|IV|V|5)\b|\bICD-?1[01]\b"
)
SCORE: Final = re.compile(
    r"\byou (?:have |had |also )?scored (?:an? |of |at )?\d{1,2}\b"
    r"|\byour (?:total |overall |depression |anxiety |current ){0,2}score"
    r" (?:is|was|of|came to) (?:an? )?\d{1,2}\b"
)

# --- scripts -----------------------------------------------------------------------------------
_LATIN = "A-Za-zªºÀ-ʯʰ-˿ᴀ-ᶿḀ-ỿⁱⁿₐ-ₜK-ÅⱠ-Ɀ꜠-ꟿꬰ-꭯ﬀ-ﬆ"
FOREIGN_LETTER: Final = re.compile(rf"[^\W\d_{_LATIN}]")
EAST_ASIAN: Final = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3031-\u3035\u3040-\u30ff\u3100-\u318f\u31a0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff21-\uff3a\uff41-\uff5a"
    "\uff66-\uffdc\U00020000-\U0003ffff]"
)
UNREADABLE: Final = re.compile("[\x00\ud800-\udfff]")
LONG_RUN: Final = re.compile(r"(\S)\1{39}")
SENTENCE_END: Final = re.compile(r"[.!?…\n]+")
