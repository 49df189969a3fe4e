"""The interface in the visitor's language: `_` says a sentence in it, and a small select changes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from engine import translations
from engine.messages import ENGLISH, Language, Text

KEY = "lang"
"""Of the choice, in the session and in links."""


def _(text: str | Text | Exception, **facts: Any) -> str:
    """A template with its facts, a Text or an error meant for people, in the visitor's language."""
    said = getattr(text, "text", text) if isinstance(text, Exception) else text
    if isinstance(said, Exception | str):
        said = Text(str(said), **facts)
    return said.said_in(spoken())


def labelled(labels: Mapping[Any, Text], key: str) -> Callable[[Any], str]:
    """What a choice with that key shows, as its `format_func`.

    Links hold what is shown; what one says in another language is understood.
    """
    shown = {option: _(label) for option, label in labels.items()}
    said = st.query_params.get(key)
    if said and key not in st.session_state and said not in shown.values():
        option = understood(labels, said)
        if option is not None:
            st.session_state[key] = option
    return lambda option: shown.get(option, str(option))


def understood(labels: Mapping[Any, Text], said: str) -> Any:
    """The option of which that is the label in some language; None where it is nobody's."""
    for spoken in map(translations.catalogue, translations.languages()):
        for option, label in labels.items():
            if label.said_in(spoken) == said:
                return option
    return None


def capitalised(sentence: str) -> str:
    """With its first letter in upper case."""
    return sentence[:1].upper() + sentence[1:]


def choose_language() -> None:
    """Let the visitor choose, where there is more than one language; the choice goes into the link."""
    codes = translations.languages()
    if len(codes) == 1:
        return
    if KEY not in st.session_state:
        st.session_state[KEY] = _code()
    chosen = st.selectbox(_("Language of the pages"), codes, format_func=_own_name, key=KEY)
    if chosen != translations.code_of([st.context.locale or ""]):
        st.query_params[KEY] = chosen
    else:
        st.query_params.pop(KEY, None)


def _own_name(code: str) -> str:
    """A catalogue translates the word "English" as the name of its own language."""
    name = Text("English").said_in(translations.language([code]))
    return name if code == "en" or name != "English" else code


def spoken() -> Language:
    """The catalogue of the visitor's language."""
    return translations.language([_code()]) if len(translations.languages()) > 1 else ENGLISH


def _code() -> str:
    """What the visitor chose here or in a link, else what the browser prefers."""
    chosen = st.session_state.get(KEY) or st.query_params.get(KEY)
    return translations.code_of([chosen or "", st.context.locale or ""])
