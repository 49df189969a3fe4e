"""Questions over passages on invented places, people and things; some ask for what the passage does not say."""

# ruff: noqa: E501  (templates and word lists read best a line each)

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from engine.training.recipes.samples.growing import grow, words

PLACES = words(
    "Alderwick, Bramley Cross, Corriedale, Dunmarsh, Elmstow, Fenwick Hollow, Garrowby, Hartlow, Inverlee, Juniper Hill, "
    "Kettlebeck, Larkham, Merrowdale, Netherby, Oakhanger, Pellworth, Quarrydown, Ravensby, Saltersford, Thornley, Umberleigh, "
    "Vellow, Wexcombe, Yarrowfield, Ashcote, Bellmoor, Cranfield Mill, Dovesey, Eastrow, Farleigh Green"
)
FIRST = words(
    "Agnes, Bertram, Cecily, Dorian, Edith, Felix, Greta, Humphrey, Ines, Jasper, Karin, Leopold, Marta, Nikolai, Olive, Rupert, Selma, Tobias, Ursula, Winifred"
)
LAST = words(
    "Abernathy, Brandt, Castell, Dahl, Eklund, Farrow, Grimaldi, Hollis, Ivers, Janssen, Keller, Lindqvist, Moreau, Novak, Ostrander, Pemberton, Quill, Rasmussen, Sorensen, Tremaine"
)
LISTS = {
    "year": [str(year) for year in range(1702, 1996)],
    "count": words("340, 512, 780, 1150, 1900, 2400, 3075, 4200, 5600, 8100"),
    "river": words("the Ashe, the Brill, the Carrow, the Dene, the Esk Water, the Linnet, the Tamber, the Wissel"),
    "ware": words("blue pottery, woollen blankets, goat cheese, pear cider, wooden toys, hand-made paper, copper kettles, smoked trout"),
    "month": words("January, March, April, May, June, August, September, October, November"),
    "material": words("red sandstone, oak beams, white marble, grey granite, cast iron, yellow brick, black slate"),
    "meters": [f"{number} metres" for number in (18, 24, 37, 45, 52, 66, 74, 91, 120, 143)],
    "job": words("baker, blacksmith, schoolteacher, shepherd, tailor, ferryman, clockmaker, nurse, carpenter"),
    "invention": words(
        "a folding ladder, a silent alarm clock, a lamp without oil, a rain gauge, a pocket loom, a self-closing gate, "
        "a pedal-driven saw, a floating bridge"
    ),
    "prize": words("a silver cup, a barrel of cider, a golden ribbon, a new saddle, a week without chores, a painted drum"),
    "animal": words("a stork, a brown goat, two white geese, a tame fox, a blind donkey, a grey parrot, a three-legged cat"),
    "reason": words(
        "a fire in the mill, a very dry summer, a quarrel over water, a broken dam, an early frost, a missing key, the great flood"
    ),
    "sum": words("40 crowns, 300 crowns, 75 pounds, 1200 pounds, 18 shillings, 950 crowns, 2000 pounds"),
    "food": words("onion soup, plum dumplings, rye pancakes, barley bread, nettle pie, baked apples, salted butter cake"),
    "instrument": words("the fiddle, the cello, the bass drum, the hurdy-gurdy, the clarinet, the church organ"),
    "days": words("three days, nine days, two weeks, eleven days, six weeks, four days, one month"),
    "direction": words("northern, southern, eastern, western"),
}  # fmt: skip

Facts = tuple[tuple[str, str, str], ...]
"""A sentence, a question and its answer; choices and slots in all of them."""

KINDS: dict[str, Facts] = {
    "village": (
        ("{place} is a village on {river}, with [about|some|roughly] {count} inhabitants.", "How many [people live|inhabitants are there] in {place}?", "{count}"),
        ("It was [founded|first settled] in {year} by a {job} named {person}.", "[When was {place} founded|In which year was {place} first settled]?", "{year}"),
        ("[The village is known for|People come from afar for|Its best-known product is] {ware}.", "What is {place} known for?", "{ware}"),
        ("Every {month}, the [whole village meets|neighbours gather] for a feast of {food}.", "What [do people eat|is served] at the feast in {place}?", "{food}"),
        ("The church, built of {material}, [stands|has stood] at the {direction} end of the main street.", "What is the church in {place} built of?", "{material}"),
        ("After {reason}, the old school had to [close|move|be rebuilt].", "[Why did the old school have to|What made the old school] [change|give way]?", "{reason}"),
    ),
    "inventor": (
        ("{person} was born in {year} in {place}, where {her} father was a {job}.", "Where was {person} born?", "{place}"),
        ("At school {she} learned to play {instrument}[, which {she} never gave up|, although there was little time for it|].", "[Which instrument did {person} learn|What did {person} learn to play]?", "{instrument}"),
        ("{She} became known for {invention}, [drawn first on the back of a bill|tried out in a barn|shown at the fair in {month}].", "What did {person} invent?", "{invention}"),
        ("A merchant [bought|paid for] the plans for {sum}.", "[How much did the merchant pay|For how much were the plans sold]?", "{sum}"),
        ("In later years, {she} [lived|shared a house] with {animal}.", "[Who lived with {person} in later years|What animals did {person} live with]?", "{animal}"),
        ("The [first|only] model was lost because of {reason}.", "[Why|Because of what] was the model lost?", "{reason}"),
    ),
    "bridge": (
        ("The {place} Bridge crosses {river} at its narrowest point and is {meters} long.", "How long is the {place} Bridge?", "{meters}"),
        ("It was designed by {person}, [a former {job}|who had never built one before], and opened in {year}.", "Who designed the {place} Bridge?", "{person}"),
        ("Its arches are made of {material}[, brought by boat|, cut near by|].", "What are the arches [made of|built from]?", "{material}"),
        ("The [toll|work] brought in {sum} in the first year.", "[How much money came in|What was taken] in the first year?", "{sum}"),
        ("Because of {reason}, it [was closed|could not be used] for {days}.", "For how long was the bridge closed?", "{days}"),
        ("[On the railing one sees|A small statue shows|Near the middle one finds] {animal}, carved in wood.", "What is carved in wood [on|at] the bridge?", "{animal}"),
    ),
    "festival": (
        ("The {place} Fair takes place every {month} in the fields by {river}.", "[In which month is the {place} Fair held|When does the {place} Fair take place]?", "{month}"),
        ("It goes back to {year}, when a {job} wanted to [cheer up|thank] the neighbours.", "[How far back does the fair go|From which year is the fair]?", "{year}"),
        ("The winner of the sack race gets {prize}.", "What does the winner of the sack race get?", "{prize}"),
        ("[Visitors queue for|The stalls sell] {food} and {ware}.", "[What food do the stalls sell|What do visitors eat]?", "{food}"),
        ("It lasts {days} and [ends|closes] with a [concert|dance].", "How long does the fair last?", "{days}"),
        ("In {year2} it was called off because of {reason}.", "Why was the fair called off in {year2}?", "{reason}"),
    ),
    "journey": (
        ("In {year}, {person} set out from {place} [on foot|with a handcart|in a small boat] to find the spring of {river}.", "[What was {person} looking for|What did {person} want to find]?", "the spring of {river}"),
        ("The journey took {days}[, longer than planned|, much less than feared|].", "How long did the journey take?", "{days}"),
        ("{She} took along {animal} and [little else|a bag of flour|too many maps].", "[Who|What animals] came along on the journey?", "{animal}"),
        ("[For most of the way|On many evenings] there was nothing to eat but {food}.", "What did {person} eat on the way?", "{food}"),
        ("The journey was paid for with {sum} from the town's purse.", "[What did the town pay|How much did the town give] for the journey?", "{sum}"),
        ("{She} turned back once, because of {reason}.", "Why did {person} turn back?", "{reason}"),
    ),
    "museum": (
        ("The museum of {place} is housed in a former mill built of {material}.", "What was the museum's building [before|in earlier times]?", "a former mill"),
        ("Its oldest piece is {invention}, made in {year}.", "What is the oldest piece in the museum?", "{invention}"),
        ("[Last year it had|In a good year it has] {count} visitors.", "How many visitors does the museum have?", "{count}"),
        ("The keeper, {person}, used to be a {job}.", "[What was the keeper's former job|What was the keeper before]?", "a {job}"),
        ("[In the courtyard lives|At the door one is met by] {animal}.", "[Who|Which animal] [greets visitors|can be met] at the museum?", "{animal}"),
        ("A ticket is free in {month}, when the [roof leaks most|days are long|tower is open].", "When is a ticket free?", "in {month}"),
    ),
}  # fmt: skip


def make(each: int = 11, seed: int = 5) -> list[dict[str, Any]]:
    """Rows of question, passage and answer; about one in seven has an empty answer."""
    chance, rows = random.Random(seed), []
    places = list(PLACES)
    for number in range(each):
        for kind in KINDS:
            chance.shuffle(places)
            rows += _passage(chance, KINDS[kind], places[number % len(places)])
    return rows


def _passage(chance: random.Random, facts: Facts, place: str) -> list[dict[str, Any]]:
    slots = _slots(chance, place)
    kept = list(range(len(facts)))
    left_out = chance.choice(kept[1:]) if chance.random() < 0.75 else None
    if left_out is not None:
        kept.remove(left_out)
    middle = kept[2:]
    chance.shuffle(middle)
    passage = " ".join(grow(chance, facts[index][0], slots) for index in (*kept[:2], *middle))
    rows = [_question(chance, facts[index], passage, slots) for index in kept]
    if left_out is not None:
        rows.append(_question(chance, facts[left_out], passage, slots) | {"answer": ""})
    return rows


def _slots(chance: random.Random, place: str) -> dict[str, str]:
    slots = {name: chance.choice(choices) for name, choices in LISTS.items()}
    first = chance.choice(FIRST)
    she, her = (
        ("she", "her")
        if first in words("Agnes, Cecily, Edith, Greta, Ines, Karin, Marta, Olive, Selma, Ursula, Winifred")
        else ("he", "his")
    )
    slots |= {"place": place, "person": f"{first} {chance.choice(LAST)}", "she": she, "her": her, "She": she.title()}
    return slots | {"year2": str(int(slots["year"]) + chance.randrange(3, 25))}


def _question(
    chance: random.Random, fact: tuple[str, str, str], passage: str, slots: Mapping[str, str]
) -> dict[str, Any]:
    question, answer = grow(chance, fact[1], slots), fact[2].format_map(slots)
    return {"question": question, "passage": passage, "answer": answer}
