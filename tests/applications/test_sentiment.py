"""Sentiment on a scripted backend: batches, foreign labels, confidence in words, caution, limits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import HOST

from engine.applications import emotions, judges, labels, sentiment
from engine.applications.carriers import without_each
from engine.applications.changes import changed_words
from engine.applications.sentiment import SentimentRequest, in_our_labels
from engine.errors import InputError, NotFoundError, PeopleError, TooLargeError, UnsupportedError
from engine.requests import Classification, Embedding
from engine.serving.wrapper import Wrapper
from pages.parts.sizes import confidence_in_words


def test_one_text(house) -> None:
    result = sentiment.APPLICATION.run(house.engine, SentimentRequest("a good film"), HOST)
    (score,) = result.results
    assert (score.label, score.score, result.model) == ("positive", 0.9, "sentiment-e5")
    assert sum(score.scores.values()) == pytest.approx(1)


def test_many_texts_come_back_in_their_order(house) -> None:
    texts = ["a very long and rather bad evening", "good", "bad one", "so good in every way that there is"]
    result = sentiment.APPLICATION.run(house.engine, SentimentRequest(texts), HOST)
    assert [score.label for score in result.results] == ["negative", "positive", "negative", "positive"]


def test_rows_of_as_many_tokens_are_asked_beside_each_other(house) -> None:
    class Noting(Wrapper):
        def stream_all(self, model_id, requests, *rest, **named):
            self.asked = [request.text for request in requests]
            return super().stream_all(model_id, requests, *rest, **named)

    engine = Noting(house.engine)
    sentiment.APPLICATION.run(engine, SentimentRequest("load it"), HOST)
    rows = ["it is a good one", "extraordinarily good", "a bad one", "good", "unbelievably"]
    result = sentiment.APPLICATION.run(engine, SentimentRequest(rows), HOST)
    assert engine.asked == ["good", "unbelievably", "extraordinarily good", "a bad one", "it is a good one"]
    assert [one.label for one in result.results] == ["positive", "positive", "negative", "positive", "negative"]


@pytest.mark.parametrize("model", [None, "tuned"])
def test_a_row_that_is_no_text_fails_no_other(house, model: str | None) -> None:
    catalogue = house.engine.catalogue
    catalogue.models["tuned"] = replace(catalogue.find("sentiment-e5"), id="tuned", labels=("negative", "positive"))
    rows = ["a good film", None, 7, " ", "x" * 2_001, "bad"]
    scores = sentiment.APPLICATION.run(house.engine, SentimentRequest(rows, model), HOST).results
    assert [bool(one.warning) for one in scores] == [False, True, True, True, True, False]
    assert (scores[0].label, scores[5].label, scores[1].label) == ("positive", "negative", "" if model else "neutral")
    assert len(set(scores[1].scores.values())) == 1 and "text[2] must be text" in str(scores[2].warning)
    with pytest.raises(InputError, match=r"text\[0\] must be text"):
        sentiment.APPLICATION.run(house.engine, SentimentRequest([None, 7]), HOST)


def test_only_waiting_shows_before_the_result(house) -> None:
    *before, last = sentiment.stream(house.engine, SentimentRequest(["good", "bad"]), HOST)
    assert {event.kind for event in before} <= {"queued", "loading"} and last.kind == "done"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({"NEGATIVE": 0.3, "POSITIVE": 0.7}, {"negative": 0.3, "neutral": 0.0, "positive": 0.7}),
        (
            {"1 star": 0.1, "2 stars": 0.2, "3 stars": 0.3, "4 stars": 0.3, "5 stars": 0.1},
            {"negative": 0.3, "neutral": 0.3, "positive": 0.4},
        ),
        ({"neg": 0.2, "neu": 0.5, "pos": 0.3}, {"negative": 0.2, "neutral": 0.5, "positive": 0.3}),
        ({"LABEL_0": 0.4, "LABEL_1": 0.6}, {"LABEL_0": 0.4, "LABEL_1": 0.6}),
        ({"joy": 0.9, "positive": 0.1}, {"joy": 0.9, "positive": 0.1}),
    ],
)
def test_labels_of_other_models_become_ours(theirs: dict[str, float], ours: dict[str, float]) -> None:
    assert in_our_labels(theirs) == pytest.approx(ours)


def test_a_two_class_model_from_the_hub_is_read(house) -> None:
    house.backend.classify = lambda text: {"NEGATIVE": 0.2, "POSITIVE": 0.8}
    result = sentiment.APPLICATION.run(house.engine, SentimentRequest("fine", "distilbert-sst2"), HOST)
    assert result.results[0].label == "positive" and result.results[0].scores["neutral"] == 0


@pytest.mark.parametrize(
    "text", ["aaaaaaaaaaaa", "haaaaaaaaa", "...", "🗿", "42", "🚲 🚲",
             ":/", "8)", "<eos>", "</s><s>", "[SEP]", "<start_of_turn>", "<|im_end|>", "<br>"]
)  # fmt: skip
def test_what_a_model_cannot_read_is_unsure_and_says_so(house, text: str) -> None:
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest(text), HOST).results
    assert confidence_in_words(score.score) == "unsure" and score.warning
    assert sum(score.scores.values()) == pytest.approx(1)


def test_digits_and_signs_are_pieces_of_their_own(house, monkeypatch: pytest.MonkeyPatch) -> None:
    signs = "0123456789/[]!$"
    monkeypatch.setattr(house.backend, "count_tokens", lambda text: len(text) // 4 + sum(one in signs for one in text))
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest("good film [10/10]!!! $$$"), HOST).results
    assert score.label == "positive" and not score.warning


def test_letters_without_words_are_told_by_their_many_pieces(house, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.backend, "count_tokens", lambda text: len(text) if "xq" in text else len(text) // 4)
    gibberish, words = sentiment.APPLICATION.run(
        house.engine, SentimentRequest(["xqzvkwj", "a good film"]), HOST
    ).results
    assert gibberish.warning and not words.warning and words.label == "positive"


@pytest.mark.parametrize(
    ("text", "of_text", "label"),
    [("👎", None, "negative"), ("😭", None, "negative"), ("👍🏽", None, "positive"), ("❤️❤️", None, "positive"),
     ("The food 👎", (0.2, 0.6, 0.2), "negative"), ("It came 😭", (0.3, 0.4, 0.3), "negative"),
     ("It came 🎉", (0.3, 0.4, 0.3), "positive"), ("Best day of my life 😭", (0.01, 0.04, 0.95), "positive"),
     ("👍👎", None, "neutral"), (":-)", None, "positive"), (":(", None, "negative"), ("<3 <3!", None, "positive"),
     ("</3", None, "negative"), ("XD :D", None, "positive"), (">:( :(", None, "negative"),
     ("Fine :(", (0.05, 0.05, 0.9), "positive")],
)  # fmt: skip
def test_emoji_count_alone_and_in_a_sentence(
    house, text: str, of_text: tuple[float, float, float] | None, label: str
) -> None:
    names = ("negative", "neutral", "positive")
    house.backend.classify = lambda seen: dict(zip(names, of_text or (0.05, 0.05, 0.9), strict=True))
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest(text), HOST).results
    assert score.label == label and sum(score.scores.values()) == pytest.approx(1)
    if of_text:
        assert not {"👎", "😭", "🎉"} & set(house.backend.seen[0].text)


def test_confidence_in_words_grows_with_the_score() -> None:
    assert [confidence_in_words(score) for score in (0.34, 0.6, 0.85, 1.0)] == [
        "unsure", "fairly sure", "very sure", "very sure",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "error", "param"),
    [
        (SentimentRequest(""), InputError, "text"),
        (SentimentRequest([]), InputError, "text"),
        (SentimentRequest("x" * 2_001), TooLargeError, "text"),
        (SentimentRequest(["x"] * 51), TooLargeError, "text"),
        (SentimentRequest("fine", "gpt2"), UnsupportedError, "model"),
        (SentimentRequest("fine", "no-such-model"), NotFoundError, "model"),
    ],
)
def test_errors_name_their_field(house, request_: SentimentRequest, error: type[PeopleError], param: str) -> None:
    with pytest.raises(error) as caught:
        sentiment.APPLICATION.run(house.engine, request_, HOST)
    assert caught.value.param == param


def test_sentences_of_a_text_are_judged_by_themselves(house) -> None:
    text = "A good film. The end was bad."
    house.backend.classify = lambda text: {"NEGATIVE": 0.1, "POSITIVE": 0.9} if "good" in text else NEGATIVE
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest(text, by_sentence=True), HOST).results
    assert [(one.text, one.label) for one in score.sentences] == [
        ("A good film.", "positive"), ("The end was bad.", "negative"),
    ]  # fmt: skip
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest("A good film.", by_sentence=True), HOST).results
    assert score.sentences == []
    rows = sentiment.APPLICATION.run(house.engine, SentimentRequest([text, "bad"], by_sentence=True), HOST).results
    assert [len(row.sentences) for row in rows] == [2, 0]


FIVE = ("en", "fr", "de", "es", "zh")
NEGATIVE = {"NEGATIVE": 0.9, "POSITIVE": 0.1}


def test_two_plain_words_are_english_without_a_look(house, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(judges, "guess_language", lambda text: looked.append(text) or ("en", 1.0))
    sentiment.APPLICATION.run(
        house.engine, SentimentRequest(["The cat and the dog slept", "Der Hund und die Katze"]), HOST
    )
    assert looked == ["Der Hund und die Katze"]
    looked.clear()
    many = [*["The cat and the dog slept"] * 30, "Good and cheap as ever", "Der Hund und die Katze"]
    sentiment.APPLICATION.run(house.engine, SentimentRequest(many), HOST)
    assert looked == many[-1:]


def embedded(text: str) -> list[float]:
    """A vector by what a text is about."""
    return [float("late" in text), float("broke" in text), 0.1]


@pytest.mark.parametrize(
    ("text", "label"), [("It came late.", "delivery"), ("It broke at once.", "quality")], ids=["delivery", "quality"]
)
def test_labels_of_ones_own_need_no_training(house, text: str, label: str) -> None:
    house.backend._embed = lambda job: job.finish(Embedding(embedded(job.request.text)))  # type: ignore[attr-defined]
    own = ["delivery: too late", "quality: it broke", ""]
    result = sentiment.APPLICATION.run(house.engine, SentimentRequest([text, 5], labels=own), HOST)
    assert result.model == labels.ENCODER and result.results[0].label == label
    assert set(result.results[0].scores) == {"delivery", "quality"} and result.results[0].score > 0.9
    assert result.results[1].warning and result.results[1].scores == {"delivery": 0.5, "quality": 0.5}


@pytest.mark.parametrize("own", [["one"], ["same", "same: other"], [f"label {number}" for number in range(31)]])
def test_labels_are_two_or_more_with_names_of_their_own(house, own: list[str]) -> None:
    with pytest.raises(InputError, match="2 to 30 labels"):
        sentiment.APPLICATION.run(house.engine, SentimentRequest("good", labels=own), HOST)
    with pytest.raises(TooLargeError, match="over 300 characters"):
        sentiment.APPLICATION.run(house.engine, SentimentRequest("good", labels=["a", "b" * 301]), HOST)


@pytest.mark.parametrize(
    ("before", "after", "gone", "new"),
    [
        ("A good film.", "A bad film.", ["good"], ["bad"]),
        ("A film", "A very long film", [], ["very long"]),
        ("Not bad at all", "bad", ["Not", "at all"], []),
        ("", "new", [], ["new"]),
    ],
)
def test_changed_words_are_found(before: str, after: str, gone: list[str], new: list[str]) -> None:
    taken_out, put_in = changed_words(before, after)
    assert [before[a:b] for a, b in taken_out] == gone and [after[a:b] for a, b in put_in] == new


@pytest.mark.parametrize("text", ["Это очень плохо и мне грустно", "ｱｱｱ"])
def test_a_script_that_one_of_english_does_not_know_is_told(house, text: str) -> None:
    known = house.engine.catalogue.models
    known["sentiment-e5"] = replace(known["sentiment-e5"], languages=("en",))
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest(text), HOST).results
    assert confidence_in_words(score.score) == "unsure" and score.warning


@pytest.fixture
def five(house) -> str:
    """The classifier has learned five languages, and does well in two of them."""
    known = house.engine.catalogue.models
    known["sentiment-e5"] = replace(known["sentiment-e5"], languages=FIVE, best_in=("en", "de"))
    return "sentiment-e5"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The food was cold and the waiter was rude.", ""),
        ("Das Essen war leider kalt und der Kellner unfreundlich.", ""),
        ("La comida estaba fría y el camarero fue muy desagradable.", "In Spanish the model is wrong more often"),
        ("Il cibo era freddo e il cameriere è stato davvero scortese.", "This looks Italian"),
        ("这部电影非常好看，我很喜欢。", "In Chinese the model is wrong more often"),
        ("ok", ""),
    ],
    ids=["en", "de", "es", "it", "zh", "ok"],
)
def test_a_language_in_which_it_does_worse_is_named(house, five: str, text: str, said: str) -> None:
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest(text), HOST).results
    assert score.model == five and (said in str(score.warning) if said else score.warning == "")


def test_chinese_is_words_to_a_model_that_knows_it(house, five: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house.backend, "count_tokens", len)  # a piece for each character
    (score,) = sentiment.APPLICATION.run(house.engine, SentimentRequest("这部电影非常好看 good"), HOST).results
    assert score.label == "positive" and "no words" not in str(score.warning)


def test_emotions_are_named_beside_where_their_model_is(house) -> None:
    catalogue = house.engine.catalogue
    asked = SentimentRequest(["a good film", 5, "bad"], emotions=True)
    with pytest.raises(NotFoundError, match="Emotions cannot be named here"):
        sentiment.APPLICATION.run(house.engine, asked, HOST)
    catalogue.models[emotions.MODEL] = replace(
        catalogue.find("sentiment-e5"), id=emotions.MODEL, applications=(), best_in=()
    )
    catalogue.is_ready = lambda model_id: True
    felt = {"joy": 0.7, "neutral": 0.4, "anger": 0.1}
    house.backend._classify = lambda job: job.finish(  # type: ignore[attr-defined]
        Classification("joy", felt, ("joy", "neutral") if "good" in job.request.text else ("neutral",))
    )
    found = sentiment.APPLICATION.run(house.engine, asked, HOST).results
    assert [one.emotions for one in found] == [{"joy": 0.7}, {}, {}] and found[1].warning
    plain = sentiment.APPLICATION.run(house.engine, SentimentRequest("a good film"), HOST).results
    assert plain[0].emotions == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A good film, and well-made.", ["A", "good", "film", "and", "well-made"]),
        ("电影很好。", ["电影", "很好"]),
        ("Fine 😀", ["😀"]),
        ("Good!", []),
        ("12 30", []),
        ("", []),
        ("word " * 90, ["word"] * 40),
    ],
)
def test_words_are_left_out_in_turn(text: str, words: list[str]) -> None:
    found = without_each(text)
    assert [one.word for one in found] == words
    assert all(text[one.start : one.end] == one.word and one.rest.strip() for one in found)


def test_words_that_carried_it_are_told(house) -> None:
    texts = ["a good film", "a bad film", "", "good"]
    found = sentiment.APPLICATION.run(house.engine, SentimentRequest(texts, with_words=True), HOST).results
    told = [[(one.word, round(one.part, 2)) for one in score.words] for score in found]
    assert told == [[("good", 0.85)], [], [], []]
    one = found[0].words[0]
    assert texts[0][one.start : one.end] == "good"
    (plain,) = sentiment.APPLICATION.run(house.engine, SentimentRequest("a good film"), HOST).results
    assert plain.words == []
