"""News of small towns with a headline each: the headline says what the first sentences say at length."""

# ruff: noqa: E501  (templates and word lists read best a line each)

from __future__ import annotations

import random
from typing import Any

from engine.training.recipes.samples.growing import grow, words

TOWNS = words(
    "Alderwick, Bramley, Corrie, Dunmarsh, Elmstow, Fenwick, Garrowby, Hartlow, Inverlee, Kettlebeck, Larkham, Netherby, "
    "Oakhanger, Pellworth, Ravensby, Thornley, Vellow, Wexcombe, Ashcote, Bellmoor"
)
NEWS: dict[str, tuple[tuple[str, str], ...]] = {
    "open": (
        ("The new {building} in {town} will open its doors [on {day}|next {day}|this {day}].", "{town} {building} opens on {day}"),
        ("After {number} years [of work|of planning|of waiting], the {building} of {town} opens on {day}.", "{town} {building} opens on {day}"),
    ),
    "close": (
        ("The {building} in {town} has been closed since {day} because of {trouble}.", "{trouble} closes {town} {building}"),
        ("Because of {trouble}, the town of {town} [had to close|closed] its {building} on {day}.", "{trouble} closes {town} {building}"),
    ),
    "found": (
        ("A {finder} [in|from] {town} found {treasure} while [digging in the garden|walking the dog|cleaning the attic].", "{finder} finds {treasure} in {town}"),
        ("[What looked like a stone|What she took for rubbish] turned out to be {treasure}: a {finder} in {town} made the find on {day}.", "{finder} finds {treasure} in {town}"),
    ),
    "animal": (
        ("{animal} [walked|strolled|ran] through the {building} of {town} on {day}[, to the surprise of everybody there|].", "{animal} visits {town} {building}"),
        ("People in the {building} of {town} were surprised on {day} when {animal} came in.", "{animal} visits {town} {building}"),
    ),
    "win": (
        ("{town} has won the {contest} for the {nth} time. Its team beat {other} on {day}.", "{town} beats {other} in {contest}"),
        ("In the {contest} on {day}, {other} lost to {town}[ by a single point|, as in the year before|].", "{town} beats {other} in {contest}"),
    ),
    "train": (
        ("From {day}, trains between {town} and {other} will run every {number} minutes.", "More trains between {town} and {other}"),
        ("The railway is adding trains on the line from {town} to {other}, beginning on {day}.", "More trains between {town} and {other}"),
    ),
    "road": (
        ("The road from {town} to {other} will be closed for {number} days [while the bridge is repaired|for repairs].", "Road from {town} to {other} closed for repairs"),
        ("Drivers between {town} and {other} must take a detour [for {number} days|until {day}], as the road is repaired.", "Road from {town} to {other} closed for repairs"),
    ),
    "vote": (
        ("The council of {town} voted on {day} to build a new {building}[, after a long debate|, with one vote against|].", "{town} votes for new {building}"),
        ("{town} is to get a new {building}: the council said yes on {day}[ after {number} hours of talk|].", "{town} votes for new {building}"),
    ),
    "storm": (
        ("A {weather} [hit|swept over|struck] {town} on {day} and damaged [the roof of|windows in] the {building}.", "{weather} damages {building} in {town}"),
        ("The {building} of {town} was damaged on {day} when a {weather} passed over the town.", "{weather} damages {building} in {town}"),
    ),
    "free": (
        ("Children [under twelve|of all ages] will no longer pay for the {building} in {town}, from {day} on.", "{town} {building} free for children"),
        ("From {day}, the {building} of {town} costs nothing for children.", "{town} {building} free for children"),
    ),
    "award": (
        ("A {finder} from {town} was given {prize} on {day} for [thirty|forty|fifty] years of service.", "{town} {finder} honoured with {prize}"),
        ("{prize} goes to a {finder} of {town} this year. It was handed over on {day}.", "{town} {finder} honoured with {prize}"),
    ),
    "festival": (
        ("The {festival} of {town} [drew|attracted] {hundreds} hundred visitors on {day}, more than ever before.", "Record crowd at {town} {festival}"),
        ("Never before had so many people come to the {festival} in {town}: {hundreds} hundred were counted on {day}.", "Record crowd at {town} {festival}"),
    ),
}  # fmt: skip
DETAILS = (
    "“[We are very pleased|It was about time|I still cannot believe it],” said [mayor|baker|teacher] {speaker}.",
    "{person}, who lives [across the street|near by|next door], was [the first to hear of it|asked about it all day].",
    "[Similar news came|A similar thing happened] [ten|three|five] years ago[, as older people remember|].",
    "Details are to [follow|be published] [next week|in the town hall|on the notice board].",
    "The [mayor|council|town hall] will [answer questions|speak about it] [in the evening|at the next meeting].",
)
EXTRA: dict[str, tuple[str, ...]] = {
    "open": ("[Coffee|Cake] will be free on the first day.", "The cost was about {amount}."),
    "close": ("[Nobody was hurt|It may open again next week|A repair is on its way].",),
    "found": (
        "An expert [puts its worth at|would pay] {amount}.",
        "It will be shown in the [museum|library|town hall].",
    ),
    "animal": ("It [was led out with an apple|left as it had come|stayed for {number} minutes].",),
    "win": ("The [weather was fine|hall was full|crowd sang until late].",),
    "train": ("A ticket will cost [the same as before|a little less].", "[Commuters|Pupils] had asked for it."),
    "road": ("[Cyclists can still pass|Buses will take the old road|The mayor asks for patience].",),
    "vote": ("The cost is put at {amount}.", "Work is to begin [in spring|before the winter|next year]."),
    "storm": ("[Nobody was hurt|The fire brigade came at once|Trees fell on {number} cars].",),
    "free": ("The town pays {amount} a year for it.", "[Parents|Schools] had asked for it."),
    "award": ("[The hall rose to its feet|The choir sang|There were tears and flowers].",),
    "festival": ("The [sun shone all day|rain held off until night|last guest left at midnight].",),
}
"""What only suits news of one kind."""
LISTS = {
    "building": words(
        "library, swimming pool, town hall, museum, school, market hall, station, theatre, cinema, bakery, park"
    ),
    "day": words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"),
    "number": words("three, four, six, eight, ten, twelve, twenty, thirty"),
    "hundreds": words("three, four, six, eight, twelve, sixteen"),
    "trouble": words("a burst pipe, a power cut, a gas leak, a swarm of bees, flooding, a broken heater"),
    "finder": words("gardener, teacher, farmer, postman, nurse, plumber, student, carpenter"),
    "treasure": words("a Roman coin, a silver ring, an old map, a gold watch, a box of letters, a dinosaur bone"),
    "animal": words("a deer, a wild boar, a cow, a peacock, a goat, a lost pony, a swan"),
    "contest": words("chess cup, football cup, quiz night, boat race, cake contest, choir contest"),
    "nth": words("first, second, third, fourth, fifth"),
    "weather": words("storm, hailstorm, whirlwind, thunderstorm"),
    "prize": words("the town medal, a silver badge, the golden key, the honour cup"),
    "festival": words("flower show, book fair, harvest fair, music festival, street party, cheese market"),
    "person": words("Maria Holt, Jan Peters, Alice Brown, Omar Said, Rosa Lind, Peter Nagy, Ines Faro, Hugo Wells"),
    "amount": ["40,000 euros", "2 million euros", "900 euros", "15,000 euros", "half a million euros"],
}


def make(count: int = 420, seed: int = 7) -> list[dict[str, Any]]:
    """Rows of text and summary."""
    chance, kinds = random.Random(seed), list(NEWS)
    rows: dict[str, dict[str, Any]] = {}
    while len(rows) < count:
        text, summary = _news(chance, kinds[len(rows) % len(kinds)])
        rows[text] = {"text": text, "summary": summary}
    return list(rows.values())


def _news(chance: random.Random, kind: str) -> tuple[str, str]:
    slots = {name: chance.choice(choices) for name, choices in LISTS.items()}
    slots["town"], slots["other"] = chance.sample(TOWNS, 2)
    slots["person"], slots["speaker"] = chance.sample(LISTS["person"], 2)
    lead, headline = chance.choice(NEWS[kind])
    details = [*chance.sample(DETAILS, chance.choice((1, 1, 2))), chance.choice(EXTRA[kind])]
    chance.shuffle(details)
    text = " ".join((lead, *details))
    return grow(chance, text, slots), grow(chance, headline, slots)
