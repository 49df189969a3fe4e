"""Telling languages apart, and saying so when it cannot be told."""

from __future__ import annotations

import pytest

from engine.applications.languages import LANGUAGES, detect_language, guess_language, has_chinese
from engine.applications.prompts import SHOTS

EXAMPLES = {
    "en": "The weather will be fine tomorrow.",
    "fr": "Il fera beau demain matin.",
    "de": "Morgen wird das Wetter schön.",
    "es": "Mañana hará buen tiempo por aquí.",
    "zh": "明天天气很好。",
    "it": "Domani il tempo sarà molto bello.",
    "ru": "Завтра будет хорошая погода.",
    "ja": "明日は天気がいいです。",
    "ko": "내일은 날씨가 좋을 것입니다.",
}


@pytest.mark.parametrize("code", EXAMPLES)
def test_short_sentences_are_told_apart(code: str) -> None:
    assert detect_language(EXAMPLES[code], LANGUAGES).code == code


def test_a_chinese_word_does_not_make_an_english_text_chinese() -> None:
    assert guess_language("The character 中 means middle in this language.")[0] == "en"
    assert (
        has_chinese("我用 Python 写程序") and not has_chinese("The character 中 means middle") and not has_chinese("12")
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [("Hello", "en"), ("Hi", "en"), ("Gracias", "es"), ("Hello world", "en"), ("thanks", "en"), ("Bonjour", "fr"),
     ("Danke", "de"), ("HELLO", "en"), ("Buenos días", "es"), ("Casa", "es"), ("ok 12", "en"),
     ("Merci beaucoup", "fr")],
)  # fmt: skip
def test_what_people_try_first_is_guessed_among_what_can_be_done(text: str, code: str) -> None:
    guess = detect_language(text, ["en", "fr", "de", "es", "zh"])
    assert (guess.code, guess.is_allowed) == (code, True)


@pytest.mark.parametrize(
    ("text", "code"),
    [("Jó reggelt kívánok, hogy van?", "hu"), ("Köszönöm", "hu"), ("明日は天気がいいです。", "ja"),
     ("El gat dorm a la cuina.", "ca"), ("Tá an cat ina chodladh sa chistin.", "ga"), ("안녕하세요", "ko"),
     ("Domani il tempo sarà molto bello.", "it"), ("Olá", "pt"), ("שלום", "he"), ("привет", "ru")],
)  # fmt: skip
def test_another_language_is_named(text: str, code: str) -> None:
    guess = detect_language(text, ["en", "fr", "de", "es", "zh"])
    assert (guess.code, guess.is_allowed) == (code, False)


GREETINGS = {
    "hu": "Jó napot|Szia|Köszönöm|Helló|Viszlát|Jó éjszakát|Igen|Hogy vagy?|Köszönöm szépen|Boldog születésnapot",
    "ca": "Bon dia|Bona nit|Gràcies|Adéu|Si us plau|Com estàs?|Bona tarda|Moltes gràcies|Fins aviat|Benvinguts a casa",
    "ga": "Dia duit|Dia dhuit|Go raibh maith agat|Slán|Maidin mhaith|Conas atá tú?|Oíche mhaith|Céad míle fáilte",
    "ja": "こんにちは|ありがとう|おはよう|さようなら|ありがとうございます",
    "ko": "안녕하세요|감사합니다|네",
    "sv": "Hej då|Tack|God morgon|Tack så mycket|Hur mår du?",
    "da": "Mange tak|Goddag|Hvordan har du det?|Jeg elsker dig",
    "no": "Takk|Tusen takk|Ha det bra|Hei, hvordan går det?",
    "fi": "Kiitos|Hyvää päivää|Huomenta|Näkemiin|Moi|Mitä kuuluu?",
    "cs": "Dobrý den|Děkuji|Na shledanou|Dobrou noc|Jak se máš?",
    "sk": "Dobrý deň|Ďakujem|Ako sa máš?|Dobrú noc",
    "pl": "Dzień dobry|Cześć|Dziękuję|Do widzenia|Dobranoc|Tak|Jak się masz?",
    "ro": "Bună ziua|Mulțumesc|La revedere|Noapte bună|Ce mai faci?|Bună",
    "tr": "Merhaba|Teşekkürler|Günaydın|Nasılsın?|Teşekkür ederim|İyi günler|Evet",
    "nl": "Goedemorgen|Dank je wel|Tot ziens|Hoe gaat het?|Bedankt|Goede nacht",
    "it": "Ciao|Grazie|Buongiorno|Come stai?|Grazie mille|Buona notte",
    "pt": "Bom dia|Obrigado|Boa noite|Tudo bem?|Olá|Até logo",
    "es": "Hola|Buenos días|Gracias|¿Cómo estás?|Hasta luego|Buenas noches|¿Qué tal?|Feliz cumpleaños",
    "fr": "Bonjour|Salut|Merci|Comment allez-vous ?|Bonne nuit|Au revoir|Ça va ?",
    "de": "Guten Tag|Danke|Wie geht es dir?|Auf Wiedersehen|Moin|Guten Morgen",
    "en": "Hello|Hi|Good morning|Thanks|How are you?|See you soon|Good night|Happy birthday|What is this?",
    "hr": "Dobar dan|Doviđenja|Dobro jutro|Volim te",
    "sl": "Dober dan|Hvala lepa|Nasvidenje|Živjo",
    "lt": "Labas|Ačiū|Labas rytas|Laba diena",
    "lv": "Labdien|Paldies|Labrīt|Lūdzu",
    "et": "Tere|Aitäh|Tere hommikust|Palun",
    "el": "Γεια σας|Καλημέρα|Ευχαριστώ",
    "ru": "Привет|Здравствуйте|Спасибо|Доброе утро|Как дела?",
    "uk": "Добрий день|Дякую|Привіт|Як справи?",
    "bg": "Здравей|Благодаря|Добър ден|Добро утро",
    "sr": "Здраво|Хвала|Добар дан",
    "he": "שלום|תודה|בוקר טוב",
    "ar": "مرحبا|شكرا|السلام عليكم|صباح الخير",
    "fa": "سلام|متشکرم|خداحافظ",
    "ur": "شکریہ|آپ کیسے ہیں",
    "hi": "नमस्ते|धन्यवाद",
    "th": "สวัสดี|ขอบคุณ",
    "vi": "Xin chào|Cảm ơn|Tạm biệt|Chào bạn",
    "id": "Selamat pagi|Terima kasih|Apa kabar?|Sampai jumpa",
    "cy": "Bore da|Diolch|Shwmae|Nos da",
    "eu": "Kaixo|Eskerrik asko|Egun on",
    "gl": "Bos días|Grazas|Boas noites",
    "is": "Góðan daginn|Takk fyrir|Góða nótt",
    "sq": "Përshëndetje|Faleminderit|Mirëdita",
    "af": "Goeie môre|Dankie|Totsiens|Baie dankie",
    "sw": "Habari|Asante sana|Jambo|Karibu",
    "ta": "வணக்கம்|நன்றி",
    "bn": "নমস্কার|ধন্যবাদ",
    "zh": "你好|谢谢|早上好",
    "ms": "Apa khabar?|Selamat petang",
}


@pytest.mark.parametrize("code", GREETINGS)
def test_what_people_try_first_is_told_in_each_language(code: str) -> None:
    for text in GREETINGS[code].split("|"):
        for among in (["en", "fr", "de", "es", "zh"], ["en", "pt"]):
            for said in (text, text.upper(), f"{text}!"):
                guess = detect_language(said, among)
                assert (guess.code, guess.is_allowed) == (code, code in among), said


@pytest.mark.parametrize(
    ("text", "code"),
    [("Koszonom", "hu"), ("Jo napot", "hu"), ("Dzien dobry", "pl"), ("Buenos dias", "es"), ("Tesekkurler", "tr"),
     ("Dekuji", "cs"), ("gunaydin", "tr"), ("Multumesc", "ro"), ("Kerékpár", "hu"), ("żółw", "pl"),
     ("Sanskrit is an", "en"), ("Il a fait", "fr"), ("El día de", "es"), ("As far as", "en")],
)  # fmt: skip
def test_a_few_words_are_told_without_their_accents_and_by_their_letters(text: str, code: str) -> None:
    assert detect_language(text, ["en", "fr", "de", "es", "zh"]).code == code


def test_close_relatives_do_not_hide_a_language_that_can_be_done() -> None:
    for code, sentences in SHOTS.items():
        for sentence in sentences:
            assert detect_language(sentence, list(SHOTS)).code == code
            assert detect_language(sentence, [*SHOTS, "pt", "it", "nl"]).code == code
