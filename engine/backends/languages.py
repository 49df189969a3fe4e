"""Language codes: how multilingual encoder-decoders call the languages that we call by ISO 639-1."""

from __future__ import annotations

from typing import Any

FLORES = {
    "af": "afr_Latn", "am": "amh_Ethi", "ar": "arb_Arab", "az": "azj_Latn", "be": "bel_Cyrl", "bg": "bul_Cyrl",
    "bn": "ben_Beng", "bs": "bos_Latn", "ca": "cat_Latn", "cs": "ces_Latn", "cy": "cym_Latn", "da": "dan_Latn",
    "de": "deu_Latn", "el": "ell_Grek", "en": "eng_Latn", "eo": "epo_Latn", "es": "spa_Latn", "et": "est_Latn",
    "eu": "eus_Latn", "fa": "pes_Arab", "fi": "fin_Latn", "fr": "fra_Latn", "ga": "gle_Latn", "gl": "glg_Latn",
    "gu": "guj_Gujr", "ha": "hau_Latn", "he": "heb_Hebr", "hi": "hin_Deva", "hr": "hrv_Latn", "ht": "hat_Latn",
    "hu": "hun_Latn", "hy": "hye_Armn", "id": "ind_Latn", "ig": "ibo_Latn", "is": "isl_Latn", "it": "ita_Latn",
    "ja": "jpn_Jpan", "jv": "jav_Latn", "ka": "kat_Geor", "kk": "kaz_Cyrl", "km": "khm_Khmr", "kn": "kan_Knda",
    "ko": "kor_Hang", "lb": "ltz_Latn", "lo": "lao_Laoo", "lt": "lit_Latn", "lv": "lvs_Latn", "mg": "plt_Latn",
    "mk": "mkd_Cyrl", "ml": "mal_Mlym", "mn": "khk_Cyrl", "mr": "mar_Deva", "ms": "zsm_Latn", "mt": "mlt_Latn",
    "my": "mya_Mymr", "nb": "nob_Latn", "ne": "npi_Deva", "nl": "nld_Latn", "nn": "nno_Latn", "no": "nob_Latn",
    "pa": "pan_Guru", "pl": "pol_Latn", "ps": "pbt_Arab", "pt": "por_Latn", "ro": "ron_Latn", "ru": "rus_Cyrl",
    "sd": "snd_Arab", "si": "sin_Sinh", "sk": "slk_Latn", "sl": "slv_Latn", "so": "som_Latn", "sq": "als_Latn",
    "sr": "srp_Cyrl", "su": "sun_Latn", "sv": "swe_Latn", "sw": "swh_Latn", "ta": "tam_Taml", "te": "tel_Telu",
    "tg": "tgk_Cyrl", "th": "tha_Thai", "tl": "tgl_Latn", "tr": "tur_Latn", "uk": "ukr_Cyrl", "ur": "urd_Arab",
    "uz": "uzn_Latn", "vi": "vie_Latn", "xh": "xho_Latn", "yo": "yor_Latn", "zh": "zho_Hans", "zu": "zul_Latn",
}  # fmt: skip
"""ISO 639-1 -> FLORES-200 code, as NLLB has it (NLLB Team 2022, table 1)."""

TARGET_TAGS = {"en": ">>eng<<", "fr": ">>fra<<", "de": ">>deu<<", "es": ">>spa<<", "zh": ">>cmn_Hans<<"}
"""What a Marian model for several target languages reads first, to know which one is wanted (opus-mt's names)."""


def is_multilingual(tokenizer: Any) -> bool:
    """Whether the tokenizer must be told the languages (M2M100, NLLB, mBART)."""
    return hasattr(tokenizer, "set_src_lang_special_tokens")


def language_code(tokenizer: Any, language: str) -> str | None:
    """The tokenizer's own code of an ISO 639-1 language, for its `src_lang`; None when it does not know it."""
    if hasattr(tokenizer, "lang_code_to_token"):
        return language if language in tokenizer.lang_code_to_token else None
    special = tokenizer.all_special_tokens
    if (code := FLORES.get(language)) in special:
        return code
    return next((token for token in special if token.startswith(f"{language}_")), None)


def language_id(tokenizer: Any, language: str) -> int | None:
    """Id of the token that makes the decoder write this language; None when there is none."""
    code = language_code(tokenizer, language)
    if code is None:
        return None
    token = tokenizer.lang_code_to_token[code] if hasattr(tokenizer, "lang_code_to_token") else code
    return int(tokenizer.convert_tokens_to_ids(token))
