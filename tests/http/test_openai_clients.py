"""What OpenAI's clients really send, each with what must come."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from benches import Bench
from fakes import FakeBackend
from starlette.applications import Starlette
from starlette.testclient import TestClient

from engine.errors import ContextError
from engine.http import routes
from engine.requests import Generate, Sampling, needs
from engine.settings import Settings

CHAT, BASE = "smollm2-135m-instruct", "gemma-3-270m"
HELLO: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture
def official(address: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=20)


def settings(official: openai.OpenAI, **asked: Any) -> dict[str, Any]:
    """Those that acted."""
    ours = {name: asked.pop(name) for name in ("top_k",) if name in asked}
    answer = official.chat.completions.create(model=CHAT, messages=HELLO, **{"max_tokens": 2} | asked, extra_body=ours)
    return dict(answer.parlance["settings"])  # type: ignore[attr-defined]


def test_top_p_0_takes_the_likeliest_token(official: openai.OpenAI) -> None:
    acted = settings(official, top_p=0, temperature=1)
    assert (acted["temperature"], acted["top_p"]) == (0, 1)
    assert settings(official, top_p=0.0001)["top_p"] == 0.01


@pytest.mark.parametrize(("seed", "acting"), [(0, 0), (2**31, 0), (2**31 + 5, 5), (2**64, 0), (-2, 2**31 - 2)])
def test_seeds_of_64_bits_are_taken(official: openai.OpenAI, seed: int, acting: int) -> None:
    assert settings(official, seed=seed)["seed"] == acting


def test_seed_minus_1_draws_one(official: openai.OpenAI) -> None:
    assert settings(official, seed=-1)["seed"] != settings(official, seed=-1)["seed"]


def test_top_k_minus_1_keeps_all(official: openai.OpenAI) -> None:
    assert settings(official, top_k=-1)["top_k"] == 0


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(("tokens", "is_told"), [(-1, False), (4096, False), (4097, True), (2**31 - 1, True)])
def test_more_tokens_than_fit_are_cut_and_told(
    official: openai.OpenAI, bench: Bench, field: str, tokens: int, is_told: bool
) -> None:
    for is_streamed in (False, True):
        asked: Any = {"model": BASE, "messages": HELLO, field: tokens, "stream": is_streamed}
        answer = official.chat.completions.create(**asked)
        parlance = list(answer)[-1].parlance if is_streamed else answer.parlance
        assert parlance["settings"]["max_new_tokens"] == 4096
        told = f"{tokens:,} tokens were asked for; at most 4,096 fit."
        assert parlance.get("warning") == (told if is_told else None)


def test_penalties_reach_the_model(official: openai.OpenAI, bench: Bench) -> None:
    acted = settings(official, presence_penalty=0.5, frequency_penalty=-2)
    assert (acted["presence_penalty"], acted["frequency_penalty"]) == (0.5, -2)
    (request,) = bench.backends[CHAT].seen
    assert (request.sampling.presence_penalty, request.sampling.frequency_penalty) == (0.5, -2)


def test_what_cannot_count_is_not_asked_for_penalties() -> None:
    counting = Generate("x", sampling=Sampling(presence_penalty=0.1))
    assert "penalties" in needs(counting) and "penalties" not in needs(Generate("x"))


def test_n_texts_with_seeds_one_after_the_other(official: openai.OpenAI, bench: Bench) -> None:
    whole = official.chat.completions.create(model=CHAT, messages=HELLO, n=3, seed=2**31 - 2, max_tokens=2)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    seeds = [choice.parlance["settings"]["seed"] for choice in whole.choices]  # type: ignore[attr-defined]
    assert seeds == [2**31 - 2, 2**31 - 1, 0]
    assert whole.usage and (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (2, 6)
    several = official.completions.create(model=BASE, prompt=["a", "b c"], n=2, best_of=2, max_tokens=1, seed=5)
    assert [choice.text for choice in several.choices] == ["a ", "a ", "b ", "b "]
    assert several.usage and (several.usage.prompt_tokens, several.usage.completion_tokens) == (3, 4)
    with pytest.raises(openai.BadRequestError, match="n is 9; with 2 prompts choose at most 8"):
        official.completions.create(model=BASE, prompt=["a", "b"], n=9)


def test_n_texts_stream_each_with_its_role_and_end(official: openai.OpenAI) -> None:
    stream = official.chat.completions.create(model=CHAT, messages=HELLO, n=2, max_tokens=2, stream=True)
    choices = [chunk.choices[0] for chunk in stream]
    assert [choice.index for choice in choices if choice.delta.role == "assistant"] == [0, 1]
    assert [choice.index for choice in choices if choice.finish_reason] == [0, 1]
    assert [choice.delta.content for choice in choices if choice.delta.content] == ["hello ", "there "] * 2


def test_parts_of_a_text_are_joined_by_a_line_break(official: openai.OpenAI, bench: Bench) -> None:
    parts: Any = [{"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]
    official.chat.completions.create(model=CHAT, messages=parts, max_tokens=1)
    assert bench.backends[CHAT].seen[0].messages[0].content == "one\ntwo"


def test_a_prompt_over_the_context_has_openais_code(official: openai.OpenAI, bench: Bench) -> None:
    class Short(FakeBackend):
        def _generate(self, job: Any) -> None:
            job.fail(ContextError("The prompt has 9 tokens.", param="messages" if job.request.messages else "prompt"))

    bench.plan[CHAT] = Short()
    for is_streamed in (False, True):
        for ask, param in (
            (lambda: official.chat.completions.create(model=CHAT, messages=HELLO, stream=is_streamed), "messages"),  # noqa: B023
            (lambda: official.completions.create(model=CHAT, prompt="x", stream=is_streamed), "prompt"),  # noqa: B023
        ):
            with pytest.raises(openai.APIError) as raised:
                list(ask())
            assert (raised.value.code, raised.value.param) == ("context_length_exceeded", param)
            assert is_streamed or isinstance(raised.value, openai.BadRequestError)


@pytest.mark.parametrize("is_loaded", [True, False])
def test_a_prompt_over_the_context_is_refused_before_the_first_byte_also_behind_others(
    official: openai.OpenAI, bench: Bench, is_loaded: bool
) -> None:
    """The only slot is taken; the fake takes 512 tokens, which are words, and would answer any number."""
    bench.plan[CHAT] = FakeBackend(concurrency=1, batch=1, step_seconds=0.01)
    first = None
    if is_loaded:
        first = official.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=4000, stream=True)
        next(iter(first))
    else:
        bench.load_seconds = 0.3
    long = "word " * 512
    for asked in ({"messages": [*HELLO, {"role": "user", "content": long}]}, {"prompt": ["short", long]}):
        api: Any = official.chat.completions if "messages" in asked else official.completions
        with pytest.raises(openai.BadRequestError) as raised:
            api.create(model=CHAT, stream=True, **asked)
        assert (raised.value.code, raised.value.param) == ("context_length_exceeded", next(iter(asked)))
        assert "tokens; Smollm2-135M-Instruct takes at most 511. Shorten it." in str(raised.value)
    if first:
        first.close()


def chain(folder: Path) -> Any:
    pytest.importorskip("gguf")
    from engine.backends.ggml.backend import LlamaCppBackend
    from tests.backends.chain_gguf import write_chain
    from tests.backends.checkpoints import entry

    settings = Settings(device="cpu", threads=1, slots=2, context_tokens=512)
    return LlamaCppBackend(entry("causal", "Chain"), write_chain(folder / "chain.gguf"), settings)


def tiny(folder: Path) -> Any:
    from tests.backends.checkpoints import gpt2, open_backend

    return open_backend("causal", gpt2(folder / "gpt2"))


@pytest.mark.parametrize("make", [chain, tiny])
def test_streamed_pieces_joined_are_the_unstreamed_answer(
    official: openai.OpenAI, bench: Bench, tmp_path: Path, make: Any
) -> None:
    """On real runtimes, whose tokens are often part of a character; nothing is answered from memory."""
    bench.plan[BASE] = make(tmp_path)
    bench.house = replace(bench.house, engine=bench.local)
    half = 0
    for number, prompt in enumerate(("a", "p", "你好，世界", "😀👩‍👩‍👧", "Füße “a”")):
        asked: Any = {"model": BASE, "prompt": prompt, "max_tokens": 24, "seed": number, "logprobs": 2}
        asked |= {"temperature": 0 if number == 0 else 1.4}
        whole = official.completions.create(**asked).choices[0]
        chunks = [chunk.choices[0] for chunk in official.completions.create(stream=True, **asked)]
        assert "".join(chunk.text for chunk in chunks) == whole.text
        assert chunks[-1].finish_reason == whole.finish_reason
        told = [chunk.logprobs for chunk in chunks if chunk.logprobs]
        assert whole.logprobs and [one.tokens[0] for one in told] == whole.logprobs.tokens
        assert [one.token_logprobs[0] for one in told] == whole.logprobs.token_logprobs
        assert all(value is None or value > -1000 for value in whole.logprobs.token_logprobs)
        half += sum(token.startswith("bytes:") for token in whole.logprobs.tokens)
    assert half, "some were part of a character"


def test_tools_are_told_to_be_missing_unless_none_is_chosen(official: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "clock", "parameters": {}}}]
    with pytest.raises(openai.BadRequestError, match="call no tools: leave them out") as raised:
        official.chat.completions.create(model=CHAT, messages=HELLO, tools=tools)
    assert raised.value.param == "tools"
    answer = official.chat.completions.create(model=CHAT, messages=HELLO, tools=tools, tool_choice="none", max_tokens=1)
    assert answer.choices[0].message.content == "hello "


def test_slashes_at_the_end_and_head(client: TestClient) -> None:
    for path in ("/v1/models", f"/v1/models/{CHAT}"):
        plain, slashed, head = client.get(path), client.get(f"{path}/"), client.head(path)
        assert plain.status_code == 200 and slashed.json() == plain.json()
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["Content-Length"] == plain.headers["Content-Length"]
    assert client.head("/v1/chat/completions").status_code == 405
    assert client.head("/v1/models/nobody").status_code == 404
    answer = client.post("/v1/completions/", json={"model": BASE, "prompt": "x", "max_tokens": 1})
    assert answer.json()["choices"][0]["text"] == "x "


def test_a_base_address_without_v1_is_answered_with_a_sentence(address: str) -> None:
    astray = openai.OpenAI(base_url=address, api_key="none", max_retries=0, timeout=20)
    with pytest.raises(openai.NotFoundError, match="ends with /v1: ask for /v1/chat/completions"):
        astray.chat.completions.create(model=CHAT, messages=HELLO)
    with pytest.raises(openai.NotFoundError, match="ends with /v1: ask for /v1/models"):
        astray.models.list()


def test_the_page_of_the_same_path_stays_a_page(client: TestClient) -> None:
    for accept in ("text/html,application/xhtml+xml,*/*", "*/*"):
        assert client.get("/models", headers={"Accept": accept}).text == "Not Found", "the page's own server has it"


@pytest.mark.parametrize("packing", ["gzip", "br", "deflate, gzip"])
def test_packed_bodies_are_refused_by_name(client: TestClient, packing: str) -> None:
    body = gzip.compress(json.dumps({"model": BASE, "prompt": "x"}).encode())
    for path in ("/v1/completions", "/api/write"):
        answer = client.post(path, content=body, headers={"Content-Encoding": packing})
        error = answer.json()["error"]
        assert (answer.status_code, error["type"]) == (415, "unsupported_media_type")
        assert error["message"] == f"Bodies packed with {packing} are not taken. Send plain JSON."


def test_pages_of_other_sites_may_not_ask(client: TestClient) -> None:
    headers = client.get("/v1/models", headers={"Origin": "https://a.example"}).headers
    assert "access-control-allow-origin" not in headers


def test_pages_of_other_sites_ask_where_the_host_lists_them(bench: Bench) -> None:
    bench.local.settings = replace(bench.engine.settings, allowed_origins="https://a.example, https://b.example")
    asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
    open_client = TestClient(Starlette(routes=routes(lambda: bench.house)))
    answer = open_client.options("/v1/completions", headers=asked)
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "https://a.example")
    assert "content-type" in answer.headers["Access-Control-Allow-Headers"]
    for path in ("/v1/models", "/v1/models/nobody"):
        headers = open_client.get(path, headers={"Origin": "https://b.example"}).headers
        assert headers["Access-Control-Allow-Origin"] == "https://b.example", "on errors too"
        other = open_client.get(path, headers={"Origin": "https://c.example"}).headers
        assert "access-control-allow-origin" not in other
