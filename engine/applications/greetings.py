"""Words that people try first, by language, whose few letters tell nothing. Collected for this project."""

from __future__ import annotations

WORDS = {
    "en": """hello hi hey thanks thank you yes no please sorry good morning evening night bye goodbye welcome world ok
        okay the is are what who where how test cat dog house friend love happy birthday see soon cheers help water""",
    "fr": """bonjour salut merci beaucoup oui non pardon bonsoir bonne nuit au revoir bienvenue le la les est chat chien
        maison ami amour monde coucou plaît eau aide""",
    "de": """hallo danke bitte ja nein guten gute morgen abend nacht tag tschüss wiedersehen willkommen der die das ist
        katze hund haus freund liebe welt entschuldigung hilfe wasser""",
    "es": """hola gracias muchas sí no perdón buenos buenas días tardes noches adiós bienvenido el los las es gato perro
        casa amigo amor mundo favor ayuda agua feliz cumpleaños""",
    "pt": """olá oi obrigado obrigada sim não desculpe bom boa dia tarde noite tchau adeus bem-vindo o os as é gato
        cão cachorro casa amigo amor mundo favor ajuda água""",
    "it": """ciao grazie sì no prego scusi buongiorno buonasera buonanotte arrivederci benvenuto il gatto cane casa
        amico amore mondo aiuto acqua""",
    "nl": "hallo dank bedankt ja nee alstublieft goedemorgen goedenavond doei welkom kat hond huis vriend wereld",
    "pl": "cześć dziękuję tak nie proszę dzień dobry przepraszam dobranoc witaj kot pies dom",
    "ru": "привет здравствуйте спасибо да нет пожалуйста доброе утро мир",
    "ar": "مرحبا شكرا نعم لا",
    "tr": "merhaba teşekkürler evet hayır lütfen günaydın",
}
WORDS = {code: frozenset(words.split()) for code, words in WORDS.items()}  # type: ignore[misc]
