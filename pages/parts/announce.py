"""An answer as it comes: phones scroll to it, screen readers read it out, and what was typed since marks it.

Ctrl and Enter press the main button from anywhere on the page.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.parts.language import _

_ANNOUNCER = st.components.v2.component(
    "announcer",
    html="<span></span>",
    css=Path(__file__).with_name("frame.css").read_text(encoding="utf-8"),
    js="""
// A live region must stay in place while its content changes, so it lives outside of what Streamlit redraws.
const HIDDEN = "position:fixed;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:pre-wrap";
export default function ({ data }) {
  // Charts come late, and make room to scroll; counted, since a busy phone looks seldom.
  const LOOKS_BEFORE = 150, LOOKS_AFTER = 8;
  const WORDS = data?.edited ?? "";
  if (document.getElementById("parlance-live")) return;
  const region = document.createElement("div");
  region.id = "parlance-live";
  region.setAttribute("aria-live", "polite");
  region.style.cssText = HIDDEN;
  document.body.appendChild(region);
  let said = "", wasBusy = false, isAsked = false, timer = 0, pressed = null;
  const ANSWER = "[data-answer], [data-words], h3, mark";
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const find = () => document.querySelector(".st-key-answer-box");
  const shown = (box) => {  // words in a shadow are none of its inner text
    const words = [...(box?.querySelectorAll("[data-words]") ?? [])].map((part) => part.dataset.words);
    return [box?.innerText, ...words].join("\\n");
  };

  const alerts = () => [...document.querySelectorAll("[data-testid='stMain'] [data-testid='stAlert']")];

  // What was typed since the last press: the server hears of it with the next one, the eye should before.
  const before = new Map();
  const note = (field) => {
    if (field?.closest(".stForm") && "value" in field && !before.has(field)) before.set(field, field.value);
  };
  document.addEventListener("focusin", ({ target }) => note(target));
  document.addEventListener("input", () => {
    isAsked = true;
    const isTold = document.querySelector("[class*='-typing']");  // the server hears of each pause
    const isEdited = !isTold && [...before].some(([field, value]) => field.isConnected && field.value !== value);
    const box = find();
    if (isEdited && box?.querySelector(ANSWER)) box.dataset.edited = WORDS;
    else if (box) delete box.dataset.edited;
  });
  const press = (button) => {
    isAsked = true;
    before.clear();
    note(document.activeElement);  // who sends by keys goes on typing there
    delete find()?.dataset.edited;
    const known = new Set(alerts().map((one) => one.innerText)), isForms = !!button?.closest(".stForm");
    pressed = { search: location.search, text: shown(find()), known, button, isForms, looks: 0 };
    timer ||= setTimeout(() => look(), 400);
  };
  const MAIN_BUTTON = "[data-testid^='stBaseButton-primary']";
  document.addEventListener("click", ({ target }) => {
    const button = target.closest(MAIN_BUTTON);
    if (button && !button.closest("[role=dialog], [data-testid='stDownloadButton']")) press(button);
  }, true);
  if (document.activeElement?.closest(MAIN_BUTTON)) {  // somebody was quicker than this script
    press(document.activeElement.closest(MAIN_BUTTON));
    if (find()?.querySelector(ANSWER)) pressed.text = null;
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const isField = event.target.matches("input, textarea");  // those of a form do it themselves
    const form = event.target.closest(".stForm"), isSent = event.ctrlKey || event.metaKey;
    if (form && (isSent || !event.target.matches("textarea"))) press(form.querySelector(MAIN_BUTTON));
    if (isSent && !(isField && event.target.closest(".stForm"))) {
      const leave = isField ? (event.target.blur(), 300) : 0;  // Streamlit takes a field's value when it is left
      setTimeout(() => document.querySelector(`${MAIN_BUTTON}:not(:disabled)`)?.click(), leave);
    }
  }, true);

  for (const name of ["wheel", "touchmove"])  // whoever scrolls knows better
    document.addEventListener(name, () => { pressed = null; }, { passive: true });

  const bring = (part, block = "start") => {
    const { top } = part.getBoundingClientRect(), behavior = calm.matches ? "auto" : "smooth";
    if (top < 0 || top > window.innerHeight * 0.6) part.scrollIntoView({ behavior, block });
  };
  const isRunning = () => document.querySelector("[data-testid='stApp']")?.dataset.testScriptState !== "notRunning";
  const show = (box, isBusy) => {
    if (!pressed) return;
    // What came may say what stood there; an error leaves no answer, and stands by the button.
    const isEnded = pressed.isForms && pressed.looks > 2;
    const isCome = box && (isBusy || (box.querySelector(ANSWER) && (isEnded || shown(box) !== pressed.text)));
    const wrong = !isCome && isEnded && alerts().find((one) => !pressed.known.has(one.innerText));
    if (isCome) bring(box);
    else if (wrong) bring(wrong, "center");
    else if (!box && pressed.button?.isConnected) bring(pressed.button);  // what comes stands below it
    else if (!box && location.search !== pressed.search) {  // it led to another part of the page
      const behavior = calm.matches ? "auto" : "smooth";
      document.querySelector("[data-testid='stMain']")?.scrollTo({ top: 0, behavior });
      pressed = null;
      return;
    }
    pressed.looks = isBusy || isRunning() ? 0 : pressed.looks + 1;
    if (pressed.looks > (isCome || wrong ? LOOKS_AFTER : LOOKS_BEFORE)) pressed = null;
  };

  const look = () => {
    timer = 0;
    const box = find();
    const boxes = [box, ...document.querySelectorAll("[class*='st-key-answer-beside']")].filter(Boolean);
    const parts = boxes.flatMap((one) => [...one.querySelectorAll("[data-answer], [data-words]")]);
    const text = parts.map((part) => part.dataset.words ?? part.innerText).join("\\n");
    const works = (one) => !!one.querySelector("[class*='-stop'] button");
    const isBusy = boxes.some(works);
    show(box, !!box && works(box));
    if (pressed) timer = setTimeout(look, 400);  // also where nothing changes any more, but the page still moves
    if (isBusy || wasBusy || (isAsked && text !== said)) {  // a quick answer was never seen at work
      if (!text.startsWith(said)) said = "";
      const fresh = text.slice(said.length);
      const ends = [". ", "! ", "? ", "\\n", "。"].map((mark) => fresh.lastIndexOf(mark) + 1);
      const end = isBusy ? Math.max(...ends) : fresh.length;
      if (end > 0) {
        region.textContent = fresh.slice(0, end);
        said += fresh.slice(0, end);
        isAsked &&= isBusy;
      }
    } else said = text;
    wasBusy = isBusy;
  };
  new MutationObserver(() => { timer ||= setTimeout(look, 400); })
    .observe(document.body, { childList: true, subtree: true, characterData: true, attributeFilter: ["data-words"] });
}
""",
    isolate_styles=False,
)


def announcer() -> None:
    """Watch the container with the key `answer-box`, and those beside it; once a page, anywhere on it."""
    _ANNOUNCER(key="announcer", data={"edited": _("For the text before")}, height="content")
