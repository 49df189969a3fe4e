"""The log of a lighthouse keeper with a voice of his own: entries that open, grumble and close in the same manner."""

# ruff: noqa: E501  (templates and word lists read best a line each)

from __future__ import annotations

import random

from engine.training.recipes.samples.growing import grow, words

WEATHER = (
    "Wind north-west, [brisk|rude|in a hurry], with [opinions|a list of complaints|no manners]. Sea [grey|the colour of old "
    "tin|like a badly made bed].",
    "No wind at all, which is worse. The sea lay there [like a cat that has knocked something over|pretending to be a lake].",
    "Fog. [Fog before breakfast, fog for breakfast, fog after|I could not see my own feet, and took their presence on "
    "trust|The world ended at the railing].",
    "Rain, [slantwise|from below|with great conviction], from [dawn|four in the morning|tea] until [dusk|supper|further "
    "notice].",
    "Fine and clear, which I [distrust|note without comment|put down as a clerical error].",
    "A gale from the [south|west|south-west]. The tower [hummed|leaned into it and so did I|sang in its low voice].",
    "Sunshine. [I have hung out both shirts|The paint is drying, and so am I|I do not know what to do with it].",
    "Snow on the railing, [three fingers deep|thin as gossip], and gone by noon.",
)
GULL = (
    "The gull I call the Admiral inspected the [porridge|herring|windowsill] at [six|seven|half past six] and found it [wanting|"
    "acceptable, then took it].",
    "The Admiral has brought a wife. She [disapproves of the stove|has already moved the furniture|screams at the hour].",
    "The Admiral stole [a button|the good spoon|half a letter] and was seen wearing it, in a manner of speaking, on the [west "
    "rail|roof].",
    "The Admiral sat on the rail all [morning|afternoon] and dictated. I took down [nothing|every word; it was one word].",
    "No sign of the Admiral. [I miss being robbed|The silence is very tidy|I left out a crust, for form's sake].",
    "The Admiral and I had words about the [butter|hat|washing line]. He had the last one. He always does.",
)
WORK = (
    "I [polished|wound|oiled] the [lens|great lens|clockwork|brass] until I could see [my face in it, which was no "
    "reward|tomorrow in it].",
    "Painted the [railing|door|north wall] white again. It was white before. The Board likes it whiter.",
    "The [pump|stove|third step|weather vane] has begun to [squeak|sulk|hold views]. I gave it [oil|a talking-to|both oil and a "
    "talking-to].",
    "Counted the [oil cans|stairs|biscuits]: [one fewer than yesterday|a hundred and forty-four, as ever|enough]. [Suspicion "
    "falls on the Admiral|I have counted worse].",
    "Mended the [net|clock|kettle|boots] with [string|wire|patience] and what was left of the [string|bad temper].",
    "Carried [coal|water|oil] up [all the stairs|a hundred and forty-four stairs]. Carried my knees down again afterwards.",
)
SHIPS = (
    "A [schooner|trawler|mail boat|brig] went by at [noon|three|first light], bound for {port}. I raised my hat. She raised "
    "[a flag|nothing, but kindly].",
    "The supply boat came, with [flour, lamp oil and a letter|tea, at last|everything but the tea], and young {mate} [at the "
    "oars|talking all the while|who has grown again].",
    "Nothing passed but [a crate|a hat|an oar|a bottle, without a message]. I wished it a good voyage to {port}.",
    "Three ships on the horizon, all [late|lit|going somewhere else]. One does not take it personally.",
    "A [captain|pilot] of {port} signalled [thanks|good evening|a question about the weather]. I signalled back [that it was no "
    "trouble|the same|that I only keep the light].",
)
LETTERS = (
    "A letter from the Board asks [how many candles I have|why I need a new kettle|whether the light is on]. I have answered: "
    "[yes|fewer than you think|come and see].",
    "My sister writes from {port} that there are lamps in all the streets now. Here there is the one.",
    "My sister writes from {port} that [the baby walks|the roof leaks|the cat has gone to live with the vicar]. [I read it "
    "twice|I have answered with the weather].",
    "I have begun a letter to [the Board|my sister|the maker of this stove]. It says “Sirs,” so far, and says it well.",
    "Read the [almanac|old newspaper|label of the jam] again. The ending is [the same|weaker than I remembered].",
)
THOUGHTS = (
    "It occurs to me that [a light is only a promise, kept at intervals|nobody ever thanks a rock for being where it is|the sea "
    "has never once asked how I am].",
    "One learns here that [silence has several rooms|tea is a form of company|the night is long but it is not busy].",
    "I have decided to be [cheerful until Thursday|patient, at least in writing|kinder to the stove].",
    "If anybody asks, I am [not lonely; I am well spaced|content, with reservations|in conference with the tide].",
    "There is a good deal to be said for [boiled potatoes|going to bed|a dry pair of socks], and I said it aloud.",
)
FEELINGS = words(
    "so noted, and so to soup, nothing further, it could be worse and has been, the kettle agrees, I have known worse company"
)
PORTS = words(
    "Harrow Bay, Saltmarsh, Port Linnet, Old Quay, Tern Island, Cold Harbour, Merrow, St Orrin, Whitsand, Dunmere"
)
MATES = words("Peters, Wick, Tom Farrow, Jory, Pascoe, Little Hal")
CLOSING = "The lamp is lit. The sea is the sea."


def make(count: int = 170, seed: int = 2) -> str:
    """Entries parted by empty lines, one a day with some days left out."""
    chance, day, entries = random.Random(seed), 0, []
    for _ in range(count):
        day += chance.choice((1, 1, 1, 2, 3))
        entries.append(f"Day {day}. {_entry(chance)} {CLOSING}")
    return "\n\n".join(entries) + "\n"


def _entry(chance: random.Random) -> str:
    parts = [chance.choice(part) for part in chance.sample((GULL, WORK, SHIPS, LETTERS, THOUGHTS), 3)]
    if chance.random() < 0.4:
        parts.append(chance.choice(FEELINGS) + ".")
    return grow(
        chance, " ".join((chance.choice(WEATHER), *parts)), {"port": chance.choice(PORTS), "mate": chance.choice(MATES)}
    )
