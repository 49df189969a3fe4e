"""What is made of what models tell: arithmetic by hand, and each view through an engine with fake models."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from benches import Bench, embedded_models, model
from fakes import HOST

from engine.backends.pytorch.sampling import filtered
from engine.catalogue.models import read_catalogue
from engine.errors import InputError, PeopleError, UnsupportedError
from engine.explain import VIEWS, taking_apart, tokens
from engine.explain.attention import AttentionRequest, AttentionResult, habit
from engine.explain.chain import ChainRequest, chain, contrast
from engine.explain.choosing import NextRequest, choose, tally
from engine.explain.counting import STORY, CountingRequest, Table, count
from engine.explain.lens import LensRequest, LensResult, turning
from engine.explain.meaning import MeaningRequest, closest, meaning
from engine.explain.tokens import TokensRequest
from engine.explain.view import _known, abilities
from engine.explain.why import Part, WhyRequest, around, fold, from_generate, methods_of, sentences, shares
from engine.inspections import MOST_TOKENS, Grid, Piece, pack
from engine.messages import NOTHING
from engine.requests import Generate, Message, Sampling, Token
from engine.serving.protocol import Caller

LOGITS = np.random.default_rng(3).normal(0, 3, 50).astype(np.float32)
BEST = [Piece(f"t{id}", int(id)) for id in np.argsort(-LOGITS)[:30]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    more, runs = model("minilm-l6", architecture="embedding"), tmp_path_factory.mktemp("runs")
    made = Bench(*embedded_models(), more, queue_length=64, runs_folder=runs)
    yield made
    made.engine.close()


def ask(bench: Bench, view: str, request: Any) -> Any:
    return VIEWS[view].run(bench.engine, request, HOST)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 1.7])
def test_bars_are_a_softmax_by_hand(temperature: float) -> None:
    found = choose(LOGITS, BEST, Sampling(temperature=temperature))
    powers = [math.exp(float(value) / temperature) for value in LOGITS]
    for one in found.choices:
        assert one.logit == pytest.approx(float(LOGITS[one.id])) and one.scaled == pytest.approx(
            one.logit / temperature
        )
        assert one.probability == pytest.approx(powers[one.id] / sum(powers), rel=1e-9)
        assert one.share == pytest.approx(one.probability) and one.dropped_by == ""
    shares = [power / sum(powers) for power in powers]
    assert found.entropy_bits == pytest.approx(-sum(one * math.log2(one) for one in shares))
    assert (found.kept, found.vocabulary) == (50, 50)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.7, top_k=5), Sampling(temperature=1.3, top_p=0.8), Sampling(temperature=1, min_p=0.2),
        Sampling(temperature=1.5, top_k=12, top_p=0.9, min_p=0.05), Sampling(temperature=2, top_k=1000, top_p=0.01),
    ],
)  # fmt: skip
def test_what_is_kept_is_what_sampling_keeps(sampling: Sampling) -> None:
    probabilities, ids = filtered(torch.from_numpy(LOGITS), sampling)
    order = range(50) if ids is None else ids.tolist()
    kept = {id: float(value) for id, value in zip(order, probabilities, strict=True) if value > 0}
    found = choose(LOGITS, BEST, sampling)
    assert found.kept == len(kept)
    for one in found.choices:
        assert one.share == pytest.approx(kept.get(one.id, 0.0) / sum(kept.values()), abs=1e-9)
        assert (one.dropped_by == "") == (one.id in kept)


def test_without_temperature_only_the_likeliest_is_kept() -> None:
    found = choose(LOGITS, BEST, Sampling(temperature=0).resolved())
    assert [one.share for one in found.choices[:2]] == [1.0, 0.0] and found.choices[1].dropped_by == "temperature"


def test_draws_are_counted_beside_what_was_to_be_expected() -> None:
    pieces = [BEST[0]] * 60 + [BEST[2]] * 39 + [Piece("rare", int(np.argsort(LOGITS)[0]), True)]
    found = choose(LOGITS, BEST, Sampling(temperature=1.0), pieces)
    told = {one.id: one for one in tally(found)}
    shares = {one.id: one.share for one in found.choices}
    assert (told[BEST[0].id].count, told[BEST[2].id].count) == (60, 39)
    assert told[BEST[0].id].expected == pytest.approx(100 * shares[BEST[0].id])
    powers = np.exp(LOGITS.astype(float))
    assert found.drawn[-1].share == pytest.approx(powers.min() / powers.sum()) and found.drawn[-1].is_end
    assert [one.expected for one in tally(found)] == sorted((one.expected for one in tally(found)), reverse=True)
    assert sum(one.count for one in tally(found)) == 100, "those that nobody expected among them"
    assert all(one.count or one.expected >= 1 for one in tally(found))


def test_the_chain_adds_up() -> None:
    scored = [Token("", 1), Token("Caf", 2, math.log(0.5)), Token("", 3, math.log(0.25), raw=b"\xc3"),
              Token("é", 4, math.log(0.125))]  # fmt: skip
    found = chain(scored, "a")
    assert [link.surprise_bits for link in found.links[1:]] == pytest.approx([1, 2, 3])
    assert found.links[-1].sum_bits == pytest.approx(6) and found.judged == 3 and found.links[2].text == "<0xC3>"
    assert found.perplexity == pytest.approx(4) and found.bits_per_byte == pytest.approx(6 / 5)
    with pytest.raises(InputError, match="single token"):
        chain(scored[:1], "a")


def test_bytes_are_the_plainest_tokens(bench: Bench) -> None:
    found = ask(bench, "tokens", TokensRequest("né", tokens.BYTES))
    assert [piece.text for piece in found.pieces] == ["n", "<0xC3>", "<0xA9>"] and found.count == 3
    costs = tokens.costs(bench.engine, tokens.BYTES, HOST)
    assert costs["en"] == len(tokens.SENTENCES["en"]) and costs["hi"] > 2 * costs["en"]
    by_words = tokens.costs(bench.engine, "smollm2-135m-instruct", HOST)
    assert by_words["en"] == 12 and by_words.keys() == tokens.SENTENCES.keys()


def test_every_view_answers(bench: Bench) -> None:
    text = "one two three"
    assert ask(bench, "tokens", TokensRequest(text)).count == 3
    found = ask(bench, "next", NextRequest(text, temperature=1, count=3))
    assert [one.probability for one in found.choices] == pytest.approx([8 / 36, 7 / 36, 6 / 36])
    assert found.rest == pytest.approx(15 / 36) and "q4_1" in str(found.origin)
    linked = ask(bench, "chain", ChainRequest(text, rivals=1))
    assert linked.perplexity == pytest.approx(math.e) and linked.links[1].rivals[0].text == "rival"
    seen = ask(bench, "attention", AttentionRequest(text, layer=1, source="left out, since it is no translator"))
    assert seen.weights.values().shape == (3, 3, 3) and (seen.kind, seen.layers, seen.heads) == ("causal", 2, 3)
    read = ask(bench, "lens", LensRequest(text, top=2))
    assert read.words[2][1] == ["w0", "w1"] and read.ids.axes == ("layer", "token", "rank")


def test_counting_by_hand() -> None:
    table = Table(b"abab")
    assert table.counts[b""] == {97: 2, 98: 2} and table.counts[b"a"] == {98: 2}
    alone = (2 + 2 / 256) / 6  # two of four letters, and two kinds that share what is left
    assert table.probability(b"", 97, 1) == pytest.approx(alone)
    assert table.probability(b"xa", 98, 1) == pytest.approx((2 + alone) / 3)
    for context in (b"", b"a", b"zz"):
        assert sum(table.probability(context, byte, 1) for byte in range(256)) == pytest.approx(1)
    found = count(CountingRequest("abab", "aba", 1))
    assert found.continuation == "ba" * 60 and [(one.text, one.count) for one in found.followers] == [("b", 2)]
    seen, unseen = (count(CountingRequest(STORY, prompt, 4)).bits_per_byte for prompt in ("the baker", "xylophone"))
    assert seen < 3 < unseen
    new = "In the morning the children came out of the school"
    by_order = count(CountingRequest(STORY, new, 8)).bits_by_order
    assert by_order[2] == min(by_order) < by_order[7], "more is not always better"
    assert by_order[2] == count(CountingRequest(STORY, new, 3)).bits_per_byte
    with pytest.raises(InputError, match="order"):
        count(CountingRequest("a", "b", 99))


def test_meaning_by_hand() -> None:
    vectors = {"man": (1, 0, 0, 0), "woman": (0, 1, 0, 0), "king": (0.6, 0, 0.8, 0), "queen": (0, 0.6, 0.8, 0),
               "bread": (0, 0, 0, 1)}  # fmt: skip
    table = {word: np.array(vector, float) for word, vector in vectors.items()}
    asked = [["man", "king", "woman", "queen"], ["man", "king", "woman", "bread"]]
    found = meaning(list(vectors), asked, table, "a")
    assert [(one.found, one.is_right) for one in found.analogies] == [("queen", True), ("queen", False)]
    assert found.nearest[2][0].text == "queen" and found.nearest[2][0].cosine == pytest.approx(0.64)
    plane, centred = found.plane.values(), np.stack(list(table.values())) - np.mean(list(table.values()), 0)
    values = np.sort(np.linalg.eigvalsh(centred.T @ centred))[::-1]
    assert (plane**2).sum(0) == pytest.approx(values[:2], rel=1e-4)
    assert found.shown == pytest.approx(values[:2].sum() / values.sum(), rel=1e-4)


@pytest.mark.parametrize(
    ("text", "analogies"), [("a\nb", ""), ("a\nb\nc", "man king"), ("\n".join(map(str, range(99))), "")]
)
def test_lines_that_cannot_be_drawn(bench: Bench, text: str, analogies: str) -> None:
    with pytest.raises(InputError):
        ask(bench, "meaning", MeaningRequest(text, analogies, "minilm-l6"))


def test_parts_are_folded(bench: Bench) -> None:
    pieces = [
        Piece("[CLS]", 1, True),
        Piece("un", 2),
        Piece("kind", 3),
        Piece(" man", 4),
        Piece(".", 5),
        Piece(" So", 6),
    ]
    parts = [Part(piece.text, value) for piece, value in zip(pieces, (9, 1, 2, 3, 4, 5), strict=True)]
    words = fold(pieces, parts)
    assert words == [Part("unkind", 3), Part("man.", 7), Part("So", 5)]
    assert sentences(words) == [Part("unkind man.", 10), Part("So", 5)]
    found = ask(bench, "why", WhyRequest("bad good", model="sentiment-e5"))
    assert [part.value for part in found.tokens] == [-1, 1] and found.answer == "positive" and not found.is_exact


def test_the_words_of_an_instruction_are_told_from_the_visitors(bench: Bench) -> None:
    instruction = Message("user", "Say it now in few words : The Sea is blue.")
    asked = WhyRequest("", messages=(instruction, Message("assistant", "It is blue")), own=("the sea is  blue",))
    found = ask(bench, "why", replace(asked, text=f"{instruction.content} It is blue", model="smollm2-135m-instruct"))
    owners = ["instruction"] * 7 + ["text"] * 4 + ["written"] * 3
    assert [part.of for part in found.tokens] == owners and found.method == "layers"
    assert [(part.text, part.of) for part in found.words] == [
        ("Sayitnowinfewwords:", "instruction"), ("TheSeaisblue.", "text"), ("Itisblue", "written"),
    ], "the fake's words have no spaces, and yet no word is of two"  # fmt: skip
    assert [part.of for part in found.sentences] == ["instruction", "text", "written"]
    told = shares(found.tokens)
    values = [part.value for part in found.tokens]
    assert told["instruction"].value == pytest.approx(sum(values[:7]))
    assert sum(one.share for one in told.values()) == pytest.approx(1)
    assert told["written"].share == pytest.approx(sum(map(abs, values[11:])) / sum(map(abs, values)))
    plain = ask(bench, "why", replace(asked, text="one two", own=("zebra",), model="smollm2-135m-instruct"))
    assert {part.of for part in plain.words} == {"text"}, "where the visitor's words are not found, nothing is folded"


@pytest.mark.parametrize(
    ("model_id", "method"),
    [("smollm2-135m-instruct", "layers"), ("sentiment-e5", "gradients"), ("answer-e5", "gradients")],
)
def test_without_a_method_it_is_the_one_that_suits(bench: Bench, model_id: str, method: str) -> None:
    assert ask(bench, "why", WhyRequest("bad good", question="Who?", model=model_id)).method == method
    assert methods_of(bench.engine.catalogue.find(model_id))[0] == method


def test_a_written_text_is_taken_off_its_prompt() -> None:
    made = from_generate(Generate("A story: the sea was calm"), "m", "and", own=["the sea."], written=" was calm")
    assert (made.text, made.begun, made.own) == ("A story: the sea", " was calm", ("the sea",))
    chat = from_generate(Generate(messages=(Message("user", "hi"),)), "m", "and", "so it", own=["hi"])
    assert chat.messages[-1] == Message("assistant", "so it") and chat.own == ("hi",)


def test_signs_that_take_several_tokens() -> None:
    pieces = [Piece("caf", 1), Piece("<0xC3>", 2), Piece("é", 3), Piece(" ", 4), Piece("<0xF0><0x9F>", 5),
              Piece("<0x99>", 6), Piece("🙂", 7), Piece("<0xC3>", 8), Piece("<0xA9>", 9), Piece("<0xC3>", 10),
              Piece("x", 11), Piece("<0xC3>", 12, True)]  # fmt: skip
    cut = [(sign, [piece.id for piece in some]) for sign, some in tokens.cut_signs(pieces)]
    assert cut == [("é", [2, 3]), ("🙂", [5, 6, 7]), ("é", [8, 9])]
    assert [sign for sign, _ in tokens.cut_signs(tokens.in_bytes("é a").pieces)] == ["é"]


def test_chinese_tokens_are_words_of_their_own() -> None:
    texts = ["", "\u2581", "这部", "电影", "好看", "。", "我", ""]
    parts = [Part(text, 1.0) for text in texts]
    pieces = [Piece(text, number, is_special=not text) for number, text in enumerate(texts)]
    words = fold(pieces, parts)
    assert [(one.text, one.value) for one in words] == [("这部", 2), ("电影", 1), ("好看。", 2), ("我", 1)]
    assert [one.text for one in sentences(words)] == ["这部电影好看。", "我"]


def test_a_question_why_is_a_job_that_is_found_again(bench: Bench) -> None:
    asked = WhyRequest("bad good", messages=(Message("user", "hi"),), model="sentiment-e5")
    assert taking_apart.find(bench.house, asked, HOST) is None
    taking_apart.begin(bench.house, asked, HOST)
    job = taking_apart.find(bench.house, asked, HOST)
    while job and job.is_alive:
        job = taking_apart.find(bench.house, asked, HOST)
    assert job and job.state == "finished" and "bad good" not in job.subject
    assert taking_apart.result_of(job) == ask(bench, "why", asked)
    assert taking_apart.find(bench.house, replace(asked, rival="x"), HOST) is None


@pytest.mark.parametrize(("start", "end"), [(0, 5), (700, 705), (1995, 2000)])
def test_what_is_around_an_answer(start: int, end: int) -> None:
    text = "".join(f"Sentence number {number:03d}. " for number in range(100))[:2000]
    part = around(text, start, end, 300)
    assert text[start:end].strip() in part and len(part) <= 300 and part in text
    assert part.startswith("Sentence") and around("short", 0, 5) == "short"


def test_what_a_view_cannot_show_is_said_with_one_that_can(bench: Bench) -> None:
    with pytest.raises(UnsupportedError, match=r"Layer by layer.*such as Smollm2"):
        ask(bench, "lens", LensRequest("one", model="minilm-l6"))
    for view, request in (("next", NextRequest("one", temperature=3)), ("chain", ChainRequest("a b", rivals=99)),
                          ("chain", ChainRequest("")), ("tokens", TokensRequest("a" * 5000))):  # fmt: skip
        with pytest.raises(PeopleError):
            ask(bench, view, request)


def test_grids_come_back_and_are_small() -> None:
    weights = np.random.default_rng(0).random((9, 64, 64))
    grid = pack(weights, ("head", "row", "column"), "float16")
    assert isinstance(grid, Grid) and len(grid.data) < 100_000 and grid.shape == weights.shape
    np.testing.assert_allclose(grid.values(), weights, atol=5e-4)
    assert MOST_TOKENS == 256


def test_a_changed_word_is_found_by_hand() -> None:
    def scored(*words: tuple[str, int, float]) -> Any:
        return chain([Token("The", 1), *(Token(text, id, -bits * math.log(2)) for text, id, bits in words)], "a")

    first = scored((" cat", 2, 3), (" sat", 3, 1), (" down", 4, 2))
    second = scored((" big", 9, 5), (" dog", 8, 4), (" sat", 3, 2), (" down", 4, 2))
    found = contrast(first, second)
    assert found and (found.first, found.second, found.after) == ("cat", "big dog", "sat down")
    figures = found.first_bits, found.second_bits, found.after_first_bits, found.after_second_bits
    assert figures == pytest.approx((3, 9, 3, 4))
    assert contrast(first, first) is None
    longer = contrast(first, scored((" cat", 2, 3), (" sat", 3, 1), (" down", 4, 2), (" again", 5, 6)))
    assert longer and (longer.first, longer.second, longer.after) == ("", "again", "") and longer.second_bits == 6


@pytest.mark.parametrize(
    ("shares", "ids", "first", "settled"),
    [
        ([0.1, 0.2, 0.6, 0.9], [1, 7, 7, 7], 1, 2), ([0.9, 0.6, 0.7, 0.4], [7, 7, 7, 7], 0, None),
        ([0.9, 0.9, 0.9, 0.9], [7, 7, 7, 7], 0, 0), ([0.9, 0.9, 0.9, 0.9], [7, 1, 7, 7], 0, 2),
    ],
)  # fmt: skip
def test_the_layer_that_turns_by_hand(shares: list[float], ids: list[int], first: int, settled: int | None) -> None:
    axes = ("layer", "token", "rank")
    words = [[[f"w{id}"]] for id in ids]
    grids = pack(np.array(ids)[:, None, None], axes, "int32"), pack(np.log(shares)[:, None, None], axes)
    found = turning(LensResult([Piece("a", 1)], words, *grids, pack(np.ones((3, 1)), axes[:2]), NOTHING, "a"))
    assert (found.word, found.first, found.settled) == ("w7", first, settled)
    assert found.probability == pytest.approx(shares[-1], rel=1e-5)


def test_what_an_average_hides_by_hand() -> None:
    weights = np.array([[[1, 0], [1, 0]], [[1, 0], [0, 1]]], float)  # the first token; the token itself
    habits = np.array([[[9, 9, 9, 9]] * 2, [[1, 0.5, 1, 1], [0.5, 1, 0, 1]]], float)
    pieces = [Piece("a", 1), Piece("b", 2)]
    grids = pack(weights, ("head", "row", "column")), pack(habits, ("layer", "head", "habit"))
    seen = AttentionResult("causal", pieces, pieces, 1, 2, 2, *grids, NOTHING, "a")
    second, mean = habit(seen, 2), habit(seen, 0)
    assert (second.first, second.own, second.before, second.spread) == (0.5, 1, 0, 1)
    assert (mean.first, mean.own, mean.least, mean.most) == (0.75, 0.75, (2, 0.5), (1, 1.0))
    assert mean.spread == pytest.approx(math.sqrt(2)), "of rows that spread over one and over two tokens"


def test_who_lies_closest_by_hand() -> None:
    table = {"a": np.array([1.0, 0]), "b": np.array([0.8, 0.6]), "c": np.array([0, 1.0])}
    found = closest(meaning(list(table), [], table, "x"), 2)
    assert found == [("a", "b", pytest.approx(0.8)), ("b", "c", pytest.approx(0.6))]


def test_a_visitors_oldest_question_makes_room(bench: Bench) -> None:
    """Anybody who may ask may ask why, as a job of their own, which nobody else finds."""
    visitor, other = (Caller(id=id, role="visitor") for id in ("a-browser", "another"))
    asked = [WhyRequest(f"bad good {number}", model="sentiment-e5") for number in range(taking_apart.MOST_KEPT + 1)]
    for one in asked:
        taking_apart.begin(bench.house, one, visitor)
        while (job := taking_apart.find(bench.house, one, visitor)) and job.is_alive:
            pass
        assert job and job.state == "finished"
    assert taking_apart.find(bench.house, asked[0], visitor) is None
    assert taking_apart.find(bench.house, asked[-1], visitor) and not taking_apart.find(bench.house, asked[-1], other)


@pytest.mark.parametrize("first", ["verse-smollm2", "smollm2-135m-instruct"])
def test_an_adapter_alone_has_other_views_than_its_base_whoever_is_asked_first(first: str) -> None:
    catalogue, ids = read_catalogue(), {"verse-smollm2", "smollm2-135m-instruct"}
    _known.clear()
    able = {id: "attribute" in abilities(catalogue.find(id)) for id in (first, *(ids - {first}))}
    assert able == {"verse-smollm2": False, "smollm2-135m-instruct": True}
