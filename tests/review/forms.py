"""A trial instrument with every kind of item, and a study of one dialogue that uses it."""

from review.actions import add_instrument
from review.models import Study
from sqpsych_site.models import User
from tests.factories import make_dialogue, make_study

TRIAL = "trial"
TOML = """
key = "trial"
version = "1"
title = { en = "Trial" }
licence = "Apache-2.0"
attribution = "Written for the tests."
source = "SQPsych project"

[[sections]]
key = "whole"
title = { en = "The whole dialogue" }

[[sections.items]]
key = "half"
type = "scale"
label = { en = "Half marks" }
min = 0
max = 6
step = 0.5
allow_na = true
allow_not_sure = true
requires_evidence = true

[[sections.items]]
key = "risk"
type = "yes_no"
label = { en = "Was there a risk?" }

[[sections.items]]
key = "how_bad"
type = "scale"
label = { en = "How bad was it?" }
min = 1
max = 3
show_if = { item = "risk", in = ["yes"] }

[[sections.items]]
key = "approach"
type = "choice"
label = { en = "Which approach?" }
options = [
  { value = "cbt", label = { en = "CBT" } },
  { value = "other", label = { en = "Another" } },
]

[[sections.items]]
key = "reasons"
type = "multiple"
label = { en = "Which reasons?" }
options = [
  { value = "tone", label = { en = "Tone" } },
  { value = "harm", label = { en = "Harm" } },
  { value = "none", label = { en = "None" }, exclusive = true },
]

[[sections.items]]
key = "words"
type = "text"
label = { en = "In your words" }
required = false
max_length = 200

[[sections]]
key = "turns"
title = { en = "Turn by turn" }

[[sections.items]]
key = "warm"
type = "scale"
level = "turn"
label = { en = "Was it warm?" }
min = 0
max = 1
requires_evidence = ["1"]

[[sections.items]]
key = "cold"
type = "scale"
level = "turn"
label = { en = "Was it cold?" }
min = 0
max = 1
show_if = { item = "warm", in = ["0"] }
"""


def trial_study(rater: User) -> Study:
    """A study of one dialogue of three turns with the trial instrument."""
    row = add_instrument(text=TOML, origin="trial.toml", by=None)
    return make_study([rater], [make_dialogue(["One.", "Two.", "Three."])], instruments=[row])
