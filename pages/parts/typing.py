"""What is being typed into a text area, told after a pause; Streamlit itself tells only when the area is left."""

from __future__ import annotations

from typing import Any

import streamlit as st

PAUSE_MILLISECONDS = 250

_TYPING = st.components.v2.component(
    "typing",
    html="""<span hidden></span>
""",
    js="""
const watched = new WeakMap();
export default function ({ data, parentElement, setStateValue }) {
  let timer, looking;
  const tell = (area) => {
    clearTimeout(timer);
    timer = setTimeout(() => setStateValue("text", area.value), data.pause);
  };
  const watch = () => {
    const area = document.querySelector(`.st-key-${data.area} textarea`);
    if (!area) { looking = setTimeout(watch, 100); return; }
    watched.get(area)?.();
    const listen = (event) => { if (!event.isComposing) tell(area); };
    // Left or sent, the area is told of by Streamlit itself: to tell it again would stop the answer that is on its way.
    const leave = () => clearTimeout(timer);
    const send = (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) leave(); };
    const listeners = { input: listen, compositionend: listen, blur: leave, keydown: send };
    for (const [name, act] of Object.entries(listeners)) area.addEventListener(name, act);
    watched.set(area, () => {
      for (const [name, act] of Object.entries(listeners)) area.removeEventListener(name, act);
    });
  };
  watch();
  return () => {
    clearTimeout(timer);
    clearTimeout(looking);
    const area = document.querySelector(`.st-key-${data.area} textarea`);
    if (area) { watched.get(area)?.(); watched.delete(area); }
  };
}
""",
)


def typed_text(area: str, given: str) -> str:
    """The text in the text area of that key as it stands after the last pause.

    `given` is what Streamlit knows of it; where that has changed since, by a button or a link, it is the newer one.
    """
    key = f"{area}-typing"
    data = {"area": area, "pause": PAUSE_MILLISECONDS}
    said: Any = _TYPING(key=key, data=data, on_text_change=lambda: None).text
    seen, beside = st.session_state.get(f"{key}-seen", (None, None))
    if said != seen:
        st.session_state[f"{key}-seen"] = said, given
        return said if isinstance(said, str) else given
    return said if isinstance(said, str) and beside == given else given
