"""Everyday sentences in English and French: fixed ones, and a small grammar that knows gender, elision and verbs."""

# ruff: noqa: E501  (templates and word lists read best a line each)

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PHRASES = """
Good morning.|Bonjour.
Good evening.|Bonsoir.
Good night.|Bonne nuit.
How are you?|Comment allez-vous ?
I am fine, thank you.|Je vais bien, merci.
What is your name?|Comment vous appelez-vous ?
My name is Anna.|Je m'appelle Anna.
Pleased to meet you.|Enchanté de faire votre connaissance.
See you tomorrow.|À demain.
See you soon.|À bientôt.
Thank you very much.|Merci beaucoup.
You are welcome.|De rien.
Excuse me.|Excusez-moi.
I am sorry.|Je suis désolé.
I do not understand.|Je ne comprends pas.
Can you repeat that, please?|Pouvez-vous répéter, s'il vous plaît ?
Do you speak English?|Parlez-vous anglais ?
I speak a little French.|Je parle un peu français.
What time is it?|Quelle heure est-il ?
It is three o'clock.|Il est trois heures.
It is half past six.|Il est six heures et demie.
How much does it cost?|Combien ça coûte ?
That is too expensive.|C'est trop cher.
The bill, please.|L'addition, s'il vous plaît.
I would like a coffee.|Je voudrais un café.
I would like two tickets.|Je voudrais deux billets.
A glass of water, please.|Un verre d'eau, s'il vous plaît.
I am hungry.|J'ai faim.
I am thirsty.|J'ai soif.
I am tired.|Je suis fatigué.
I am cold.|J'ai froid.
I am warm.|J'ai chaud.
I am in a hurry.|Je suis pressé.
I am lost.|Je suis perdu.
Can you help me?|Pouvez-vous m'aider ?
I need a doctor.|J'ai besoin d'un médecin.
My head hurts.|J'ai mal à la tête.
Call the police!|Appelez la police !
Watch out!|Attention !
Come in!|Entrez !
Sit down, please.|Asseyez-vous, s'il vous plaît.
Wait for me!|Attendez-moi !
Let's go!|Allons-y !
It is raining.|Il pleut.
It is snowing.|Il neige.
It is nice today.|Il fait beau aujourd'hui.
It is very cold this morning.|Il fait très froid ce matin.
The weather is bad.|Il fait mauvais.
Happy birthday!|Joyeux anniversaire !
Happy new year!|Bonne année !
Congratulations!|Félicitations !
Enjoy your meal!|Bon appétit !
Have a good trip!|Bon voyage !
Good luck!|Bonne chance !
I love you.|Je t'aime.
I miss you.|Tu me manques.
Of course.|Bien sûr.
Perhaps tomorrow.|Peut-être demain.
I do not know.|Je ne sais pas.
I think so.|Je crois que oui.
You are right.|Vous avez raison.
You are wrong.|Vous avez tort.
It does not matter.|Ça ne fait rien.
It is not far.|Ce n'est pas loin.
Turn left.|Tournez à gauche.
Turn right.|Tournez à droite.
Go straight on.|Allez tout droit.
Where do you live?|Où habitez-vous ?
I live in a small town.|J'habite dans une petite ville.
Where do you come from?|D'où venez-vous ?
I come from Canada.|Je viens du Canada.
How old are you?|Quel âge avez-vous ?
I am twenty years old.|J'ai vingt ans.
What do you do for a living?|Que faites-vous dans la vie ?
I work in an office.|Je travaille dans un bureau.
I get up at seven o'clock.|Je me lève à sept heures.
We have dinner at eight.|Nous dînons à huit heures.
The shop is closed.|Le magasin est fermé.
The museum is open on Sundays.|Le musée est ouvert le dimanche.
The train is late.|Le train est en retard.
When does the bus leave?|Quand part le bus ?
Do you have a reservation?|Avez-vous une réservation ?
I have lost my passport.|J'ai perdu mon passeport.
The key does not work.|La clé ne marche pas.
There is no hot water.|Il n'y a pas d'eau chaude.
Could you open the window?|Pourriez-vous ouvrir la fenêtre ?
Please close the door.|Fermez la porte, s'il vous plaît.
Please speak more slowly.|Parlez plus lentement, s'il vous plaît.
What does this word mean?|Que veut dire ce mot ?
How do you say that in French?|Comment dit-on cela en français ?
Everything is ready.|Tout est prêt.
Nobody is here.|Il n'y a personne ici.
I have nothing to do.|Je n'ai rien à faire.
I am looking for a present for my mother.|Je cherche un cadeau pour ma mère.
She is reading a book to the children.|Elle lit un livre aux enfants.
He plays football with his friends.|Il joue au football avec ses amis.
They are learning to swim.|Ils apprennent à nager.
We went to the seaside last summer.|Nous sommes allés à la mer l'été dernier.
My grandmother makes the best soup.|Ma grand-mère fait la meilleure soupe.
The children are playing in the garden.|Les enfants jouent dans le jardin.
The baby is sleeping.|Le bébé dort.
The dog is barking again.|Le chien aboie encore.
I have finished my work.|J'ai fini mon travail.
I will write to you tomorrow.|Je vous écrirai demain.
Nothing is impossible.|Rien n'est impossible.
Time flies.|Le temps passe vite.
Better late than never.|Mieux vaut tard que jamais.
"""


@dataclass(frozen=True)
class Noun:
    """A word in both languages; gender is m or f."""

    english: str
    french: str
    gender: str

    @property
    def is_vowel(self) -> bool:
        return self.french[0] in "aeiouéèêâîhœ"

    def the(self) -> tuple[str, str]:
        article = "l'" if self.is_vowel else "le " if self.gender == "m" else "la "
        return f"the {self.english}", article + self.french

    def a(self) -> tuple[str, str]:
        return _a(self.english), f"{'un' if self.gender == 'm' else 'une'} {self.french}"

    def some(self) -> tuple[str, str]:
        article = "de l'" if self.is_vowel else "du " if self.gender == "m" else "de la "
        return self.english, article + self.french

    def my(self) -> tuple[str, str]:
        word = "mon" if self.gender == "m" or self.is_vowel else "ma"
        return f"my {self.english}", f"{word} {self.french}"

    def to(self) -> tuple[str, str]:
        article = "à l'" if self.is_vowel else "au " if self.gender == "m" else "à la "
        return f"to the {self.english}", article + self.french


def _nouns(text: str) -> list[Noun]:
    return [Noun(*map(str.strip, entry.split("|"))) for entry in text.replace("\n", ";").split(";") if entry.strip()]


def _a(english: str) -> str:
    return f"{'an' if english[0] in 'aeiou' else 'a'} {english}"


THINGS = _nouns("""book|livre|m; key|clé|f; letter|lettre|f; chair|chaise|f; table|table|f; bag|sac|m; hat|chapeau|m
umbrella|parapluie|m; lamp|lampe|f; bicycle|vélo|m; car|voiture|f; ticket|billet|m; map|carte|f; coat|manteau|m
watch|montre|f; picture|tableau|m; newspaper|journal|m; suitcase|valise|f; shirt|chemise|f; box|boîte|f
glass|verre|m; bottle|bouteille|f; spoon|cuillère|f; knife|couteau|m; flower|fleur|f; ball|balle|f""")
FOODS = _nouns("""bread|pain|m; cheese|fromage|m; soup|soupe|f; meat|viande|f; fish|poisson|m; rice|riz|m; butter|beurre|m
milk|lait|m; water|eau|f; salad|salade|f; chocolate|chocolat|m; honey|miel|m; jam|confiture|f; salt|sel|m; oil|huile|f
tea|thé|m; sugar|sucre|m; ham|jambon|m; garlic|ail|m""")
ANIMALS = _nouns("""cat|chat|m; dog|chien|m; horse|cheval|m; bird|oiseau|m; mouse|souris|f; cow|vache|f; rabbit|lapin|m
duck|canard|m; goat|chèvre|f; hen|poule|f; donkey|âne|m""")
PLACES = _nouns("""garden|jardin|m; kitchen|cuisine|f; house|maison|f; room|chambre|f; forest|forêt|f; school|école|f
church|église|f; station|gare|f; street|rue|f; hotel|hôtel|m; library|bibliothèque|f; car park|parking|m; office|bureau|m""")
GOALS = _nouns("""market|marché|m; beach|plage|f; school|école|f; cinema|cinéma|m; restaurant|restaurant|m; station|gare|f
museum|musée|m; bakery|boulangerie|f; hospital|hôpital|m; library|bibliothèque|f; church|église|f; park|parc|m
swimming pool|piscine|f; airport|aéroport|m; bank|banque|f; theatre|théâtre|m""")
PEOPLE = _nouns("""brother|frère|m; sister|sœur|f; mother|mère|f; father|père|m; friend|ami|m; neighbour|voisin|m
uncle|oncle|m; aunt|tante|f; teacher|professeur|m; cousin|cousine|f; doctor|médecin|m""")
ADJECTIVES = [
    tuple(line.split("|"))
    for line in """big|grand|grande
small|petit|petite
old|vieux|vieille
new|neuf|neuve
beautiful|beau|belle
heavy|lourd|lourde
empty|vide|vide
clean|propre|propre
dirty|sale|sale
red|rouge|rouge
green|vert|verte
white|blanc|blanche
black|noir|noire
blue|bleu|bleue
cold|froid|froide
round|rond|ronde
broken|cassé|cassée
expensive|cher|chère""".splitlines()
]
COLOURS = [tuple(line.split("|")) for line in """red|rouge|rouge
green|vert|verte
white|blanc|blanche
black|noir|noire
blue|bleu|bleue
yellow|jaune|jaune
grey|gris|grise
round|rond|ronde
light|léger|légère
strange|étrange|étrange""".splitlines()]  # fmt: skip
CREATURE_ADJECTIVES = [tuple(line.split("|")) for line in """big|grand|grande
small|petit|petite
old|vieux|vieille
tired|fatigué|fatiguée
happy|content|contente
sad|triste|triste
hungry|affamé|affamée
quiet|calme|calme
ill|malade|malade""".splitlines()]  # fmt: skip
PREPOSITIONS = (("in", "dans"), ("behind", "derrière"), ("in front of", "devant"))
SURFACES = _nouns(
    "table|table|f; chair|chaise|f; bed|lit|m; shelf|étagère|f; sofa|canapé|m; wardrobe|armoire|f; desk|bureau|m"
)
ON = (("on", "sur"), ("under", "sous"), ("next to", "à côté de"), ("behind", "derrière"))
SUBJECTS = (
    ("I", "je", 0),
    ("you", "vous", 3),
    ("he", "il", 1),
    ("she", "elle", 1),
    ("we", "nous", 2),
    ("they", "ils", 4),
)
VERBS = [tuple(line.split("|")) for line in """look for|looks for|cherch|looked for
find|finds|trouv|found
carry|carries|port|carried
show|shows|montr|showed
draw|draws|dessin|drew
forget|forgets|oubli|forgot
keep|keeps|gard|kept
wash|washes|lav|washed
look at|looks at|regard|looked at
lend|lends|prêt|lent
break|breaks|cass|broke
touch|touches|touch|touched""".splitlines()]  # fmt: skip
ONLY = {
    "break": ("chair", "lamp", "watch", "glass", "bottle", "umbrella", "bicycle", "box", "table"),
    "wash": ("car", "glass", "bottle", "spoon", "knife", "shirt", "coat", "bag", "bicycle", "table"),
    "draw": ("chair", "table", "lamp", "bicycle", "car", "map", "flower", "hat", "watch", "bottle", "key"),
}
"""What can be broken, washed or drawn."""
NOT_EATEN = ("salt", "sugar", "oil", "butter", "garlic")
ENDINGS = ("e", "e", "ons", "ez", "ent")
HAVE = (("have", "ai"), ("has", "a"), ("have", "avons"), ("have", "avez"), ("have", "ont"))
GO = (("am going", "vais"), ("is going", "va"), ("are going", "allons"), ("are going", "allez"), ("are going", "vont"))
WANT = (("want", "veux"), ("wants", "veut"), ("want", "voulons"), ("want", "voulez"), ("want", "veulent"))
FOOD_VERBS = (("buy", "acheter"), ("eat", "manger"), ("taste", "goûter"), ("sell", "vendre"))
LIKES = ("aime", "aime", "aimons", "aimez", "aiment")
WHEN = (
    ("today", "aujourd'hui"),
    ("this evening", "ce soir"),
    ("this morning", "ce matin"),
    ("now", "maintenant"),
    ("tomorrow", "demain"),
)
PAST = (
    ("yesterday", "hier"),
    ("last week", "la semaine dernière"),
    ("on Monday", "lundi"),
    ("on Sunday", "dimanche"),
    ("last night", "hier soir"),
)

Pair = tuple[str, str]


def _elide(word: str, next_word: str) -> str:
    """je + aime is j'aime, ne + a is n'a."""
    return f"{word[0]}'{next_word}" if next_word[0] in "aeiouéêhœ" and word in ("je", "ne") else f"{word} {next_word}"


def _sentence(pair: Pair, end: str = ".") -> Pair:
    english, french = (text[0].upper() + text[1:] for text in pair)
    return english + end, french + (end if end == "." else f" {end}")


def _of_place(preposition: Pair, noun: Noun) -> Pair:
    english, french = noun.the()
    if preposition[1].endswith(" de"):
        french = f"{preposition[1][:-3]} du {noun.french}" if french.startswith("le ") else f"{preposition[1]} {french}"
        return f"{preposition[0]} {english}", french
    return f"{preposition[0]} {english}", f"{preposition[1]} {french}"


def _act(chance: random.Random) -> tuple[tuple[str, ...], Noun]:
    """A verb and a thing that goes with it."""
    verb = chance.choice(VERBS)
    return verb, chance.choice([noun for noun in THINGS if noun.english in ONLY.get(verb[0], (noun.english,))])


def _is(chance: random.Random) -> Pair:
    """The key is red."""
    is_alive = chance.random() < 0.4
    noun = chance.choice([*ANIMALS, *PEOPLE] if is_alive else THINGS)
    adjective = chance.choice(CREATURE_ADJECTIVES if is_alive else ADJECTIVES)
    subject = noun.my() if noun in PEOPLE or chance.random() < 0.4 else noun.the()
    french = adjective[1] if noun.gender == "m" else adjective[2]
    return _sentence((f"{subject[0]} is {adjective[0]}", f"{subject[1]} est {french}"))


def _where(chance: random.Random) -> Pair:
    """The cat is in the garden. My book is under the table."""
    if chance.random() < 0.5:
        subject, place = chance.choice(ANIMALS).the(), _of_place(chance.choice(PREPOSITIONS), chance.choice(PLACES))
    else:
        noun = chance.choice([*ANIMALS, *(thing for thing in THINGS if thing.english not in ("car", "table", "chair"))])
        subject, place = chance.choice((noun.the(), noun.my())), _of_place(chance.choice(ON), chance.choice(SURFACES))
    return _sentence((f"{subject[0]} is {place[0]}", f"{subject[1]} est {place[1]}"))


def _does(chance: random.Random) -> Pair:
    """She finds a key. My brother carries the box."""
    verb, noun = _act(chance)
    thing = chance.choice((noun.the(), noun.a(), noun.my()))
    if chance.random() < 0.35:
        who = chance.choice(PEOPLE).my()
        return _sentence((f"{who[0]} {verb[1]} {thing[0]}", f"{who[1]} {verb[2]}e {thing[1]}"))
    english, french, person = chance.choice(SUBJECTS)
    acts = verb[1] if person == 1 else verb[0]
    return _sentence((f"{english} {acts} {thing[0]}", f"{_elide(french, verb[2] + ENDINGS[person])} {thing[1]}"))


def _did(chance: random.Random) -> Pair:
    """Yesterday, he forgot the bag."""
    (verb, noun), when = _act(chance), chance.choice(PAST)
    thing = chance.choice((noun.the(), noun.a(), noun.my()))
    english, french, person = chance.choice(SUBJECTS)
    has = _elide(french, HAVE[person][1])
    return _sentence((f"{when[0]}, {english} {verb[3]} {thing[0]}", f"{when[1]}, {has} {verb[2]}é {thing[1]}"))


def _likes(chance: random.Random) -> Pair:
    """I like cheese. We do not like fish."""
    food = chance.choice(FOODS)
    english, french, person = chance.choice(SUBJECTS)
    if chance.random() < 0.5:
        likes = "likes" if person == 1 else "like"
        return _sentence((f"{english} {likes} {food.english}", f"{_elide(french, LIKES[person])} {food.the()[1]}"))
    does = "does" if person == 1 else "do"
    return _sentence((f"{english} {does} not like {food.english}", f"{french} n'{LIKES[person]} pas {food.the()[1]}"))


def _wants(chance: random.Random) -> Pair:
    """They want to buy bread."""
    food, verb = chance.choice(FOODS), chance.choice(FOOD_VERBS)
    english, french, person = chance.choice(SUBJECTS)
    if verb[0] == "eat" and food.english in ("water", "milk", "tea"):
        verb = ("drink", "boire")
    if verb[0] == "eat" and food.english in NOT_EATEN:
        verb = FOOD_VERBS[0]
    wants = WANT[person]
    return _sentence(
        (f"{english} {wants[0]} to {verb[0]} {food.english}", f"{french} {wants[1]} {verb[1]} {food.some()[1]}")
    )


def _goes(chance: random.Random) -> Pair:
    """We are going to the market today."""
    place, when = chance.choice(GOALS).to(), chance.choice(WHEN)
    if chance.random() < 0.3:
        who = chance.choice(PEOPLE).my()
        return _sentence((f"{who[0]} is going {place[0]} {when[0]}", f"{who[1]} va {place[1]} {when[1]}"))
    english, french, person = chance.choice(SUBJECTS)
    goes = GO[person]
    return _sentence((f"{english} {goes[0]} {place[0]} {when[0]}", f"{_elide(french, goes[1])} {place[1]} {when[1]}"))


def _has(chance: random.Random) -> Pair:
    """She has a red bag."""
    noun, colour = chance.choice(THINGS), chance.choice(COLOURS)
    english, french, person = chance.choice(SUBJECTS)
    has = HAVE[person]
    adjective = colour[1] if noun.gender == "m" else colour[2]
    thing = (_a(f"{colour[0]} {noun.english}"), f"{noun.a()[1]} {adjective}")
    return _sentence((f"{english} {has[0]} {thing[0]}", f"{_elide(french, has[1])} {thing[1]}"))


def _asks(chance: random.Random) -> Pair:
    """Where is the station? Do you have a map?"""
    kind = chance.randrange(4)
    if kind == 0:
        place = chance.choice([*GOALS, *PLACES]).the()
        return _sentence((f"where is {place[0]}", f"où est {place[1]}"), "?")
    if kind == 1:
        thing = chance.choice(THINGS).a()
        return _sentence((f"do you have {thing[0]}", f"avez-vous {thing[1]}"), "?")
    if kind == 2:
        food = chance.choice(FOODS)
        return _sentence((f"do you like {food.english}", f"aimez-vous {food.the()[1]}"), "?")
    verb, noun = _act(chance)
    thing = noun.my()
    return _sentence((f"why do you {verb[0]} {thing[0]}", f"pourquoi {verb[2]}ez-vous {thing[1]}"), "?")


def _there(chance: random.Random) -> Pair:
    """There is a bird in the kitchen."""
    animal, place = (
        chance.choice([*ANIMALS, *THINGS[5:]]).a(),
        _of_place(chance.choice(PREPOSITIONS), chance.choice(PLACES)),
    )
    return _sentence((f"there is {animal[0]} {place[0]}", f"il y a {animal[1]} {place[1]}"))


PATTERNS: tuple[Callable[[random.Random], Pair], ...] = (
    _is, _where, _does, _did, _likes, _wants, _goes, _has, _asks, _there,
)  # fmt: skip


def make(count: int = 1200, seed: int = 6) -> list[dict[str, Any]]:
    """Rows of source (English) and target (French), no source twice."""
    chance = random.Random(seed)
    pairs: dict[str, str] = {}
    for line in PHRASES.strip().splitlines():
        english, french = line.split("|")
        pairs[english] = french
    while len(pairs) < count:
        english, french = PATTERNS[len(pairs) % len(PATTERNS)](chance)
        pairs.setdefault(english, french)
    rows = [{"source": english, "target": french} for english, french in pairs.items()]
    chance.shuffle(rows)
    return rows
