"""The official client against the served API."""

from __future__ import annotations

import http.client
import json
import time
from urllib.parse import urlsplit

import openai
import pytest
from benches import Bench
from fakes import FakeBackend

CHAT, BASE = "smollm2-135m-instruct", "gemma-3-270m"
HELLO = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def official(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=20)


def test_models(official: openai.OpenAI) -> None:
    assert {model.id for model in official.models.list()} == {CHAT, BASE}
    assert official.models.retrieve("sentiment-minilm").id == "sentiment-minilm"
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


def test_errors_are_the_clients_own_classes(official: openai.OpenAI, bench: Bench) -> None:
    with pytest.raises(openai.BadRequestError, match="temperature is 9"):
        official.completions.create(model=BASE, prompt="x", temperature=9)
    with pytest.raises(openai.NotFoundError, match="nobody"):
        official.chat.completions.create(model="nobody", messages=HELLO)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError, match="presence_penalty is not offered"):
        official.completions.create(model=BASE, prompt="x", presence_penalty=1)
    image = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    with pytest.raises(openai.BadRequestError, match=r"messages\[0\].content\[0\] is not of type text"):
        official.chat.completions.create(model=CHAT, messages=image)  # type: ignore[arg-type]


def settled(backend: FakeBackend) -> bool:
    """Whether the backend's steps stopped counting."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        before = backend.steps
        time.sleep(0.15)
        if backend.steps == before:
            return True
    return False


def test_dropping_a_stream_frees_the_slot(official: openai.OpenAI, bench: Bench) -> None:
    backend = bench.plan[CHAT] = FakeBackend(lanes=1, step_seconds=0.01)
    stream = official.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=4096, stream=True)  # type: ignore[arg-type]
    next(iter(stream))
    next(iter(stream))
    stream.close()
    assert settled(backend) and backend.steps < 1000


def test_hanging_up_on_a_whole_answer_frees_the_slot(address: str, bench: Bench) -> None:
    backend = bench.plan[CHAT] = FakeBackend(lanes=1, step_seconds=0.01)
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    body = json.dumps({"model": CHAT, "messages": HELLO, "max_tokens": 4096})
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
    end = time.monotonic() + 10
    while backend.steps < 5 and time.monotonic() < end:
        time.sleep(0.01)
    connection.close()
    assert settled(backend) and 5 <= backend.steps < 1000
