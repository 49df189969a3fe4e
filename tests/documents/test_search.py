"""Passages overlap and keep their places; they are found by words and by meaning, and kept for their owner alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.documents import Document, Page, Paragraph, estimate_words
from engine.documents.passages import OVERLAP_WORDS, WORDS, Passage, passages_of
from engine.documents.search import Index, tokens_of
from engine.documents.shelf import Shelf
from engine.errors import ConflictError, NotFoundError, TooLargeError
from engine.messages import Text
from engine.storage import StorageError
from engine.storage.database import Database

SENTENCE = "The number {n} boat of the harbour went out to fish for herring at night. "


def document(*pages: str, title: str = "T", has_pages: bool = True) -> Document:
    made = [Page(n, (Paragraph(f"Part {n}", "heading", 1), Paragraph(text))) for n, text in enumerate(pages, 1)]
    return Document(title, tuple(made), has_pages, (Text("A note on {what}.", what="it"),))


def test_passages_are_whole_sentences_of_about_one_length_that_overlap() -> None:
    text = "".join(SENTENCE.format(n=n) for n in range(60)).strip()
    (page,) = (made := document(text)).pages
    found = passages_of(made, "id")
    assert all(page.text[one.start : one.end] == one.text for one in found)
    assert all(before.end > after.start for before, after in pairwise(found))
    assert all(WORDS / 4 < estimate_words(one.text) <= WORDS + OVERLAP_WORDS for one in found)
    assert all(one.text.endswith(".") for one in found) and found[-1].end == len(page.text)
    assert {one.heading for one in found} == {"Part 1"} and found[1].searched.startswith("Part 1\n")


@pytest.mark.parametrize(
    "text", ["word " * 500, "港口建于一七四二年" * 80, "a", "x" * 5000, "1. 2. 3. " * 300],
    ids=["no sentence", "Chinese", "one letter", "one word", "numbers"],
)  # fmt: skip
def test_odd_pages_are_cut_too(text: str) -> None:
    found = passages_of(document(text))
    assert found and all(estimate_words(one.text) <= 2 * WORDS for one in found)
    joined = "".join(one.text for one in found)
    assert set(text.split()) <= set(joined.split()) | {text.strip()} or len(joined) >= 0.9 * len(text.strip())


def test_pages_are_not_crossed_and_documents_without_them_have_none() -> None:
    assert [one.page for one in passages_of(document("One. Two.", "Three."))] == [1, 2]
    assert [one.page for one in passages_of(document("One.", has_pages=False))] == [0]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Who built the Harbours?", ["built", "harbour"]), ("L'été à Besançon", ["ete", "besancon"]),
        ("港口建于", ["港口", "口建", "建于"]), ("Die Straße", ["strasse"]), ("?!", []),
        ("1742 glass", ["1742", "glass"]),
    ],
)  # fmt: skip
def test_words_as_they_are_searched(text: str, tokens: list[str]) -> None:
    assert tokens_of(text) == tokens


def passages(*texts: str) -> list[Passage]:
    return [Passage(str(n), "T", 1, 0, len(text), text) for n, text in enumerate(texts)]


BOATS = passages("Herring boats went out.", "The pier is wooden.", "Music fills the sheds.")


def test_words_and_meaning_are_joined() -> None:
    index, vectors = Index(BOATS), np.array([[0, 1], [1, 0], [0, 0]], dtype=np.float16)
    by_words = index.search("wooden pier?", 3)
    assert [one.passage.document for one in by_words] == ["1"] and by_words[0].score == 1 and by_words[0].words > 0
    assert by_words[0].meaning is None
    both = index.search("herring", 3, [1.0, 0.0], vectors)
    assert {one.passage.document for one in both} == {"0", "1"}  # the third has neither a word nor a vector
    assert both[0].score >= both[1].score and both[0].meaning is not None
    assert index.search("nothing of it", 3) == [] and Index(passages("?!")).search("what", 3) == []


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Database]:
    made = Database("", tmp_path, 10**7)
    yield made
    made.close()


def test_a_document_is_its_owners_alone_and_can_be_deleted(storage: Database) -> None:
    shelf = Shelf(storage, 60, 5, 10_000)
    kept = shelf.add("me", document("One. Two."), "a.txt")
    assert (kept.title, kept.name, kept.pages, kept.words) == ("T", "a.txt", 1, 4) and str(
        kept.notes[0]
    ) == "A note on it."
    assert shelf.of("me") == [kept] and shelf.of("you") == [] and kept.ends - kept.made == pytest.approx(60)
    assert shelf.read("me", kept.id) == document("One. Two.")
    for look in (shelf.read, shelf.find, shelf.passages, shelf.vectors, shelf.delete):
        for owner, id in (("you", kept.id), ("", kept.id), ("me", "x"), ("me", ""), ("me", "x" * 999)):
            with pytest.raises(NotFoundError, match="not here any more"):
                look(owner, id)
    shelf.index("me", [kept.id])
    shelf.delete("me", kept.id)
    assert shelf.of("me") == [] and not storage.usage()
    with pytest.raises(NotFoundError):
        shelf.index("me", [kept.id])


def test_a_document_ends_with_its_time(tmp_path: Path) -> None:
    clock = [1_000.0]
    storage = Database("", tmp_path, 10**7, now=lambda: clock[0])
    shelf = Shelf(storage, 60, 1, 10_000)
    kept = shelf.add("me", document("One. Two."), "a.txt")
    shelf.keep_vectors("me", kept.id, np.array([[0.5, 1]], dtype=np.float16))
    assert shelf.index("me", [kept.id]).passages and shelf.of("me") == [kept]
    clock[0] += 61
    assert shelf.of("me") == []
    for look in (shelf.read, shelf.find, shelf.passages, shelf.vectors):
        with pytest.raises(NotFoundError, match="its time ended"):
            look("me", kept.id)
    assert not (shelf._passages or shelf._vectors or shelf._indexes), "nothing of it stays in memory"
    shelf.add("me", document("Three."), "b.txt")  # there is room again
    storage.close()


def test_a_file_that_is_brought_again_is_kept_as_long_as_a_new_one(tmp_path: Path) -> None:
    clock = [1_000.0]
    storage = Database("", tmp_path, 10**7, now=lambda: clock[0])
    shelf = Shelf(storage, 60, 1, 10_000)
    kept = shelf.add("me", document("One. Two."), "a.txt", "digest")
    shelf.keep_vectors("me", kept.id, np.array([[0.5, 1]], dtype=np.float16))
    assert shelf.again("you", "digest", "b.txt") is None and shelf.again("me", "other", "b.txt") is None
    clock[0] += 50
    again = shelf.again("me", "digest", "b.txt")
    assert (
        again is not None and again.is_again and str(again.notes[0]) == "b.txt is here already, as T: it stands once."
    )
    clock[0] += 50
    assert shelf.read("me", kept.id) == document("One. Two.") and [one.id for one in shelf.of("me")] == [kept.id]
    assert Shelf(storage, 60, 1, 10_000).vectors("me", kept.id) is not None
    storage.delete(f"document part {kept.id} 0")
    assert shelf.again("me", "digest", "b.txt") is None and shelf.of("me") == [], "it has to be read anew"
    storage.close()


def test_vectors_are_kept_with_their_document(storage: Database) -> None:
    shelf = Shelf(storage, 60, 5, 10_000)
    kept = shelf.add("me", document("One. Two.", "Three."), "a.txt")
    assert shelf.vectors("me", kept.id) is None
    made = np.array([[0.5, 1], [1, 0]], dtype=np.float16)
    shelf.keep_vectors("me", kept.id, made)
    read = Shelf(storage, 60, 5, 10_000).vectors("me", kept.id)
    assert read is not None and (read == made).all()
    shelf.forget("me")
    assert not storage.usage()


def test_large_documents_are_kept_in_parts(storage: Database) -> None:
    shelf, large = Shelf(storage, 60, 5, 10**6), document("".join(SENTENCE.format(n=n) for n in range(20_000)))
    kept = shelf.add("me", large, "a.txt")
    assert storage.usage()["document part"][0] > 1 and Shelf(storage, 60, 5, 1).read("me", kept.id) == large


def test_a_document_of_which_a_part_had_to_make_room_is_gone(storage: Database) -> None:
    shelf = Shelf(storage, 60, 5, 10_000)
    kept = shelf.add("me", document("One."), "a.txt")
    storage.delete(f"document part {kept.id} 0")
    with pytest.raises(NotFoundError):
        shelf.read("me", kept.id)
    assert shelf.of("me") == []


def test_there_are_limits(storage: Database) -> None:
    shelf = Shelf(storage, 60, 2, 30)
    shelf.add("me", document("one " * 20), "a.txt")
    with pytest.raises(TooLargeError, match="has 22 words, and yours have 22 already; 30 is the limit"):
        shelf.add("me", document("one " * 20), "a.txt")
    shelf.add("me", document("one"), "a.txt")
    with pytest.raises(ConflictError, match="You have 2 documents here"):
        shelf.add("me", document("one"), "a.txt")
    shelf.add("you", document("one"), "a.txt")


def test_where_there_is_no_room_nothing_is_left(tmp_path: Path) -> None:
    storage = Database("", tmp_path, 100)
    with pytest.raises(StorageError, match="could not be kept"):
        Shelf(storage, 60, 2, 10**6).add("me", document("one " * 500), "a.txt")
    assert not storage.usage()
    storage.close()
