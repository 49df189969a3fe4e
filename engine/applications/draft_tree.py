"""The tree of drafts of one prompt: each begins at the prompt, or somewhere in another one, and goes on its own way.

A value that is added to and pruned; where it is kept is the pages' to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.applications.write import WriteRequest, WriteResult

MOST_NODES, MOST_CHARACTERS = 40, 60_000
"""Of a tree; the oldest draft that nothing goes on from makes room."""
PROMPT = 0
"""The number of the prompt, with which drafts begin that go on from no other."""

Way = Literal["written", "continued", "word", "beside"]
"""How a draft came about: anew, carried on, from another word on, or asked for beside another."""


@dataclass(frozen=True)
class Node:
    """A draft: `kept` characters of its parent's whole text, the other word that was `given`, and what was written.

    Its request stands without the prompt's text and without what it goes on from, its result without text and tokens:
    the tree has these.
    """

    id: int
    parent: int
    kept: int
    given: str
    text: str
    way: Way
    request: WriteRequest
    result: WriteResult | None = None


@dataclass(frozen=True)
class Branch:
    """Where a draft that is asked for begins."""

    parent: int = PROMPT
    kept: int = 0
    given: str = ""
    way: Way = "written"


@dataclass(frozen=True)
class Tree:
    """All drafts of a prompt in the order in which they were written, and the one that is shown."""

    prompt: str
    nodes: tuple[Node, ...] = ()
    current: int = PROMPT

    def find(self, id: int) -> Node | None:
        """The draft of that number."""
        return next((node for node in self.nodes if node.id == id), None)

    def whole(self, id: int) -> str:
        """A draft's text from the prompt on; "" of the prompt."""
        node = self.find(id)
        return self.before(Branch(node.parent, node.kept, node.given)) + node.text if node else ""

    def before(self, branch: Branch) -> str:
        """What a draft that begins there goes on from."""
        return self.whole(branch.parent)[: branch.kept] + branch.given

    def request_of(self, node: Node) -> WriteRequest:
        """What was asked, as the engine takes it."""
        begun = self.before(Branch(node.parent, node.kept, node.given))
        return replace(node.request, text=self.prompt, continuation=begun)

    def result_of(self, node: Node) -> WriteResult | None:
        """What came of it; the tokens have to be asked for anew."""
        return node.result and replace(node.result, text=node.text)

    def add(self, branch: Branch, request: WriteRequest, text: str, result: WriteResult | None) -> Tree:
        """With another draft, which is shown then."""
        id = max((node.id for node in self.nodes), default=PROMPT) + 1
        own, bare = replace(request, text="", continuation=""), result and replace(result, text="", tokens=[])
        node = Node(id, branch.parent, branch.kept, branch.given, text, branch.way, own, bare)
        return replace(self, nodes=(*self.nodes, node), current=id)._pruned()

    def show(self, id: int) -> Tree:
        """With that draft as the one that is shown."""
        return replace(self, current=id) if self.find(id) else self

    def without(self, id: int) -> Tree:
        """Without a draft and those that go on from it; its parent is shown then, or the latest."""
        gone = {id} | {node.id for node, _ in self.walk(id)}
        node, nodes = self.find(id), tuple(node for node in self.nodes if node.id not in gone)
        shown = self.current if self.current not in gone else node.parent if node else PROMPT
        if shown == PROMPT and nodes:
            shown = nodes[-1].id
        return replace(self, nodes=nodes, current=shown)

    def walk(self, parent: int = PROMPT, depth: int = 0) -> Iterator[tuple[Node, int]]:
        """The drafts that go on from one, each before its own, with how deep they stand."""
        for node in self.nodes:
            if node.parent == parent:
                yield node, depth
                yield from self.walk(node.id, depth + 1)

    def _pruned(self) -> Tree:
        """Within the limits; what is shown stays, and what others go on from."""
        tree = self
        while len(tree.nodes) > MOST_NODES or sum(map(_size, tree.nodes)) > MOST_CHARACTERS:
            parents = {node.parent for node in tree.nodes}
            leaf = next((one for one in tree.nodes if one.id not in parents and one.id != tree.current), None)
            if leaf is None:
                break
            tree = replace(tree, nodes=tuple(one for one in tree.nodes if one is not leaf))
        return tree

    def as_record(self) -> dict[str, Any]:
        """For JSON."""
        found: dict[str, Any] = _reader().dump_python(self, mode="json")
        return found


def _size(node: Node) -> int:
    """Characters of a draft, and of the chat that it answers."""
    return len(node.text) + sum(len(turn.content) for turn in node.request.turns)


def tree_from(record: Any) -> Tree | None:
    """The tree of a record; None of one that an earlier version wrote in another form."""
    from pydantic import ValidationError

    try:
        found: Tree = _reader().validate_python(record)
    except ValidationError:
        return None
    return found


def _reader() -> Any:
    from engine.applications.records import reader

    return reader(Tree)
