"""Messages to the support of a shop, with four labels; each is about one thing only."""

# ruff: noqa: E501  (templates and word lists read best a line each)

from __future__ import annotations

import random
from typing import Any

from engine.training.recipes.samples.growing import grow, words

BODIES = {
    "billing": (
        "[I was charged|My card was charged] [twice|{amount} too much|for something I never ordered] [this month|on {day}].",
        "The invoice for the {thing} shows {amount}, but the price [in the shop|on your page] was [lower|different].",
        "[Where is my refund|When do I get my money back] for the {thing}? You promised it [last week|on {day}].",
        "[Could you send|Please send|I need] a proper invoice for order {order}[, with the tax shown|, for my employer|].",
        "The discount code was not [taken off|applied] when I [paid|checked out] for the {thing}.",
        "I [paid by bank transfer|sent the money] on {day}, and the order still [says unpaid|waits for payment].",
        "Why did the price of my subscription go up by {amount}? [Nobody told me|I did not agree to that].",
        "There is a fee of {amount} on my [bill|statement] that I do not understand.",
        "Can I pay for the {thing} [in instalments|by invoice|with two cards]?",
        "[Two|Three] months in a row you have taken {amount} more than [agreed|the contract says].",
        "I returned the {thing} [on {day}|weeks ago], but {amount} of the price [are|is] still owed to me.",
        "Do you [charge|add] tax for [companies|customers] abroad? The total of order {order} surprised me.",
        "Please take the [costs|price] of the second {thing} off my card. I only [wanted|bought] one.",
        "The voucher worth {amount} [has not been counted|is missing from my total]. [It is still valid|I typed it in twice].",
        "[I cancelled my subscription|My free month ended] in spring, yet you [keep taking|still withdraw] {amount}.",
        "My payment [was declined|failed] [again|three times], although there is enough money on my card.",
    ),
    "delivery": (
        "My parcel with the {thing} [should have come|was due] on {day}, and [it is still not here|there is no sign of it].",
        "The tracking page has said “[in transit|on its way|at the depot]” [since {day}|for a week].",
        "The {thing} arrived [broken|wet|with a big dent], because the [box|parcel] was [crushed|torn open].",
        "The courier left my parcel [in the rain|with a neighbour I do not know|outside the wrong house].",
        "[You sent|I received] {wrong} instead of the {thing}. [What now|How do I send it back]?",
        "Can you [ship|send] order {order} to [my office|another address|a parcel shop] instead?",
        "Only [half|a part] of my order {order} [came|was in the box]. The {thing} is missing.",
        "When will the {thing} be [dispatched|sent out|delivered]? I need it by {day}.",
        "The driver [says nobody was home|did not ring], but I was [in|here] all day on {day}.",
        "A neighbour saw the van on {day}, [but it drove on|but nobody got out]. [Where is the {thing}|So where is my order]?",
        "The {thing} was [scratched|in pieces] when I unpacked it. The [carton|wrapping] looked as if somebody had stood on it.",
        "Three weeks [for a {thing}|of waiting] is [rather|far too] long. [Has it left your warehouse|Is it lost on the road]?",
        "Could the driver [leave it in the shed|ring twice|come in the evening] when you bring order {order}?",
        "According to your message it was handed over on {day}, [yet I signed nothing|but not to me].",
        "The parcel shop [has sent it back|is closed for the holidays]. [Please send the {thing} again|Can it go elsewhere]?",
        "Do you [ship|deliver] to [islands|Norway|Switzerland], and how long does it take?",
    ),
    "technical": (
        "The {app} [crashes|freezes|closes by itself] when I [open it|search for something|scroll down|tap on a picture].",
        "[I get|There is] an error [500|message|on a red page] whenever I [open the basket|write a review|look at the {thing}].",
        "After the [last|latest] update the {app} is [very slow|all white|full of jumping buttons].",
        "Pictures do not [load|show] in the {app}[, only grey boxes|, whatever browser I use|].",
        "The search finds nothing when I type [more than one word|an accent|“{thing}”].",
        "My new {device} will not [turn on|charge|connect to the network], although I followed the manual.",
        "The {device} keeps [losing the connection|restarting|beeping] every few minutes.",
        "The [video [does not play|stutters|stays black]|sound [stutters|crackles|is missing]|map stays [grey|empty]] on my [tablet|old phone|laptop].",
        "How do I [install|update|reset] the {device}? The [manual|screen] shows something else.",
        "Every time I press the [green|big|last] button, the {app} [jumps back to the start|shows an empty screen].",
        "The light on my {device} blinks [red|blue] and it [makes no sound|does not answer]. Is it [defective|broken]?",
        "[Typing|Scrolling] in the {app} takes [seconds|ages] [since Tuesday|on my phone]. My connection is fine.",
        "The {device} cannot be found [over Bluetooth|in the wireless network], though it stands next to [me|the window].",
        "Your {app} eats my battery: [half of it|all of it] is gone within an hour.",
        "The [barcode scanner|camera] in the {app} [does not focus|opens the wrong way round].",
        "The page looks [broken|strange] in [dark mode|my browser|landscape], with text over the buttons.",
    ),
    "account": (
        "I [forgot|cannot remember] my password, and the reset mail [never comes|does not arrive|ends in an expired link].",
        "[How can I|I would like to|Please help me] change the email address of my [account|profile].",
        "[Please delete|I want to close] my account and [all my data|everything you know about me].",
        "I cannot log in [any more|since {day}]. It says [my account is locked|wrong user name|too many attempts].",
        "[Somebody|A stranger] has logged in to my account [from another country|on {day}]. [Please lock it|What do I do]?",
        "How do I [turn on|turn off|set up] the sign-in with a second [step|factor|code]?",
        "My [surname|name] has changed. How do I [correct|change] it in my [profile|account]?",
        "I have two accounts [by mistake|with different addresses]. Can you [merge|join] them?",
        "When I sign in, I see [the profile|the orders and address] of [another person|a man in Ohio]. [That worries me|Why]?",
        "The code for signing in goes to my old [phone number|telephone]. [How do I change the number|I no longer have it].",
        "[Why do I have to|Must I] confirm my email [every day|again and again] to get into my profile?",
        "[Under which user name|With which address] am I registered? [I have tried four|None of mine is accepted].",
        "I would like to [become|register as] a business customer. Where do I [switch|change] my profile?",
        "What do you [store|know] about me? Please send me [a copy|all] of it, and [correct my birthday|remove my photo].",
        "[Stop|Please stop] sending me the newsletter; the switch in my [profile|settings] does [nothing|not stay off].",
        "My daughter [needs|should get] her own [login|user] under my account. [Is that possible|How do we add her]?",
    ),
}
OPENINGS = (
    "",
    "",
    "",
    "Hello!",
    "Hi there!",
    "Good morning.",
    "Dear team:",
    "Hello again.",
    "Hey!",
    "To whom it may concern:",
)
CLOSINGS = (
    "", "", "", "Thanks!", "Thank you for your help.", "Please [hurry|look into it|get back to me].", "Best wishes, {name}",
    "[I am getting impatient|This is not the first time].", "Kind regards, {name}", "{name}",
)  # fmt: skip
LISTS = {
    "amount": words("5 euros, 12 pounds, 20 dollars, 3.50, 49.90, 8 euros, 15 pounds, 30 dollars"),
    "day": words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, the 3rd, the 12th, the 21st"),
    "thing": words(
        "coffee machine, desk lamp, garden chair, winter coat, book shelf, tea set, , backpack, raincoat, rug, desk, "
        "saucepan, bicycle bell, alarm clock, wool blanket, toaster"
    ),
    "wrong": words("a red one, the large size, two left shoes, a phone case, a box of candles, somebody else's order"),
    "device": words("speaker, router, smart lamp, thermostat, camera, printer, watch, headset, robot vacuum"),
    "app": words("app, website, web page, phone app, shop page"),
    "order": words("4471, 1208, 99310, 5527, 7043, 31186, 2260, 8819"),
    "name": words("Maria, Jonas, Priya, Tom, Elena, Ahmed, Sofie, Karl, Wei, Lucia, Ben, Amina"),
}


def make(each: int = 70, seed: int = 4) -> list[dict[str, Any]]:
    """Rows of text and label, as many of each label, no text twice."""
    chance = random.Random(seed)
    rows = [{"text": text, "label": label} for label in BODIES for text in _texts(chance, label, each)]
    chance.shuffle(rows)
    return rows


def _texts(chance: random.Random, label: str, count: int) -> list[str]:
    texts: dict[str, None] = {}
    while len(texts) < count:
        body = BODIES[label][len(texts) % len(BODIES[label])]
        slots = {name: chance.choice(choices) for name, choices in LISTS.items()}
        parts = (chance.choice(OPENINGS), body, chance.choice(CLOSINGS))
        texts[grow(chance, " ".join(filter(None, parts)), slots)] = None
    return list(texts)
