"""What a translation must keep: marks put in and taken out, quotes and dashes in the target's style, and a hundred
sentences through the embedded students, where these are in the cache."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from engine.applications.alignments import Link
from engine.applications.emphasis import put_back
from engine.applications.literals import Kept, keep_aside, literal_spans, losses, missing, restored
from engine.applications.translate import APPLICATION, TranslateRequest
from engine.serving.compose import open_house
from engine.serving.protocol import Caller
from engine.settings import current
from tests.applications.literal_sentences import ENGLISH, PORTUGUESE, rows

TABLES = {("en", "pt"): rows(ENGLISH), ("pt", "en"): rows(PORTUGUESE)}
CASES = [(source, target, *row) for (source, target), table in TABLES.items() for row in table]


@pytest.mark.parametrize(("source", "target", "sentence", "literals"), CASES)
def test_what_is_kept_aside_comes_back(source: str, target: str, sentence: str, literals: list[str]) -> None:
    kept = keep_aside(sentence, source, target)
    words = [Link(match.span(), match.span(), 1.0) for match in re.finditer(r"\w+", kept.text)]
    back = restored(put_back(kept.text, kept.text, kept.emphases, words), kept, target).replace("\u00a0", " ")
    assert not missing(kept.text, kept)
    for literal in literals:
        if any(sign in literal for sign in "€£") or literal in sentence:
            assert literal in back


def test_spans_lie_apart_and_in_order() -> None:
    for source, _, sentence, _ in CASES:
        spans = literal_spans(sentence, source)
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize("token", ["<|im_end|>", "<|endoftext|>", "<eos>", "<start_of_turn>"])
def test_control_tokens_that_people_typed_are_kept_aside_and_missed(token: str) -> None:
    sentence = f"Please say {token} now."
    kept = keep_aside(sentence, "en", "pt")
    assert kept.text == "Please say X1 now." and restored("Diga X1 agora.", kept, "pt") == f"Diga {token} agora."
    assert losses(sentence, "Diga:|im_end|> agora.", ("en", "pt"))[0] == [token]


def test_plain_sentences_stay_as_they_are() -> None:
    for sentence in ("I paid 20 dollars, not 30.", "It's a well-known fact.", "Olá, tudo bem?", "Café in Zürich"):
        kept = keep_aside(sentence, "en", "pt")
        assert kept.text == sentence or kept.literals == (("X1", "Zürich"),)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("en", "“Yes” – he said – it’s"), ("fr", "«\u00a0Yes\u00a0» – he said – it’s"), ("de", "„Yes“ – he said – it’s"),
     ("es", "«Yes» – he said – it’s")],
)  # fmt: skip
def test_quotes_and_dashes_come_back_in_the_targets_style(target: str, expected: str) -> None:
    kept = keep_aside("„Oui“ – dit-il – c’est", "fr", target)
    assert kept.text == '"Oui" - dit-il - c\'est'
    assert restored('"Yes" - he said - it\'s', kept, target) == expected


def test_plain_quotes_stay_plain() -> None:
    kept = keep_aside('"Yes" - it\'s', "en", "fr")
    assert restored('"Oui" - c\'est', kept, "fr") == '"Oui" - c\'est'


@pytest.mark.parametrize(
    ("sentence", "target", "expected"),
    [("€5", "fr", "5\u00a0€"), ("£1,234.50", "fr", "1\u00a0234,50\u00a0£"), ("1.234,50 €", "en", "€1,234.50"),
     ("5 €", "en", "€5"), ("€0.99", "de", "0,99\u00a0€")],
)  # fmt: skip
def test_money_is_written_as_the_target_does(sentence: str, target: str, expected: str) -> None:
    kept = keep_aside(sentence, "en", target)
    assert restored(kept.text, kept, target) == expected


@pytest.mark.parametrize(
    ("made", "expected"),
    [("It costs $X1.", "It costs €5."), ("It costs X1 $ now.", "It costs €5 now."),
     ("It costs 4 £ X1.", "It costs 4 £ €5."), ("It costs X1 £4.", "It costs €5 £4.")],
)  # fmt: skip
def test_a_sum_has_no_second_sign_unless_it_is_another_sums(made: str, expected: str) -> None:
    assert restored(made, keep_aside("Das kostet 5 €.", "de", "en"), "en") == expected


@pytest.mark.parametrize(
    ("source", "translation", "lost", "invented"),
    [("Press <b>Save</b> now.", "Appuyez sur <b>,</b>.", ["<b>…</b>"], []),
     ("Press <b>Save</b> now.", "Appuyez sur <b>Enregistrer</b>.", [], []),
     ("Run it to begin.", "Lancez-le à partir de 10h30.", [], ["10h30"]),
     ("Come at half past ten.", "Venez à 10h30.", [], []),
     ("We meet at ten o'clock.", "Wir treffen uns um 10:00.", [], []),
     ("Come at 10:30.", "Venez à 10h30.", [], [])],
)  # fmt: skip
def test_words_between_tags_and_times_are_compared(
    source: str, translation: str, lost: list[str], invented: list[str]
) -> None:
    assert losses(source, translation, ("en", "fr")) == (lost, invented)


SAME = """
Der Preis ist 1.250 €. | The price is €1,250. | en
3,5 kg | 3.5 kg | en
£4.50 | 4,5 £ | de
10 000 Menschen | 10,000 people | en
14亿人 | 1.4 billion people | en
2000 万人 | 20 Millionen Menschen | de
1亿2000万 | 120 million | en
2-3 million | 200万至300万 | zh
200万 | two million | en
2 million | 两百万 | zh
2 Mio. Euro | €2 million | en
$1.5 billion | 1,5 mil millones de dólares | es
5千克 | 5 kg | en
fifteen rocks | 15块岩石 | zh
20世纪70年代 | the 1970s | en
18th century | XVIIIe siècle | fr
um 14.30 Uhr | at 14:30 | en
14.30 Uhr | 2:30 p.m. | en
下午2点半 | 2:30 p.m. | en
at 8 p.m. | um 20 Uhr | de
4度 | quatre degrés | fr
1 kg Mehl | a kilo of flour | en
Kapitel 3 und 7 | chapters three and seven | en
¥1250 | 1250元 | zh
5 pounds of sugar | 5磅糖 | zh
The £250,000 house | Das Haus für 250.000 Pfund | de
It costs 20, 30 and 40 euros | 20欧元、30欧元和40欧元 | zh
50 cents | 50 Cent | de
""".strip()
CHANGED = """
€5 verloren | 丢了500欧元 | zh | €5 | 500欧元
£4.50 | 450英镑 | zh | £4.50 | 450英镑
4.5 kg | 45 克 | zh | 4.5 kg |
3,5 kg | 35 kg | en | 3,5 kg |
89,90 € | 8990 元 | zh | 89,90 € | 8990 元
2 Millionen Menschen | 2000万人 | zh | 2 Millionen |
minus -4 | minus -40 | en | 4 |
12 kg | 24 kg | en | 12 kg |
um 14:30 | at 15:30 | en | 14:30 |
零下4度,1250元 | en dessous de zéro et 1250 yuans | fr | 4度 |
€5 oder 4 £ | £5 or 4 £ | en | €5 |
20 €, nicht £30 | 20, not £30 | en | 20 € |
1.250 € | 1,250 | en | 1.250 € |
1.250 € | 1250美元 | zh | 1.250 € |
每月1250元 | $1250 per month | en | 1250元 |
1250 a month | $1250 a month | en | | $1250
""".strip()


@pytest.mark.parametrize("line", SAME.split("\n"))
def test_what_is_worth_the_same_is_not_lost(line: str) -> None:
    source, translation, target = line.split(" | ")
    assert losses(source, translation, ("en", target)) == ([], [])


@pytest.mark.parametrize("line", CHANGED.split("\n"))
def test_another_number_or_currency_is_told(line: str) -> None:
    source, translation, target, lost, invented = map(str.strip, line.split("|"))
    assert losses(source, translation, ("en", target)) == ([lost] * bool(lost), [invented] * bool(invented))


@pytest.mark.parametrize(
    ("source", "translation", "target"),
    [("See #4521 at https://x.org/a?b=1 or write to a@x.org.", "见#4521，https://x.org/a?b=1或写信给a@x.org。", "zh"),
     ("#4521 ist weg.", "#4521是不见了", "zh"), ("打开report.pdf文件", "Open report.pdf", "en"),
     ("关注#翻译 吧", "Follow #翻译", "en"), ("看https://x.org/wiki/北京 吧", "See https://x.org/wiki/北京", "en")],
)  # fmt: skip
def test_letters_beside_a_literal_are_none_of_it_where_no_space_parts_them(
    source: str, translation: str, target: str
) -> None:
    assert losses(source, translation, ("en", target)) == ([], [])


@pytest.mark.parametrize(
    ("source", "translation", "languages"),
    [("20 dollars", "20 долларов", ("en", "ru")), ("14 миллионов", "14 million", ("ru", "en")),
     ("20 долларов", "$20", ("ru", "en")), ("2 million", "2 milioni", ("en", "it")),
     ("4 kg", "quattro kg", ("en", "it")),
     ("1 250,50 €", "€1,250.50", ("fr", "en")),
     ("1 2 3 456 7'890,1. 12 000.5", "1 2 3 456 7'890,1. 12 000.5", ("en", "fr"))],
)  # fmt: skip
def test_of_other_languages_figures_alone_are_compared(
    source: str, translation: str, languages: tuple[str, str]
) -> None:
    assert losses(source, translation, languages) == ([], [])
    assert losses(source, "none", languages)[0] or languages[1] == "it"


def test_sums_that_were_lost_are_kept_aside_as_the_target_writes_them() -> None:
    sentence = "Es kostet 1.250 € oder 3,5 kg Gold {heute}."
    tried = keep_aside(sentence, "de", "en", is_small=False), "It costs 12 or 35 kg of gold X1."
    kept = keep_aside(sentence, "de", "en", is_small=False, tried=tried)
    assert kept.text == "Es kostet X1 oder X2 kg Gold X3."
    assert restored(kept.text, kept, "en") == "Es kostet €1,250 oder 3.5 kg Gold {heute}."


def test_a_lost_mark_is_noticed_and_its_literal_not_lost() -> None:
    kept = keep_aside("Visit https://x.org now.", "en", "pt")
    assert missing("Visite agora.", kept) == ["https://x.org"]
    assert restored("Visite agora.", kept, "pt") == "Visite agora https://x.org."
    beside = keep_aside("<ul><li>Milk</li>", "en", "pt")
    assert not missing("X1X2Leite X3", beside) and restored("X1X2Leite X3", beside, "pt") == "<ul><li>Leite</li>"
    assert restored("Visite x1 e X1 agora.", kept, "pt") == "Visite https://x.org e  agora."


def test_a_mark_never_stands_for_what_the_sentence_says() -> None:
    kept = keep_aside("Seat X1 costs €5.", "en", "pt")
    assert "X1" not in [mark for mark, _ in kept.literals] and "X1" in restored(kept.text, kept, "pt")
    assert restored("O lugar Z1 custa Z2.", kept, "pt") == "O lugar X1 custa 5\u00a0€."


@pytest.mark.parametrize(
    ("sentence", "literals"),
    [("The bag weighs 4.5 kg.", ["4,5 kg"]), ("It has 16.4 MB and 5,000 mAh.", ["16,4 MB", "5.000 mAh"]),
     ("The room is 20 m² large.", ["20 m²"]), ("So E = mc².", ["mc²"]), ("We have 1,234,567 people.", ["1.234.567"]),
     ("The plate AB 123 CD is on the ICE 597.", ["AB 123 CD", "ICE 597"]),
     ("Codes X7-QQ-19, 7KX-99P.", ["X7-QQ-19", "7KX-99P"]),
     ("The hash a3f9c2d1 and the T-800.", ["a3f9c2d1", "T-800"]), ("Press Ctrl+Shift+S or F5.", ["Ctrl+Shift+S", "F5"]),
     ("The file is report_2026.pdf.", ["report_2026.pdf"]), ("Use @ in the address.", ["@"]),
     ("It takes 2 h 15 min in a 747-400.", ["2 h 15 min", "747-400"]), ("At 221B, USB-C.", ["221B", "USB-C"]),
     ("On the 21st of the 1990s at 5pm in 20km.", ["20km"]), ("A 20-year-old in room 12.", [])],
)  # fmt: skip
def test_units_and_codes_are_kept_from_a_small_translator(sentence: str, literals: list[str]) -> None:
    assert [literal for _, literal in keep_aside(sentence, "en", "de").literals] == literals


def test_quotes_that_the_translator_wrote_itself_are_the_targets_too() -> None:
    kept = keep_aside("It is a “good” idea.", "en", "fr")
    assert restored("C'est une «\u00a0bonne idée\".", kept, "fr") == "C'est une «\u00a0bonne idée\u00a0»."


def test_nothing_kept_is_nothing_changed() -> None:
    assert restored("Bom dia.", Kept("Good morning."), "pt") == "Bom dia."


def test_ninety_nine_of_a_hundred_come_through_the_embedded_students() -> None:
    house = open_house(replace(current(), prefetch=False, threads=1))
    kept = asked = 0
    try:
        for (source, target), table in TABLES.items():
            model = f"firefox-{source}-{target}"
            if house.store.availability(model).state != "ready":
                pytest.skip(f"{model} is not in the cache")
            request = TranslateRequest([sentence for sentence, _ in table], source, target, model)
            result = APPLICATION.run(house.engine, request, Caller())
            for (_, literals), done in zip(table, result.translations, strict=True):
                asked += len(literals)
                kept += sum(literal in done.text.replace("\u00a0", " ") for literal in literals)
    finally:
        house.engine.close()
    assert kept >= 0.99 * asked
