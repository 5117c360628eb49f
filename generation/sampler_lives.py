"""The made-up life facts of sampled profiles: short notes that fit a person's age (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

# Each with the ages it is plausible at.
_EVENTS = (
    (18, 80, "a close friend moved to another city in spring"),
    (18, 64, "new line manager at work since four months"),
    (35, 66, "parents need more help at home than before"),
    (22, 70, "separated from a long-term partner last year"),
    (18, 58, "started a new training course and finds it demanding"),
    (18, 80, "moved flat in summer and knows few people there"),
    (18, 38, "a grandparent died in the past year"),
    (24, 64, "hours at work were cut and money is tighter"),
    (24, 45, "planning a wedding next year"),
    (18, 80, "recovering from a knee operation"),
    (18, 80, "no big changes, but a long busy year"),
    (18, 48, "a sister had a baby and the family is excited"),
    (55, 80, "a grandchild was born in autumn"),
    (60, 80, "an old friend has been ill for months"),
)
_INTERESTS = (
    "cooking for friends",
    "long walks with the dog",
    "choir on Tuesdays",
    "football with the local club",
    "reading crime novels",
    "working in the allotment",
    "playing the guitar",
    "video games online with old schoolmates",
    "sewing and repairing clothes",
    "cycling at weekends",
)
_SOCIAL = (
    "sees friends several times a week",
    "meets a friend about once a week",
    "mostly in touch by messages",
    "sees family at weekends, few friends nearby",
    "has two close friends, sees others rarely",
)
_ACTIVITY = (
    "walks to work most days",
    "hardly any exercise at the moment",
    "goes to the gym twice a week",
    "swims now and then",
    "yoga at home when there is time",
)
_SLEEP = (
    "about 7 to 8 hours, wakes rested",
    "about 6 to 7 hours, wakes once or twice",
    "about 5 to 6 hours, long time to fall asleep",
    "about 4 to 5 hours with broken nights, naps by day",
)
_JOBS = (
    "full-time nurse on a ward",
    "part-time shop assistant",
    "full-time office clerk",
    "primary school teacher",
    "self-employed graphic designer",
    "bus driver on shifts",
    "warehouse worker on early shifts",
    "software tester, mostly from home",
    "part-time carer in a home for older people",
    "looking for work since three months",
    "electrician in a small firm",
)
_STUDIES = (
    "student, psychology",
    "student, engineering",
    "apprentice cook",
    "student, part-time café job",
)
_RETIRED = ("retired teacher", "retired postal worker", "retired, helps in a charity shop")
_EDUCATION = (
    "secondary school",
    "vocational training",
    "upper secondary school",
    "university degree",
    "vocational training and evening college",
)


def demographics(rng: Random, age: int, sleep_answer: int | None) -> dict[str, str]:
    """Free columns of a person of this age; `sleep` goes with the answer to the sleep item."""
    sleep = sleep_answer if sleep_answer is not None else int(rng.random() * len(_SLEEP))
    return {
        "education": _education(rng, age),
        "work": _work(rng, age),
        "living_situation": (living := _living(rng, age)),
        "family": _family(rng, age, living),
        "social_contact": _pick(rng, _SOCIAL),
        "sleep": _SLEEP[min(sleep, len(_SLEEP) - 1)],
        "physical_activity": _pick(rng, _ACTIVITY),
        "recent_events": _pick(rng, [note for low, high, note in _EVENTS if low <= age <= high]),
        "interests": _pick(rng, _INTERESTS),
    }


def _education(rng: Random, age: int) -> str:
    drawn = _pick(rng, _EDUCATION)
    return "upper secondary school" if age < 23 and drawn.startswith("university") else drawn


def _work(rng: Random, age: int) -> str:
    if age >= 67:
        return _pick(rng, _RETIRED)
    if age < 26 and rng.random() < 0.6:
        return _pick(rng, _STUDIES)
    return _pick(rng, _JOBS)


def _living(rng: Random, age: int) -> str:
    if age < 27:
        return _pick(rng, ("with parents", "in a shared flat", "alone in a small flat"))
    if age >= 67:
        return _pick(rng, ("alone", "with spouse", "alone, daughter lives nearby"))
    return _pick(
        rng,
        (
            "alone",
            "with partner",
            "with partner and children",
            "alone with children",
            "with spouse",
        ),
    )


def _family(rng: Random, age: int, living: str) -> str:
    if "children" in living:
        if age < 42:
            return _pick(
                rng, ("one child at primary school", "two children, both at school", "a toddler")
            )
        if age < 54:
            return _pick(rng, ("two teenagers", "one teenager, one child at primary school"))
        return _pick(rng, ("a grown-up son who still lives at home", "a daughter in training"))
    if age < 27:
        return _pick(rng, ("no children, one younger brother", "no children, two older sisters"))
    if age >= 55:
        return _pick(rng, ("two grown-up children", "one grown-up daughter", "no children"))
    return _pick(
        rng, ("no children", "no children, close to a sister", "no children, parents nearby")
    )


def _pick(rng: Random, choices: Sequence[T]) -> T:
    return choices[int(rng.random() * len(choices))]
