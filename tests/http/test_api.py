"""Applications over HTTP, errors in their form, and what every client may rely on."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from benches import Bench
from fakes import FakeBackend
from starlette.testclient import TestClient

from engine.applications import APPLICATIONS
from engine.errors import BusyError, ConflictError, NotReadyError


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.split("\n\n") if line.startswith("data: {")]


def test_healthz_touches_no_model(client: TestClient, bench: Bench) -> None:
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok" and answer.json()["models"]["sentiment-e5"] == "ready"
    assert bench.loads == []
    assert client.head("/healthz").status_code == 200


def test_translate_one_and_several(client: TestClient) -> None:
    one = client.post("/api/translate", json={"text": "The cat sleeps.", "source": "en", "target": "fr"}).json()
    assert one["model"] == "gemma-3-270m" and len(one["translations"]) == 1
    assert set(one["translations"][0]) >= {"text", "score"} and 0 < one["translations"][0]["score"] <= 1
    body = {"text": ["The cat sleeps.", "It rains.\n\nIt pours."], "source": "en", "target": "de"}
    many = client.post("/api/translate", json=body).json()
    assert len(many["translations"]) == 2 and "\n\n" in many["translations"][1]["text"]


def test_sentiment_one_and_several(client: TestClient) -> None:
    answer = client.post("/api/sentiment", json={"text": ["a good film", "a bore"]}).json()
    assert [row["label"] for row in answer["results"]] == ["positive", "negative"]
    assert answer["results"][0]["score"] == answer["results"][0]["scores"]["positive"] == 0.9
    assert client.post("/api/sentiment", json={"text": "good"}).json()["model"] == "sentiment-e5"


def test_answer_and_no_answer(client: TestClient) -> None:
    context = "\r\n👩🏽‍🔬 Ada lived in London."
    found = client.post("/api/answer", json={"question": "Where is London?", "context": context}).json()
    assert found["answer"] == "London" == context[found["start"] : found["end"]]
    none = client.post("/api/answer", json={"question": "Where is Paris?", "context": context}).json()
    assert (none["answer"], none["start"], none["end"]) == ("", 0, 0) and none["score"] == 0.95


def test_write_whole_and_streamed_agree(client: TestClient) -> None:
    body = {"text": "snow", "kind": "poem", "max_new_tokens": 4, "seed": 1}
    whole = client.post("/api/write", json=body).json()
    assert whole["settings"]["max_new_tokens"] == 4 and whole["new_tokens"] == 4
    stream = events(client.post("/api/write/stream", json=body).text)
    assert "".join(event["text"] for event in stream[:-1]) == whole["text"] == stream[-1]["result"]["text"]


def test_a_row_that_is_no_text_keeps_its_place_in_a_list(client: TestClient) -> None:
    rows = ["a good film", None, 7, {"a": 1}]
    scores = client.post("/api/sentiment", json={"text": rows}).json()["results"]
    assert [bool(one["warning"]) for one in scores] == [False, True, True, True]
    body = {"text": rows, "source": "en", "target": "fr"}
    done = client.post("/api/translate", json=body).json()["translations"]
    assert [one["text"] for one in done[1:]] == ["", "7", ""] and all(
        "must be text" in one["warning"] for one in done[1:]
    )
    schemas = client.get("/api/openapi.json").json()["components"]["schemas"]
    for name in ("TranslateRequest", "SentimentRequest"):
        assert "no text (a number, null)" in schemas[name]["description"].replace("\n", " ")


def test_views_of_models(client: TestClient) -> None:
    answer = client.post("/api/explore/attention", json={"text": "one two three", "layer": 1})
    assert answer.status_code == 200
    body = answer.json()
    weights = body["weights"]
    values = np.frombuffer(base64.b64decode(weights["data"]), weights["dtype"]).reshape(weights["shape"])
    assert weights["axes"] == ["head", "row", "column"] and values.shape == (3, 3, 3)
    np.testing.assert_allclose(values.astype(float).sum(-1), 1, atol=2e-3)
    assert "q4_1" in body["origin"] and [piece["text"] for piece in body["rows"]] == ["one", "two", "three"]
    wrong = client.post("/api/explore/lens", json={"text": "one", "model": "sentiment-e5"})
    assert wrong.status_code == 422 and wrong.json()["error"]["param"] == "model"
    assert client.post("/api/explore/chain", json={"text": "a b", "rivals": 99}).json()["error"]["param"] == "rivals"
    with client.stream("POST", "/api/explore/lens/stream", json={"text": "one two"}) as streamed:
        events = [json.loads(line[6:]) for line in streamed.iter_lines() if line.startswith("data: ")]
    assert [event["text"] for event in events if event["kind"] == "text"] == ["1/3 ", "2/3 "]
    assert events[-1]["result"]["words"][2][0] == ["w0", "w1", "w2"]
    assert "/api/explore/tokens" in client.get("/api/openapi.json").json()["paths"]


def test_every_application_is_in_the_openapi_document(client: TestClient) -> None:
    document = client.get("/api/openapi.json").json()
    for application in APPLICATIONS:
        post = document["paths"][f"/api/{application}"]["post"]
        assert post["requestBody"] and "$ref" in str(post["responses"]["200"])
        assert "ErrorAnswer" in str(post["responses"]["default"]) and "422" not in post["responses"]
        assert f"/api/{application}/stream" in document["paths"]


def test_the_docs_page_needs_no_other_site(client: TestClient) -> None:
    page = client.get("/api/docs").text
    assert "//" not in page and '"validatorUrl": null' in page
    script = client.get("/api/docs/static/swagger-ui-bundle.js")
    assert script.status_code == 200 and len(script.content) > 500_000


def test_write_tells_tokens_and_several_drafts(client: TestClient) -> None:
    body = {"text": "snow", "kind": "free", "max_new_tokens": 3, "seed": 5, "rivals": 10}
    (first, *_) = client.post("/api/write", json=body).json()["tokens"]
    assert first["rivals"] == [{"text": "rival", "probability": pytest.approx(0.223, abs=1e-3)}] and first["start"] == 0
    several = body | {"temperatures": [0, 0.7, 1.4], "rivals": 0}
    found = client.post("/api/write/drafts", json=several).json()
    scores = [draft["score"] for draft in found["drafts"]]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True) and not found["drafts"][0]["written"]["tokens"]
    assert found["drafts"][0]["measures"]["likely"] == pytest.approx(0.607, abs=1e-3)
    streamed = events(client.post("/api/write/drafts/stream", json=several).text)
    assert streamed[-1]["result"]["model"] == found["model"] and {one["kind"] for one in streamed} >= {
        "working",
        "done",
    }
    refused = client.post("/api/write/drafts", json=body | {"count": 9})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "count")
    asked = {"text": "", "messages": [{"role": "user", "content": "Say yes."}]}
    assert client.post("/api/explore/next", json=asked).json()["choices"]


@pytest.mark.parametrize(
    ("path", "body", "status", "param"),
    [
        ("/api/translate", {"text": "", "source": "en"}, 400, "text"),
        ("/api/translate", {"text": "Hi there", "source": "en", "target": "xx"}, 400, "target"),
        ("/api/translate", {"text": "x" * 20_001, "source": "en"}, 413, "text"),
        ("/api/translate", {"text": 7}, 400, "text"),
        ("/api/translate", {}, 400, "text"),
        ("/api/translate", {"text": "Hi", "model": "nobody"}, 404, "model"),
        ("/api/translate", {"text": "Hi", "model": "../../etc/passwd"}, 404, "model"),
        ("/api/sentiment", {"text": []}, 400, "text"),
        ("/api/sentiment", {"text": [None, " "]}, 400, "text[0]"),
        ("/api/sentiment", {"text": "fine", "model": "gemma-3-270m"}, 422, "model"),
        ("/api/sentiment", {"text": "fine", "by_sentence": "yes"}, 400, "by_sentence"),
        ("/api/answer", {"question": "Who?", "context": " \x00 "}, 400, "context"),
        ("/api/answer", {"question": "Who?", "context": "x", "top_k": 0}, 400, "top_k"),
        ("/api/write", {"text": "snow", "temperature": 9}, 400, "temperature"),
        ("/api/write", {"text": "snow", "kind": "novel"}, 400, "kind"),
        ("/v1/completions", {"model": "gemma-3-270m", "prompt": [1, 2]}, 400, "prompt"),
        ("/v1/completions", {"model": "gemma-3-270m", "prompt": "x", "n": 0}, 400, "n"),
        ("/v1/chat/completions", {"model": "gemma-3-270m", "messages": []}, 400, "messages"),
        ("/v1/chat/completions", {"model": "gemma-3-270m"}, 400, "messages"),
    ],
)
def test_wrong_input_names_its_field(client: TestClient, path: str, body: dict, status: int, param: str) -> None:
    answer = client.post(path, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param)
    assert len(error["message"]) > 10 and error["type"]


def test_unknown_paths_and_methods_answer_in_json(client: TestClient) -> None:
    for path in ("/api", "/api/", "/api/nothing", "/v1", "/v1/", "/v1/nothing"):
        assert client.get(path).json()["error"]["type"] == "not_found"
    assert client.get("/api/translate").status_code == 405
    assert client.get("/api/translate").json()["error"]["type"] == "method_not_allowed"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotReadyError("12 of 93 MB are here. Try again soon.", retry_seconds=7.2), 503),
        (ConflictError("It is not downloaded. Download it on the page Models.", param="model"), 409),
        (BusyError("All places are taken.", retry_seconds=0.2), 429),
    ],
)
def test_models_that_are_not_there(client: TestClient, bench: Bench, error: Any, status: int) -> None:
    bench.store.error = error
    for path, body in (("/api/write", {"text": "snow"}), ("/api/write/stream", {"text": "snow"})):
        answer = client.post(path, json=body)
        assert answer.status_code == status and answer.json()["error"]["message"] == str(error)
        expected = {7.2: "8", 0.2: "1", None: None}[error.retry_seconds]
        assert answer.headers.get("Retry-After") == expected


def test_an_error_in_the_middle_of_a_stream_comes_as_an_event(client: TestClient, bench: Bench) -> None:
    class Breaks(FakeBackend):
        def _generate(self, job: Any) -> None:
            job.emit("half ")
            job.fail(NotReadyError("The model was unloaded. Try again."))

    bench.plan["smollm2-135m-instruct"] = Breaks()
    stream = events(client.post("/api/write/stream", json={"text": "snow"}).text)
    assert stream[0]["text"] == "half " and stream[-1]["error"]["message"] == "The model was unloaded. Try again."


def test_a_warning_is_a_string_in_answers_streams_and_the_document(client: TestClient, bench: Bench) -> None:
    body = {"text": "Das Essen war kalt und der Kellner unfreundlich.", "model": "sentiment-e5"}
    (score,) = client.post("/api/sentiment", json=body).json()["results"]
    assert score["warning"].startswith("This looks German")
    assert score["warning"] in client.post("/api/sentiment/stream", json=body).text
    schemas = client.get("/api/openapi.json").json()["components"]["schemas"]
    assert schemas["SentimentScore"]["properties"]["warning"]["type"] == "string"


def test_a_public_site_tells_what_is_left_and_refuses_in_a_sentence(client: TestClient, bench: Bench) -> None:
    assert not [name for name in client.post("/api/sentiment", json={"text": "good"}).headers if "ratelimit" in name]
    bench.local.settings = replace(bench.local.settings, is_public=True, requests_a_minute=2)
    bodies = ({"text": "good"}, {"text": ["good"] * 101}, {"text": "good"}, {"text": "good"})
    answers = [client.post("/api/sentiment", json=body) for body in bodies]
    assert [answer.status_code for answer in answers] == [200, 413, 200, 429]
    first, last = answers[0].headers, answers[-1].headers
    assert (
        '"requests";q=2;w=60' in first["ratelimit-policy"] and '"tokens";q=100000;w=86400' in first["ratelimit-policy"]
    )
    assert first["ratelimit"].startswith('"requests";r=1;t=') and first["x-ratelimit-remaining-requests"] == "1"
    assert last["x-ratelimit-remaining-requests"] == "0" and last["x-ratelimit-reset-requests"].endswith("s")
    assert 0 < int(last["retry-after"]) <= 60
    error = answers[-1].json()["error"]
    assert error["code"] == "rate_limit_exceeded" and "2 requests a minute" in error["message"]
    streamed = client.post("/api/write/stream", json={"text": "a cat"})
    assert streamed.status_code == 429 and streamed.json()["error"]["type"] == "rate_limited"
    assert client.get("/v1/models").status_code == 200, "looking costs nothing"
