"""The official client against the served API."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import openai
import pytest
from benches import Bench
from fakes import FakeBackend
from starlette.testclient import TestClient

from engine.errors import BusyError, NotReadyError
from engine.http.errors import dumps
from engine.http.openai_answers import ChatCompletion, TextCompletion
from engine.http.openai_requests import NOT_OFFERED
from engine.requests import Generation, Token

CHAT, BASE = "smollm2-135m-instruct", "gemma-3-270m"
HELLO = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def official(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=20)


def test_models(official: openai.OpenAI) -> None:
    assert {model.id for model in official.models.list()} == {CHAT, BASE, "verse-smollm2"}
    assert official.models.retrieve("sentiment-e5").id == "sentiment-e5"
    with pytest.raises(openai.NotFoundError):
        official.models.retrieve("nobody")


def test_completion_whole_and_streamed(official: openai.OpenAI) -> None:
    whole = official.completions.create(model=BASE, prompt="one two", max_tokens=3, logprobs=1, seed=3)
    assert whole.choices[0].text == "one two one " and whole.choices[0].finish_reason == "length"
    assert whole.usage and whole.usage.completion_tokens == 3
    assert whole.choices[0].logprobs and whole.choices[0].logprobs.token_logprobs == [-0.5] * 3
    assert whole.choices[0].logprobs.top_logprobs == [{"one ": -0.5}, {"two ": -0.5}, {"one ": -0.5}]
    assert whole.parlance["settings"]["seed"] == 3  # type: ignore[attr-defined]
    several = official.completions.create(model=BASE, prompt=["a", "b"], max_tokens=2)
    assert [choice.text for choice in several.choices] == ["a a ", "b b "]
    stream = official.completions.create(model=BASE, prompt="one two", max_tokens=3, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "one two one "


def test_chat_whole_and_streamed(official: openai.OpenAI) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "hello "}, {"type": "text", "text": "there"}]}]
    whole = official.chat.completions.create(
        model=CHAT, messages=parts, max_completion_tokens=2, logprobs=True, top_logprobs=2
    )  # type: ignore[arg-type]
    assert whole.choices[0].message.content == "hello there "
    assert whole.choices[0].logprobs and len(whole.choices[0].logprobs.content or []) == 2
    first = (whole.choices[0].logprobs.content or [])[0]
    assert [(top.token, top.logprob) for top in first.top_logprobs] == [("hello ", -0.5), ("rival", -1.5)]
    stream = official.chat.completions.create(
        model=CHAT, messages=HELLO, max_tokens=3, stream=True, stream_options={"include_usage": True}  # type: ignore[arg-type]
    )  # fmt: skip
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "hello there hello "
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage and chunks[-1].usage.completion_tokens == 3


def test_embeddings_as_the_client_asks_for_them(official: openai.OpenAI, bench: Bench) -> None:
    """It sends for base64 unless told otherwise."""
    asked: list[Any] = []
    for form, more in (("float", {}), (openai.omit, {"input_type": "passage"})):
        answer = official.embeddings.create(
            model="multilingual-e5-small", input=["one two", "three"], encoding_format=form, extra_body=more  # type: ignore[arg-type]
        )  # fmt: skip
        assert [(one.index, one.embedding) for one in answer.data] == [(0, [1.0, 0.0]), (1, [1.0, 0.0])]
        assert (answer.model, answer.usage.prompt_tokens) == ("multilingual-e5-small", 3)
        asked += [(one.text, one.kind) for one in bench.backends["multilingual-e5-small"].seen[-2:]]
    assert asked == [("one two", "query"), ("three", "query"), ("one two", "passage"), ("three", "passage")]
    assert official.embeddings.create(model="multilingual-e5-small", input="x", dimensions=2).data[0].embedding


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": []}, 400, "input"),
        ({"input": ["a", " "]}, 400, "input[1]"),
        ({"input": [5, 6]}, 400, "input"),
        ({"input": "a", "dimensions": 3}, 400, "dimensions"),
        ({"input": "a", "input_type": "title"}, 400, "input_type"),
        ({"input": "a", "encoding_format": "int8"}, 400, "encoding_format"),
        ({"input": ["a"] * 2001}, 413, "input"),
        ({"input": "a" * 20_001}, 413, "input"),
        ({"input": "a", "model": "nobody"}, 404, "model"),
        ({}, 400, "input"),
    ],
)
def test_what_cannot_be_embedded_is_told(client: TestClient, body: dict[str, Any], status: int, param: str) -> None:
    answer = client.post("/v1/embeddings", json={"model": "multilingual-e5-small"} | body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_errors_are_the_clients_own_classes(official: openai.OpenAI, bench: Bench) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature is 9"):
        official.completions.create(model=BASE, prompt="x", temperature=9)
    with pytest.raises(openai.NotFoundError, match="nobody"):
        official.chat.completions.create(model="nobody", messages=HELLO)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="logit_bias is not offered"):
        official.completions.create(model=BASE, prompt="x", logit_bias={"5": 1})
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    with pytest.raises(openai.BadRequestError, match=r"messages\[0\].content\[0\] is not of type text"):
        official.chat.completions.create(model=CHAT, messages=image)  # type: ignore[arg-type]


def test_dropping_a_stream_frees_the_slot(official: openai.OpenAI, bench: Bench) -> None:
    backend = bench.plan[CHAT] = FakeBackend(concurrency=1, step_seconds=0.01)
    stream = official.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=4000, stream=True)  # type: ignore[arg-type]
    next(iter(stream))
    next(iter(stream))
    stream.close()
    end = time.monotonic() + 15
    while bench.engine.status().models[0].running:
        assert time.monotonic() < end, "the slot stayed taken"
        time.sleep(0.01)
    steps = backend.steps
    time.sleep(0.1)
    assert backend.steps == steps < 1500


def test_several_prompts_stream_one_after_the_other(official: openai.OpenAI) -> None:
    stream = official.completions.create(
        model=BASE, prompt=["a", "b c"], max_tokens=3, stream=True, logprobs=0,
        stream_options={"include_usage": True},
    )  # fmt: skip
    *chunks, last = stream
    texts, offsets = {0: "", 1: ""}, {0: [0], 1: [0]}
    for choice in (chunk.choices[0] for chunk in chunks):
        texts[choice.index] += choice.text
        if choice.logprobs:
            assert choice.logprobs.text_offset == [offsets[choice.index][-1]]
            offsets[choice.index].append(len(texts[choice.index]))
    assert texts == {0: "a a a ", 1: "b c b "}
    assert [chunk.choices[0].index for chunk in chunks] == [0] * 4 + [1] * 4
    assert all(chunk.usage is None for chunk in chunks)
    assert last.choices == [] and last.usage and (last.usage.prompt_tokens, last.usage.completion_tokens) == (3, 6)


def test_each_of_several_answers_tells_its_own_settings(official: openai.OpenAI) -> None:
    several = official.completions.create(model=BASE, prompt=["a", "b"], max_tokens=2, temperature=0, top_p=0.5)
    for choice in several.choices:
        settings = choice.parlance["settings"]  # type: ignore[attr-defined]
        assert (settings["temperature"], settings["top_p"], settings["max_new_tokens"]) == (0, 1, 2)


def test_our_own_fields_reach_the_model(official: openai.OpenAI, bench: Bench) -> None:
    official.chat.completions.create(
        model=CHAT, messages=[{"role": "developer", "content": "Be brief."}, *HELLO], max_tokens=1, stop=["x", "y"],
        seed=5, extra_body={"top_k": 7, "min_p": 0.1, "repetition_penalty": 1.2},
    )  # type: ignore[arg-type]  # fmt: skip
    (request,) = bench.backends[CHAT].seen
    assert [(message.role, message.content) for message in request.messages] == [
        ("system", "Be brief."), ("user", "hello there")]  # fmt: skip
    sampling = request.sampling
    assert (sampling.top_k, sampling.min_p, sampling.repetition_penalty, sampling.stop, sampling.seed) == (
        7, 0.1, 1.2, ("x", "y"), 5)  # fmt: skip


def test_null_and_fields_that_change_nothing_are_taken(client: TestClient) -> None:
    neutral = {name: values[0] if values else None for name, (values, _) in NOT_OFFERED.items()}
    plain = dict.fromkeys(("stream", "max_tokens", "temperature", "top_p", "stop", "seed", "stream_options", "top_k"))
    body = {"model": CHAT, "messages": HELLO, "user": "me", "store": False, "max_completion_tokens": 2}
    answer = client.post("/v1/chat/completions", json=neutral | plain | body)
    assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] == 2
    assert answer.json()["parlance"]["settings"]["temperature"] == 1.0


@pytest.mark.parametrize("name", NOT_OFFERED)
def test_what_is_not_offered_is_refused_by_name(client: TestClient, bench: Bench, name: str) -> None:
    for value in (7, {"type": "json_object"}):
        answer = client.post("/v1/completions", json={"model": BASE, "prompt": "x", name: value})
        assert answer.status_code == 400 and answer.json()["error"]["param"] == name
    assert bench.loads == []


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": -2}, 400, "max_tokens"),
        ({"max_completion_tokens": 2**31}, 422, "max_completion_tokens"),
        ({"top_p": -0.1}, 400, "top_p"),
        ({"top_k": -2}, 400, "top_k"),
        ({"presence_penalty": 2.1}, 400, "presence_penalty"),
        ({"frequency_penalty": -3}, 400, "frequency_penalty"),
        ({"n": 0}, 400, "n"),
        ({"n": 17}, 400, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools"),
        ({"messages": [*HELLO, {"role": "tool", "tool_call_id": "1", "content": "5"}]}, 400, "messages[1].role"),
        (
            {"messages": [*HELLO, {"role": "assistant", "content": None, "tool_calls": [{}]}]},
            400,
            "messages[1].tool_calls",
        ),
        ({"messages": [{"role": "user", "content": None}]}, 400, "messages[0].content"),
        ({"stop": ["x"] * 9}, 400, "stop"),
        ({"stop": 7}, 400, "stop"),
        ({"seed": 2**64 + 1}, 400, "seed"),
        ({"seed": -(2**63) - 1}, 400, "seed"),
        ({"top_logprobs": 2}, 400, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
        ({"model": "sentiment-e5"}, 422, "model"),
        ({"messages": [{"role": "user", "content": "x" * 15_000}] * 2}, 413, "messages"),
        ({"messages": [*HELLO, {"role": "user", "content": "x" * 20_001}]}, 413, "messages[1].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "messages[0].content[0]"),
        ({"messages": HELLO * 501}, 400, "messages"),
    ],
)
def test_wrong_values_are_refused_before_a_model_is_loaded(
    client: TestClient, bench: Bench, changes: dict[str, Any], status: int, param: str
) -> None:
    body = {"model": CHAT, "messages": HELLO} | changes
    for stream in (False, True):
        answer = client.post("/v1/chat/completions", json=body | {"stream": stream})
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert bench.loads == []


def test_an_error_in_a_stream_is_raised_by_the_client(official: openai.OpenAI, bench: Bench) -> None:
    class Breaks(FakeBackend):
        def _generate(self, job: Any) -> None:
            job.emit("half ")
            job.fail(ZeroDivisionError("secret detail"))

    bench.plan[CHAT] = Breaks()
    stream = official.chat.completions.create(model=CHAT, messages=HELLO, stream=True)  # type: ignore[arg-type]
    with pytest.raises(openai.APIError, match="broke on our side") as raised:
        list(stream)
    assert "secret" not in str(raised.value)


def test_the_clients_classes_for_busy_and_not_ready(official: openai.OpenAI, bench: Bench) -> None:
    for error, kind in (
        (NotReadyError("Coming.", retry_seconds=3), openai.InternalServerError),
        (BusyError("Full.", retry_seconds=3), openai.RateLimitError),
    ):
        bench.store.error = error
        with pytest.raises(kind) as raised:
            official.completions.create(model=BASE, prompt="x")
        assert raised.value.response.headers["Retry-After"] == "3"


def test_a_probability_of_nought_is_written_as_a_number() -> None:
    token = Token("a", 1, -math.inf, (("b", -0.1),))
    result = Generation("a", "deadline", 1, 1, {}, tokens=(token,))
    whole = json.loads(dumps(ChatCompletion("m", 2).whole([result])))
    (content,) = whole["choices"][0]["logprobs"]["content"]
    assert -709 < content["logprob"] < -708 and content["top_logprobs"][0]["token"] == "b"
    assert whole["choices"][0]["finish_reason"] == "length" and whole["parlance"]["finish_reason"] == "deadline"


def test_tokens_that_are_part_of_a_character_are_written_as_openai_writes_them() -> None:
    tokens = (
        Token(" caf", 1, -0.1, (("\udce2\udc99", -3.0),)),
        Token("", 2, -0.2, ((" \udcf0", -1.5),), b" \xe2\x99"),
        Token(" ♥", 3, None, (), b"\xa5"),
    )
    result = Generation(" caf ♥", "stop", 1, 3, {}, tokens=tokens)
    whole = json.loads(dumps(ChatCompletion("m", 2).whole([result])))
    content = whole["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in content] == [" caf", " \\xe2\\x99", "\\xa5"]
    assert b"".join(bytes(one["bytes"]) for one in content).decode() == " caf ♥"
    assert [one["logprob"] for one in content] == [-0.1, -0.2, None]
    assert content[1]["top_logprobs"] == [
        {"token": " \\xe2\\x99", "logprob": -0.2, "bytes": [32, 226, 153]},
        {"token": " \\xf0", "logprob": -1.5, "bytes": [32, 240]},
    ]
    older = json.loads(dumps(TextCompletion("m", 2).whole([result])))["choices"][0]["logprobs"]
    assert older["tokens"] == [" caf", "bytes: \\xe2\\x99", "bytes:\\xa5"]
    assert older["top_logprobs"][0] == {" caf": -0.1, "bytes:\\xe2\\x99": -3.0}
    assert older["text_offset"] == [0, 4, 4]


def test_a_probability_that_is_not_known_is_no_number() -> None:
    result = Generation("♥", "stop", 1, 3, {}, tokens=(Token("♥", 1, None, (("b", -0.1),)),))
    (content,) = ChatCompletion("m", 1).whole([result])["choices"][0]["logprobs"]["content"]
    assert content["logprob"] is None and content["bytes"] == [0xE2, 0x99, 0xA5]
    assert [top["token"] for top in content["top_logprobs"]] == ["b"]
    assert TextCompletion("m", 1).whole([result])["choices"][0]["logprobs"]["token_logprobs"] == [None]
