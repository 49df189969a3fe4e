"""The drafts of Write as a tree: what is asked goes on from the prompt, from a draft, or from another word of one.

A tree is one visit: it is kept with the draft that is shown, and comes back with it on reload, by link or from the
history. Its sizes are `draft_tree`'s, its end is the visit's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import streamlit as st

from engine.applications.draft_tree import PROMPT, Branch, Node, Tree, Way, tree_from
from engine.applications.drafts import drawn
from engine.applications.write import APPLICATION, TOKENS, WriteRequest
from engine.messages import Text, counted
from engine.storage import StorageError
from pages.parts.engine import house
from pages.parts.language import _
from pages.parts.streaming import ask
from pages.parts.text import plain
from pages.parts.visits import MOST_BESIDE, Exchange, answer_of, beside_name, keep, record_of, visitor

HELD, PENDING = "draft-held", "draft-branch"
COLOURED = "write_tokens"
"""Key of the switch that colours words by their probability."""
RIVALS = 10
"""Told of each token, where it is on."""
LEAST_REST = 24
"""Tokens that a draft may have from another word on, however late that stands."""
LABEL_CHARACTERS = 46
WAYS: dict[Way, Text] = {
    "written": Text("written"),
    "continued": Text("continued"),
    "word": Text("another word"),
    "beside": Text("beside"),
}


@dataclass
class Held:
    """A tree in the session, the answer that shows its current draft, and the visit in which it is kept."""

    tree: Tree
    answer: Exchange
    visit: str
    branch: Branch = field(default_factory=Branch)
    """Where the answer begins."""


def write_anew(key: str, request: WriteRequest) -> None:
    """Ask for a first draft: another tree begins."""
    st.session_state.pop(PENDING, None)
    st.session_state.pop(HELD, None)
    ask(key, _ready(request))


def write_again(key: str, request: WriteRequest) -> None:
    """Ask for another draft from the prompt on; of another prompt it is a first one."""
    held = held_of()
    if held and held.tree.prompt == request.text:
        _branch(key, held, Branch(), request)
    else:
        write_anew(key, request)


def carry_on(key: str, settings: dict[str, Any]) -> None:
    """Ask for more of the draft that is shown, with the settings as they are now."""
    answer, held = answer_of(key), held_of()
    if answer and held:
        whole = _whole(answer)
        _branch(key, held, Branch(_current(held, answer), len(whole), way="continued"), answer.request, settings)


def take_word(key: str, token: int, rival: int) -> None:
    """Ask for the rest of the draft from another word on."""
    answer, held = answer_of(key), held_of()
    tokens = told_of(answer) if answer else []
    if answer is None or held is None or not (0 <= token < len(tokens) and 0 <= rival < len(tokens[token].rivals)):
        return
    begun, picked = str(answer.request.continuation), tokens[token]
    branch = Branch(_current(held, answer), len(begun) + picked.start, picked.rivals[rival].text, "word")
    length = (answer.request.max_new_tokens or TOKENS[answer.request.kind]) - token - 1
    _branch(key, held, branch, answer.request, {"max_new_tokens": max(LEAST_REST, length)})


def in_place(now: WriteRequest, answer: Exchange | None) -> WriteRequest:
    """What the inputs ask for in the place of the draft that is shown: what begins elsewhere begins there again."""
    held = held_of()
    if held is None or answer is None or answer.request.text != now.text:
        return now
    if held.branch.way == "word":  # its length is what was left
        now = replace(now, max_new_tokens=answer.request.max_new_tokens, seed=None)
    return replace(now, continuation=answer.request.continuation)


def told_of(answer: Exchange) -> list[Any]:
    """The tokens of an answer, where they were told with it or since."""
    return list(answer.result.tokens) if answer.result else []


def _branch(
    key: str, held: Held, branch: Branch, request: WriteRequest, settings: dict[str, Any] | None = None
) -> None:
    begun = held.tree.before(branch)
    asked = _ready(replace(request, continuation=begun, **({"seed": None} | (settings or {}))))
    st.session_state[PENDING] = asked, branch
    _clear_beside(key)
    ask(key, asked, is_kept=False)


def _ready(request: WriteRequest) -> WriteRequest:
    """With a seed, so that the same comes when its tokens are asked for, and with these where they are shown."""
    rivals = RIVALS if is_coloured() else 0
    return replace(request, seed=drawn(request.seed), rivals=rivals)


def is_coloured() -> bool:
    """Whether the switch is on; on a page just opened, which has not drawn it yet, the address says so."""
    return bool(st.session_state.get(COLOURED, st.query_params.get(COLOURED) == "true"))


def held_of() -> Held | None:
    """The tree that is at hand."""
    held: Held | None = st.session_state.get(HELD)
    return held


def note(key: str) -> Held | None:
    """Have the tree hold the answer that has come, and be kept; what was asked by itself it holds once it is used."""
    answer, held = answer_of(key), held_of()
    if answer is None or (held and held.answer is answer):
        return held
    if answer.state not in ("done", "stopped") or not answer.text:
        return held
    asked, branch = st.session_state.get(PENDING, (None, None))
    if held and asked is answer.request:
        held = Held(_added(held.tree, branch, answer), answer, held.visit, branch)
        _keep(key, held)
    elif answer.visit and (tree := _kept_tree(answer.visit)):
        node = tree.find(tree.current)
        held = Held(tree, answer, answer.visit, _branch_of(node) if node else Branch())
    elif held and answer.visit == "" and held.tree.prompt == answer.request.text:
        return held  # a setting was moved and asked again by itself
    else:
        first = Branch(given=str(answer.request.continuation))
        held = Held(_added(Tree(answer.request.text), first, answer), answer, answer.visit or "", first)
        _keep(key, held)
    st.session_state[HELD] = held
    return held


def note_beside(key: str, others: list[Exchange]) -> None:
    """Have the tree hold what was asked beside the draft that is shown, which stays so."""
    held = held_of()
    if held is None:
        return
    tree = held.tree
    known = {(node.text, node.request.temperature, node.request.seed) for node in tree.nodes}
    for other in others:
        if other.state == "done" and (other.text, other.request.temperature, other.request.seed) not in known:
            tree = _added(tree, replace(held.branch, way="beside"), other)
    if tree is not held.tree:
        held.tree = tree.show(held.tree.current)
        _keep(key, held)


def turn_to_beside(key: str, other: Exchange) -> None:
    """Have one that stands beside be the draft that is shown."""
    held = held_of()
    mark = other.text, other.request.temperature, other.request.seed
    for node in held.tree.nodes if held else ():
        if (node.text, node.request.temperature, node.request.seed) == mark:
            return _turn_to(key, node.id)
    return None


def _added(tree: Tree, branch: Branch, answer: Exchange) -> Tree:
    return tree.add(branch, answer.request, answer.text, answer.result)


def _branch_of(node: Node) -> Branch:
    return Branch(node.parent, node.kept, node.given, node.way)


def _current(held: Held, answer: Exchange) -> int:
    """The number of the draft that is shown; one that was asked by itself joins the tree now."""
    if held.answer is not answer:
        begun = str(answer.request.continuation)
        held.branch = held.branch if held.tree.before(held.branch) == begun else Branch(given=begun)
        held.tree, held.answer = _added(held.tree, held.branch, answer), answer
    return held.tree.current


def _whole(answer: Exchange) -> str:
    return str(answer.request.continuation) + answer.text


def _kept_tree(visit: str) -> Tree | None:
    try:
        found = house().visits.find(visit, APPLICATION.id) or {}
    except StorageError:
        return None
    return tree_from(found["drafts"]) if "drafts" in found else None


def _keep(key: str, held: Held) -> None:
    """Keep the tree with its current draft in its visit; where that is somebody else's or gone, in one of its own."""
    answer = held.answer
    content = record_of(APPLICATION, answer) | {"drafts": held.tree.as_record()}
    try:
        if held.visit and house().visits.add(visitor(), held.visit, APPLICATION.id, content):
            answer.visit = held.visit
            return
        if not answer.visit or answer.visit == held.visit:
            answer.visit = None
            keep(key, answer)
        held.visit = answer.visit or ""
        if held.visit:
            house().visits.add(visitor(), held.visit, APPLICATION.id, {"drafts": held.tree.as_record()})
    except StorageError:
        answer.visit = ""


def _clear_beside(key: str) -> None:
    for number in range(MOST_BESIDE):
        st.session_state.pop(beside_name(key, number), None)


# The tree on the page.


def show_tree(key: str) -> None:
    """All drafts of the prompt, to go back to one or to delete it; nothing while there is one alone, and shown."""
    held = held_of()
    is_shown = held is not None and held.answer is answer_of(key)
    if held is None or (is_shown and len(held.tree.nodes) < 2):
        return
    walked = list(held.tree.walk())
    labels = {node.id: _label(held.tree, node, depth) for node, depth in walked}
    name = f"{key}-tree"
    st.session_state[name] = held.tree.current if is_shown else None
    words = _(counted("{count} draft", "{count} drafts", len(walked)))
    with st.expander(words, icon=":material/account_tree:", expanded=True, key=f"{name}-open"):
        st.radio(
            _("Drafts of this prompt"), list(labels), key=name, format_func=lambda id: labels[id], on_change=_show,
            args=(key, name), label_visibility="collapsed",
        )  # fmt: skip
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                _("Delete this draft"), icon=":material/delete:", key=f"{name}-delete", on_click=_delete, args=(key,),
                disabled=not is_shown or len(walked) < 2, help=_("And those that go on from it."),
            )  # fmt: skip
            st.caption(_("Kept with this visit, on reload and in the history, as long as that is."))


def _label(tree: Tree, node: Node, depth: int) -> str:
    """Where it stands, its number (no two may read the same), its first words, and how it came about."""
    begun = node.given + node.text
    words = " ".join(begun.split())
    short = words if len(words) <= LABEL_CHARACTERS else words[: LABEL_CHARACTERS - 1] + "…"
    lead = "\u2003" * depth + ("└\u2002" if depth else "")
    facts = [_(WAYS[node.way]), _("temperature {value}", value=f"{node.request.temperature:g}")]
    return f"{lead}{node.id} · {'…' * bool(node.kept)}{plain(short)} · :gray[{plain(' · '.join(facts))}]"


def _show(key: str, name: str) -> None:
    if st.session_state[name] is not None:
        _turn_to(key, int(st.session_state[name]))


def _turn_to(key: str, id: int) -> None:
    """Have a draft of the tree be the answer of the page."""
    held = held_of()
    node = held.tree.find(id) if held else None
    if held is None or node is None:
        return
    tree = held.tree.show(id)
    result = tree.result_of(node)
    answer = Exchange(
        tree.request_of(node), node.text, "done" if result else "stopped", result, visit=held.visit,
        inputs=held.answer.inputs,
    )  # fmt: skip
    st.session_state[key], st.session_state[HELD] = answer, Held(tree, answer, held.visit, _branch_of(node))
    _clear_beside(key)
    _keep(key, st.session_state[HELD])


def _delete(key: str) -> None:
    held = held_of()
    if held is None:
        return
    held.tree = held.tree.without(held.tree.current)
    if held.tree.current != PROMPT:
        _turn_to(key, held.tree.current)
