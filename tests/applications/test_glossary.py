"""A glossary: read, found in sentences, obeyed by every style of translator, also through English."""

from __future__ import annotations

import pytest
from fakes import HOST

from engine.applications.glossary import find_terms, for_legs, read_terms
from engine.applications.literals import keep_aside, missing, restored
from engine.applications.translate import APPLICATION, TranslateRequest
from engine.errors import InputError, TooLargeError


@pytest.mark.parametrize("line", ["Invoice = facture", "invoice -> facture", "invoice → facture", "invoice\tfacture"])
def test_a_line_is_a_term_and_its_translation(line: str) -> None:
    assert read_terms([line, "", "cash desk = caisse"]) == {"invoice": "facture", "cash desk": "caisse"}


@pytest.mark.parametrize("line", ["invoice", "= facture", "invoice ="])
def test_a_line_that_is_no_pair_is_told_by_its_number(line: str) -> None:
    with pytest.raises(InputError, match="Line 2 of the glossary"):
        read_terms(["a = b", line])
    with pytest.raises(TooLargeError):
        read_terms([f"a = {'b' * 101}"])


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("Send the invoice.", ["facture"]),
        ("Invoice me.", ["Facture"]),
        ("No invoices here.", []),
        ("The cash desk and the invoice.", ["caisse", "facture"]),
        ("“Invoice” is a word.", ["Facture"]),
    ],
)
def test_terms_are_found_as_whole_words(sentence: str, found: list[str]) -> None:
    terms = read_terms(["invoice = facture", "cash = liquide", "cash desk = caisse"])
    assert [made for *_, made in find_terms(sentence, terms)] == found


def test_a_term_is_kept_aside_also_the_second_time() -> None:
    terms = read_terms(["invoice = facture"])
    kept = keep_aside("Send the invoice to a.py", "en", "fr", terms=terms)
    assert (
        kept.text == "Send the X1 to X2" and restored("Envoyez la X1 à X2", kept, "fr") == "Envoyez la facture à a.py"
    )
    assert missing("Envoyez la à X2", kept) == ["facture"]
    again = keep_aside("Send the invoice to a.py", "en", "fr", tried=(kept, "Envoyez la facture"), terms=terms)
    assert again.text == "Send the X1 to a.py"


@pytest.mark.parametrize("text", ["The invoice is here today.", "Invoice"])
def test_a_translation_obeys_it(house, text: str) -> None:
    house.backend.say = lambda request: request.prompt.split("\n")[-2].partition(": ")[2].replace("here", "ici")
    request = TranslateRequest(text, "en", "fr", "gemma-3-270m", ["invoice = facture"])
    (done,) = APPLICATION.run(house.engine, request, HOST).translations
    assert "acture" in done.text and "nvoice" not in done.text


def test_one_that_did_not_come_through_is_told(house) -> None:
    house.backend.say = lambda request: "Elle est là depuis hier matin."
    request = TranslateRequest(
        "The invoice was here in the morning.", "en", "fr", "gemma-3-270m", ["invoice = facture"]
    )
    (done,) = APPLICATION.run(house.engine, request, HOST).translations
    assert "did not come through: facture" in str(done.warning) and done.text.endswith("facture.")


def test_through_english_a_term_is_a_sign() -> None:
    first, second = for_legs(["fatura = facture"], 2)
    assert first == ["fatura = {{0}}"] and second == ["{{0}} = facture"]
    kept = keep_aside("The {{0}} is here.", "en", "fr", terms=read_terms(second))
    assert restored(kept.text, kept, "fr") == "The facture is here."
    assert for_legs(["a = b"], 1) == [["a = b"]] and for_legs([], 2) == [[], []]
