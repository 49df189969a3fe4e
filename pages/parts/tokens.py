"""Words or tokens that can be pointed at, clicked and walked through by keys; what could stand there is a menu.

One stop of the Tab key: arrows go from word to word, Enter or Space opens the menu (or picks, where there is none),
arrows choose in it, Escape closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from engine.applications.tokens import Rival, WrittenToken
from pages.parts.language import _

MOST_SHOWN = 10
"""Rivals of a token that its menu lists."""

_TOKENS = st.components.v2.component(
    "tokens",
    html="""<p dir="auto" role="group"></p><div role="menu" popover="manual"></div>
""",
    css="""
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-family: var(--st-font); color: var(--st-text-color);
    line-height: 1.6; }
p.serif { font-family: 'Source Serif', Georgia, 'Noto Serif CJK SC', serif; font-size: 1.1rem; line-height: 1.7; }
span[role=button] { cursor: pointer; border-radius: 3px; }
span[role=button]:hover, span[role=button]:focus-visible, .picked { background: var(--st-secondary-background-color); }
span[role=button].shaded { background: var(--shade); }
span[role=button].shaded:hover { outline: 1px solid var(--st-text-color); }
span[role=button]:focus-visible { outline: 2px solid var(--st-link-color); outline-offset: 1px; }
.line::before { content: "↵"; opacity: .55; font-family: var(--st-font); }
.unsure { background: color-mix(in srgb, var(--st-yellow-color, #b8860b) 16%, transparent); }
.doubtful { text-decoration: underline dotted var(--st-primary-color) 2px; text-underline-offset: 3px; }
[role=menu] { position: fixed; inset: auto; margin: 0; padding: .35rem; min-width: 9rem; max-width: min(20rem, 90vw);
    border: 1px solid var(--st-border-color); border-radius: .5rem; background: var(--st-background-color);
    color: var(--st-text-color); font-family: var(--st-font); font-size: .875rem; line-height: 1.35;
    box-shadow: 0 4px 16px rgb(0 0 0 / 22%); max-height: 60vh; overflow-y: auto; }
[role=menu] small { display: block; padding: .1rem .4rem .3rem; opacity: .85; }
[role=menuitem] { display: flex; justify-content: space-between; gap: 1rem; padding: .22rem .4rem; cursor: pointer;
    border-radius: .3rem; white-space: pre; position: relative; }
[role=menuitem] b { font-weight: 500; overflow: hidden; text-overflow: ellipsis; }
[role=menuitem] i { font-style: normal; font-variant-numeric: tabular-nums; opacity: .8; }
[role=menuitem][aria-disabled] { cursor: default; }
[role=menuitem]:hover, [role=menuitem]:focus-visible { background: var(--st-secondary-background-color);
    outline: 2px solid var(--st-link-color); outline-offset: -2px; }
""",
    js="""
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("p"), menu = parentElement.querySelector("[role=menu]");
  const host = parentElement.getRootNode().host ?? parentElement;
  host.dataset.words = data.pieces.map((piece) => piece.text).join("");  // for the announcer, which sees no shadow
  root.className = data.serif ? "serif" : "";
  if (data.label) root.setAttribute("aria-label", data.label);
  root.over?.();  // what the drawing before this one listened to
  let open = null, pinned = false, late = 0;
  const close = () => {
    clearTimeout(late);
    open?.removeAttribute("aria-expanded");
    if (menu.matches(":popover-open")) menu.hidePopover();
    open = null; pinned = false;
  };
  const place = (word) => {
    const at = [...word.getClientRects()].find((rect) => rect.width > 0) ?? word.getBoundingClientRect();
    const size = menu.getBoundingClientRect(), below = at.bottom + 2;
    const fits = below + size.height < innerHeight || at.top < size.height;
    menu.style.left = `${Math.max(4, Math.min(at.left, innerWidth - size.width - 4))}px`;
    menu.style.top = `${fits ? below : at.top - size.height - 2}px`;
  };
  const show = (word, piece) => {
    if (open !== word) close();
    if (open === word) return;
    const note = document.createElement("small");
    note.textContent = piece.hint;
    menu.replaceChildren(note, ...piece.rivals.map(([text, share], number) => {
      const item = document.createElement("div"), name = document.createElement("b");
      const value = document.createElement("i");
      name.textContent = text.replaceAll("\\n", "↵");
      value.textContent = share;
      item.append(name, value);
      item.tabIndex = -1;
      item.setAttribute("role", "menuitem");
      item.setAttribute("aria-label", `${text}, ${share}`);
      if (data.told) item.setAttribute("aria-disabled", "true");
      else item.onclick = () => { close(); setTriggerValue("picked", { place: piece.place, rival: number }); };
      return item;
    }));
    open = word;
    word.setAttribute("aria-expanded", "true");
    menu.showPopover();
    place(word);
  };
  const items = () => [...menu.querySelectorAll("[role=menuitem]")];
  menu.onmouseenter = () => clearTimeout(late);
  menu.onmouseleave = () => { if (!pinned) close(); };
  menu.onkeydown = (event) => {
    const all = items(), now = all.indexOf(parentElement.getRootNode().activeElement ?? document.activeElement);
    const to = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) all[(to + all.length) % all.length]?.focus();
    else if (event.key === "Enter" || event.key === " ") all[now]?.click();
    else if (event.key === "Escape" || event.key === "Tab") { const word = open; close(); word?.focus(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const words = [];
  const go = (word) => {
    for (const other of words) other.tabIndex = other === word ? 0 : -1;
    word.focus();
  };
  root.replaceChildren(...data.pieces.flatMap((piece) => {
    const word = document.createElement("span");
    word.textContent = piece.text;
    word.className = ["unsure", "doubtful", "picked"].filter((name) => piece[name]).join(" ");
    if (piece.place === undefined || piece.place === null) return word;
    const bare = piece.text.trimStart(), lead = bare && piece.text.slice(0, -bare.length);
    word.textContent = bare || piece.text;  // its space, at a line's end, would have the next line's colour
    if (piece.text.includes("\\n") && !piece.text.trim()) word.classList.add("line");
    if (piece.shade !== undefined && piece.shade !== null) {
      const [colour, most] = piece.shade < .5 ? ["#d1603d", 62] : ["#1f8a84", 46];
      word.classList.add("shaded");
      word.style.setProperty("--shade",
        `color-mix(in srgb, ${colour} ${Math.round(Math.abs(piece.shade - .5) * 2 * most)}%, transparent)`);
    }
    const rivals = piece.rivals ?? [];
    if (!rivals.length) word.title = piece.hint;
    word.tabIndex = words.length ? -1 : 0;
    word.setAttribute("role", "button");
    word.setAttribute("aria-label", `${piece.text.trim() || "↵"}. ${piece.hint}`);
    if (rivals.length) word.setAttribute("aria-haspopup", "menu");
    const pick = () => {
      if (!rivals.length) return setTriggerValue("picked", { place: piece.place, rival: null });
      if (open === word && pinned) return close();
      show(word, piece);
      pinned = true;
    };
    word.onclick = pick;
    word.onmouseenter = () => {
      if (!rivals.length || pinned) return;
      clearTimeout(late);
      late = setTimeout(() => show(word, piece), open ? 40 : 160);
    };
    word.onmouseleave = () => { clearTimeout(late); if (!pinned) late = setTimeout(close, 200); };
    word.onkeydown = (event) => {
      const now = words.indexOf(word);
      const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: words.length - 1 }[event.key];
      if (to !== undefined) { close(); go(words[Math.max(0, Math.min(to, words.length - 1))]); }
      else if (event.key === "Enter" || event.key === " " || (event.key === "ArrowDown" && rivals.length)) {
        pick();
        if (rivals.length) items()[0]?.focus();
      } else if (event.key === "Escape") close();
      else return;
      event.preventDefault();
    };
    words.push(word);
    return lead ? [document.createTextNode(lead), word] : word;
  }));
  const marked = words.find((word) => word.classList.contains("picked"));
  if (marked) { words[0].tabIndex = -1; marked.tabIndex = 0; }
  const outside = (event) => { if (!event.composedPath().some((one) => one === menu || one === root)) close(); };
  document.addEventListener("pointerdown", outside);
  document.addEventListener("scroll", close, true);
  return root.over = () => {
    close();
    document.removeEventListener("pointerdown", outside);
    document.removeEventListener("scroll", close, true);
  };
}
""",
)


@dataclass(frozen=True)
class Piece:
    """A part of a text; one with a `place` can be picked.

    `shade` colours it by a probability, `hint` says what it is, `rivals` are what could stand there with their shares
    in words. `is_doubtful` underlines, `is_unsure` tints, `is_picked` marks.
    """

    text: str
    place: Any = None
    hint: str = ""
    shade: float | None = None
    rivals: Sequence[tuple[str, str]] = ()
    is_unsure: bool = False
    is_doubtful: bool = False
    is_picked: bool = False


Pick = Callable[[Any, int | None], None]
"""Takes the place of the piece that was picked, and the number of the rival where one was chosen."""


def show_pieces(
    pieces: Sequence[Piece], key: str, pick: Pick | None, *, label: str = "", is_serif: bool = False
) -> None:
    """Draw a text of pieces; `pick` is called before the page is drawn again, without one rivals are only told."""

    def clicked() -> None:
        found = st.session_state[key].picked
        if found and pick:
            pick(found["place"], found["rival"])

    drawn = [_as_data(one) for one in pieces if one.text]
    data = {"pieces": drawn, "label": label, "serif": is_serif, "told": pick is None}
    _TOKENS(key=key, data=data, on_picked_change=clicked)


def _as_data(piece: Piece) -> dict[str, Any]:
    said = {"text": piece.text, "unsure": piece.is_unsure, "doubtful": piece.is_doubtful, "picked": piece.is_picked}
    if piece.place is None:
        return said
    more = {
        "place": piece.place,
        "hint": piece.hint,
        "shade": piece.shade,
        "rivals": [list(one) for one in piece.rivals],
    }
    return said | more


def pieces_of(text: str, tokens: Sequence[WrittenToken], start: int = 0) -> list[Piece]:
    """A text as pieces, its tokens coloured by their probability; `start` is where in it the tokens' text begins."""
    pieces, end = [], 0
    for number, token in enumerate(tokens):
        at = start + token.start
        pieces.append(Piece(text[end:at]))
        rivals = [(one.text, percent(one.probability)) for one in token.rivals[:MOST_SHOWN]]
        pieces.append(Piece(token.text, number, hint_of(token.probability, token.rivals), token.probability, rivals))
        end = at + len(token.text)
    return [*pieces, Piece(text[end:])]


def hint_of(probability: float | None, rivals: Sequence[Rival]) -> str:
    """How likely the model found a token."""
    if probability is None:
        return _("how likely it was is not known")
    words = _("{percent} likely", percent=percent(probability))
    return words + (" · " + _("instead:") if rivals else "")


def percent(share: float) -> str:
    """A probability in words, small ones too."""
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "<0.1%"
