"""English phrases behind the dialogue findings, as data. Pure.

Sought in ``utterances.plain`` text, sentence by sentence. Triage lists: they are short on purpose,
miss much, and never replace a person's reading.
"""

import re
from typing import Final

RISK_DIRECT: Final = re.compile(
    r"\bkill(?:ing|ed)? myself\b|\bsuicid(?:e|al)\b"
    r"|\bend(?:ing)? (?:my (?:own )?life|it all|(?:things|everything) for good)\b"
    r"|\btak(?:e|ing) my (?:own )?life\b(?! (?:back|seriously|in|one|day)\b)"
    r"|\b(?:want|wanted|wanting|like|rather|wish i could|ready|hope"
    r"|hoping) (?:just )?(?:to )?die\b(?! (?:of|from|laughing)\b)"
    r"|\b(?:wish|wished) (?:that )?i (?:was|were|'d been|had been) (?:dead|never born)\b"
    r"|\bbetter off (?:if i (?:was|were) )?dead\b"
    r"|\b(?:hurt|hurting|harm|harming) myself\b|\bself-?harm(?:ing|ed)?\b"
    r"|\bcut(?:ting)? myself(?! (?:off|some|shaving|while|when|on|a|from|short|loose|in)\b)"
    r"|\b(?:take|took|taking|swallow|swallowed) an overdose\b|\boverdos(?:e|ed|ing) on\b"
    r"|\b(?:don't|do not|didn't|did not|no longer) (?:really )?(?:want|wish) to (?:live|be alive"
    r"|exist|wake up)\b"
    r"|\bno reason to (?:live|go on living|be alive)\b|\bthoughts? (?:of|about) (?:death|dying)\b"
    r"|\b(?:jump(?:ing)?|step(?:ping)?) (?:off|in front of) (?:a|the) (?:bridge|roof|train"
    r"|platform|lorry|truck)\b"
)
RISK_INDIRECT: Final = re.compile(
    r"\bbetter off without me\b"
    r"|\b(?:better|easier|simpler|happier)\b[^.!?]{0,40}\b"
    r"(?:without me|if i (?:was|were) (?:gone|not (?:there|here|around))"
    r"|if i (?:wasn't|weren't) (?:there|here|around|in the picture|in the way|in their lives?))\b"
    r"|\b(?:without me|if i (?:was|were) gone),? (?:they|everyone|everybody|it|things)(?:'d"
    r"| would)(?: all)? be "
    r"(?:better|easier|simpler|happier)\b"
    r"|\b(?:not|won't|wouldn't) be around (?:any ?more|much longer|for (?:much|long|that|it)\b)"
    r"|\b(?:not|won't|wouldn't|might not|may not) be (?:here|around|there)(?: any ?more"
    r"| much longer)?(?=\s{0,2}[.!?…]|$)"
    r"|\b(?:go|going|fall|falling) (?:to sleep|asleep) and (?:not|never) wak(?:e|ing) up\b"
    r"|\b(?:never|not) (?:have to )?wake up (?:again|any ?more|in the morning)\b"
    r"|\b(?:can't|cannot|can not|couldn't) (?:go on|do this any ?more|take (?:it|this"
    r"|living) any ?more)\b"
    r"|\b(?:no|any|what's the|what is the) point (?:in |of )?(?:going on|living|being (?:here"
    r"|alive)|carrying on)\b"
    r"|\btired of (?:living|being alive|life|existing)\b"
    r"|\b(?:want|wish i could|rather|like) (?:to )?(?:just )?disappear(?: for good"
    r"| forever)?(?=\s{0,2}[.,!?…]|$)"
    r"|\b(?:nobody|no one) would (?:even )?(?:miss me|notice (?:if )?i(?:'m| am| was| were) gone)\b"
    r"|\b(?:giving|gave|given|give) (?:away )?(?:all )?my (?:things|stuff|belongings) away\b"
    r"|\bgiv(?:ing|en) away (?:all )?my (?:things|stuff|belongings)\b"
    r"|\bsaying goodbye to (?:everyone|everybody|them all)\b"
    r"|\b(?:saved|saving|hoarding|collected|collecting) (?:up )?(?:my |the |all )?(?:pills"
    r"|tablets)\b"
)
# "I would never hurt myself": something denied just before the words of the cue.
DENIED: Final = re.compile(
    r"\b(?:never|not(?! sure\b)|don't(?! know\b)|didn't|wouldn't|haven't|won't|no(?! one\b)|isn't"
    r"|wasn't|nothing|without|aren't)"
    r"(?: [\w'-]{1,20}){0,4} ?$"
)
# What counts as following up: asked in so many words, or a step to keep the client safe.
RISK_QUESTION: Final = re.compile(
    r"\bsuicid|\bkill(?:ing)? yourself\b|\b(?:end|ending|take|taking) (?:your (?:own )?life"
    r"|it all)\b"
    r"|\b(?:hurt|hurting|harm|harming) yourself\b|\bself-?harm|\b(?:dying|death)\b|\bto die\b"
    r"|\bdead\b"
    r"|\bnot (?:wanting|want) to (?:be alive|live|be here|wake up)\b"
    r"|\b(?:want|wanting|wanted) to (?:be alive|live)\b|\bno longer (?:be|being) alive\b"
    r"|\bnot being (?:here|alive|around)\b|\b(?:are|feel|feeling|keep|keeping) (?:you "
    r"|yourself )?safe\b"
)
RISK_STEP: Final = re.compile(
    r"\bsafety plan\b|\bcrisis (?:line|team|service|number|plan|resources?)\b|\bhelp ?line\b"
    r"|\bhotline\b"
    r"|\blifeline\b|\bsamaritans\b|\bemergency (?:services?|room|department|number)\b"
    r"|\b(?:call|dial|ring) (?:988|911|999|112|116 ?123)\b|\b(?:keep"
    r"|make sure) (?:that )?you(?:'re| are)? safe\b"
)

_DRUG = (
    r"(?:medications?|medicines?|meds|antidepressants?|anti-depressants?|ssris?|snris?|benzos?"
    r"|benzodiazepines?|tablets?|pills?|dos(?:e|es|age)|prescriptions?|milligrams?|\d{1,4} ?mg"
    r"|sertraline|fluoxetine|citalopram|escitalopram|paroxetine|venlafaxine|duloxetine|mirtazapine"
    r"|bupropion|trazodone|amitriptyline|quetiapine|lithium|lorazepam|diazepam|alprazolam|xanax"
    r"|prozac|zoloft|lexapro|melatonin|propranolol|pregabalin|zopiclone|sleeping (?:pill|tablet)s?)"
)
DRUG: Final = re.compile(rf"\b{_DRUG}\b")
DRUG_ADVICE: Final = re.compile(
    r"\b(?:you (?:should|could|can|might|may|ought to|need to|must|don't need to|don't have to)"
    r"|i(?:'d| would)? (?:suggest|recommend|advise|prescribe|propose)|try (?:taking|adding|cutting"
    r"|halving|leaving)"
    r"|why not|how about|what about|it(?:'s| is) (?:fine|ok|okay|safe|best|better) to|let's"
    r"|(?:stop|start|increase|raise|double|reduce|lower|halve|skip|cut down|cut back|leave out|drop"
    r"|come off|taper|switch to|go back (?:on|to)|leave off) (?:taking |on |off )?(?:your|the|that"
    r"|those|it|with))\b"
)
# Sending someone to the person who prescribes is what a therapist should do.
PRESCRIBER: Final = re.compile(
    r"\b(?:doctor|gp|physician|psychiatrist|prescriber|pharmacist|nurse)\b|\bwho prescribe"
)

_DISORDER = (
    r"(?:(?:major |clinical |severe |moderate |mild |recurrent )*(?:depression"
    r"|depressive (?:disorder|episode))"
    r"|(?:an? )?(?:generali[sz]ed |social )?anxiety disorder|bipolar(?: disorder)?|ptsd|ocd|adhd"
    r"|panic disorder|(?:an? )?(?:borderline )?personality disorder|post-traumatic stress disorder)"
)
DIAGNOSIS: Final = re.compile(
    rf"(?<!do )(?<!when )(?<!if )(?<!that )\byou (?:have|'ve got|have got|suffer from"
    rf"|are suffering from|clearly have"
    rf"|probably have|likely have|might have|may have) {_DISORDER}\b"
    r"|\bi(?:'d| would| can| will|'ll)? diagnos(?:e|ed) you\b|\b(?:my|your|the) diagnosis (?:is|of"
    r"|would be)\b"
    r"|\byou meet (?:the |all the )?criteria\b"
    rf"|\b(?:this|that|it) (?:is|sounds like"
    rf"|looks like) (?:a (?:clear )?case of )?(?:an? )?{_DISORDER}\b"
    r"|\byou(?:'re| are) (?:clinically depressed|bipolar|manic|psychotic|borderline)\b"
)

FAREWELL: Final = re.compile(
    r"\b(?:good ?bye|bye|take care|see you|next (?:session|week|time|appointment|monday|tuesday"
    r"|wednesday|thursday|friday)|until (?:then|next)"
    r"|thank you|thanks|have a good|look forward|looking forward|same time|wrap up|end (?:here"
    r"|for today)"
    r"|leave it there|stop (?:here|there)|for today|our time)\b"
)
SENTENCE: Final = re.compile(r"[^.!?…\n]{1,2000}[.!?…]{0,8}")
