"""Generation by the transformers backend on small random checkpoints: settings by row, ends, streams, probabilities."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from engine.backends import turns
from engine.backends.pytorch import sharing
from engine.backends.pytorch.decoding import CausalStepper
from engine.backends.pytorch.sampling import count_against, draw, filtered, penalise
from engine.backends.texts import Detokenizer, HeldText, TextStream, is_endless
from engine.errors import InputError, MemoryShortError, TooLargeError, UnsupportedError
from engine.requests import Generate, Message, Sampling
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, open_backend, run

GREEDY = Sampling(max_new_tokens=12, temperature=0.0)
WARM = Sampling(max_new_tokens=12, temperature=1.3, seed=7)
MAKERS = {"gpt2": "causal", "llama": "causal", "t5": "seq2seq", "bart": "seq2seq", "marian": "seq2seq"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def backends(folder: Path) -> dict[str, Any]:
    return {
        name: open_backend(kind, getattr(checkpoints, name)(folder / name))
        for name, kind in (MAKERS | {"m2m100": "seq2seq"}).items()
    }


def reference_ids(backend: Any, name: str, prompt: str, count: int) -> list[int]:
    """Greedy ids from whole forward passes without a cache."""
    ids = backend.tokenizer(prompt, return_tensors="pt")["input_ids"]
    row = backend._rows.make(KeptJob(Generate(prompt)))
    answer: list[int] = []
    with torch.inference_mode():
        while len(answer) < count:
            if MAKERS[name] == "causal":
                logits = backend.module(torch.cat([ids, torch.tensor([answer], dtype=torch.long)], 1)).logits[0, -1]
            else:
                decoder = torch.tensor([row.prefix + answer])
                logits = backend.module(input_ids=ids, decoder_input_ids=decoder).logits[0, -1]
            if name == "marian":
                logits[backend.tokenizer.pad_token_id] = -torch.inf
            answer.append(int(logits.argmax()))
            if answer[-1] in backend._rows.ending.end_ids:
                break
    return answer


@pytest.mark.parametrize("name", MAKERS)
def test_greedy_text_is_that_of_plain_forward_passes(backends: dict[str, Any], name: str) -> None:
    backend = backends[name]
    prompts = ["The quick brown fox", "Le renard", "Once upon a time there was a small village by the sea"]
    results = run(backend, *[Generate(prompt, sampling=GREEDY) for prompt in prompts])
    for prompt, result in zip(prompts, results, strict=True):
        ids = reference_ids(backend, name, prompt, 12)
        assert result.new_tokens == len(ids)
        if MAKERS[name] == "seq2seq":
            assert result.text == backend._rows.decode(ids)
        else:
            prompt_ids = backend.tokenizer(prompt)["input_ids"]
            assert prompt + result.text == backend._rows.decode(prompt_ids + ids)
        assert result.finish_reason in ("length", "stop") and result.mean_logprob < 0


@pytest.mark.parametrize("name", MAKERS)
def test_each_row_of_a_batch_is_as_if_alone(backends: dict[str, Any], name: str) -> None:
    requests = [
        Generate("The quick brown fox", sampling=GREEDY),
        Generate("Le renard", sampling=WARM),
        Generate("Le renard", sampling=replace(WARM, seed=8, top_k=5, max_new_tokens=5)),
        Generate("Once upon a time there was", sampling=replace(WARM, top_p=0.7, min_p=0.05)),
        Generate("Der schnelle Fuchs", sampling=replace(GREEDY, repetition_penalty=1.8)),
    ]
    together = run(backends[name], *requests)
    for request, result in zip(requests, together, strict=True):
        (alone,) = run(backends[name], request)
        assert (alone.text, alone.finish_reason, alone.new_tokens) == (
            result.text,
            result.finish_reason,
            result.new_tokens,
        )
        assert alone.mean_logprob == pytest.approx(result.mean_logprob, abs=1e-4)
    assert together[2].new_tokens <= 5


def test_seeds(backends: dict[str, Any]) -> None:
    texts = [run(backends["gpt2"], Generate("Once", sampling=replace(WARM, seed=seed)))[0].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    (drawn,) = run(backends["gpt2"], Generate("Once", sampling=replace(WARM, seed=None)))
    (again,) = run(backends["gpt2"], Generate("Once", sampling=replace(WARM, seed=drawn.settings["seed"])))
    assert drawn.text == again.text


def test_the_penalty_acts_on_prompt_and_answer(backends: dict[str, Any]) -> None:
    plain, punished = run(
        backends["marian"],
        Generate("Le renard", sampling=GREEDY),
        Generate("Le renard", sampling=replace(GREEDY, repetition_penalty=2.0)),
    )
    assert plain.text != punished.text and punished.settings["repetition_penalty"] == 2.0


def test_counting_penalties_follow_their_definition() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0, 4.0])
    counted = count_against(logits, [3, 1, 3], Sampling(presence_penalty=0.5, frequency_penalty=1.0))
    assert counted.tolist() == [1.0, 0.5, 3.0, 1.5]


def test_sampling_filters_follow_their_definitions() -> None:
    logits = torch.tensor([0.1, 0.2, 0.4, 0.05, 0.25]).log()
    base = Sampling(temperature=1.0)
    probabilities, ids = filtered(logits, base)
    assert ids is None and probabilities.tolist() == pytest.approx([0.1, 0.2, 0.4, 0.05, 0.25], abs=1e-6)
    probabilities, ids = filtered(logits, replace(base, top_k=2))
    assert ids is not None and ids.tolist() == [2, 4]
    assert probabilities.tolist() == pytest.approx([0.4 / 0.65, 0.25 / 0.65])
    probabilities, ids = filtered(logits, replace(base, top_p=0.6))
    assert ids is not None and ids[probabilities > 0].tolist() == [2, 4]
    probabilities, _ = filtered(logits, replace(base, min_p=0.45))
    assert (probabilities > 0).tolist() == [False, True, True, False, True]
    probabilities, _ = filtered(logits, replace(base, temperature=0.5))
    assert float(probabilities[2]) == pytest.approx(0.16 / 0.275, abs=1e-5)
    assert penalise(torch.tensor([2.0, -2.0, 1.0]), [0, 1, 0], 2.0).tolist() == [1.0, -4.0, 1.0]


def test_draws_have_the_models_frequencies() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.tensor([0.5, 0.3, 0.0, 0.2]).log()
    counts = [0] * 4
    for _ in range(3000):
        counts[draw(logits, Sampling(temperature=1.0), generator)] += 1
    assert counts[2] == 0 and [count / 3000 for count in counts] == pytest.approx([0.5, 0.3, 0.0, 0.2], abs=0.03)


def test_a_wide_nucleus_needs_the_whole_vocabulary() -> None:
    probabilities, ids = filtered(torch.zeros(5000), Sampling(temperature=1.0, top_p=0.9))
    assert ids is not None and len(ids) == 5000 and int((probabilities > 0).sum()) == pytest.approx(4500, abs=1)


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5", "marian"])
def test_logprobs_are_those_of_a_plain_forward_pass(backends: dict[str, Any], name: str) -> None:
    backend, prompt = backends[name], "The quick brown fox"
    (result,) = run(backend, Generate(prompt, sampling=replace(WARM, top_k=9, stop=()), top_logprobs=3))
    ids = [token.id for token in result.tokens]
    prompt_ids = backend.tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        if MAKERS[name] == "causal":
            logits = backend.module(torch.cat([prompt_ids, torch.tensor([ids])], 1)).logits[
                0, prompt_ids.shape[1] - 1 :
            ]
        else:
            prefix = backend._rows.make(KeptJob(Generate(prompt))).prefix
            output = backend.module(input_ids=prompt_ids, decoder_input_ids=torch.tensor([prefix + ids]))
            logits = output.logits[0, len(prefix) - 1 :]
    logprobs = logits.float().log_softmax(-1)
    for place, token in enumerate(result.tokens):
        assert token.logprob == pytest.approx(float(logprobs[place, token.id]), abs=1e-3)
        assert len(token.top_logprobs) == 3
        best = sorted((v for i, v in enumerate(logprobs[place].tolist()) if i != token.id), reverse=True)[:3]
        assert [value for _, value in token.top_logprobs] == pytest.approx(best, abs=1e-3)
    assert result.text.startswith("".join(token.text for token in result.tokens))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_tokens_that_are_part_of_a_character_come_with_their_bytes(backends: dict[str, Any], name: str) -> None:
    """Random weights write random bytes, so that most tokens are none alone."""
    sampling = Sampling(60, 1.9, seed=3)
    (result,) = run(backends[name], Generate("Once", sampling=sampling, top_logprobs=5))
    parts = [token for token in result.tokens if token.raw is not None]
    text = "le renard 中文 😀"
    ids = backends[name].tokenizer(text, add_special_tokens=False)["input_ids"]
    own = "".join(map(backends[name]._rows.token_text, ids))
    assert own.encode("utf-8", "surrogateescape").decode().strip() == text
    assert len(parts) > 3 and all(token.logprob is not None for token in parts)
    assert "\ufffd" not in "".join(other for token in result.tokens for other, _ in token.top_logprobs)


def test_stream_is_the_text_in_pieces(backends: dict[str, Any]) -> None:
    job = KeptJob(Generate("Once upon a time", sampling=replace(WARM, max_new_tokens=40), top_logprobs=1))
    backends["gpt2"].run([job])
    assert "".join(job.texts) == job.result.text and len(job.texts) > 10
    assert tuple(job.tokens) == job.result.tokens and len(job.tokens) == job.result.new_tokens


def test_a_stop_string_ends_its_row_alone_and_never_shows(backends: dict[str, Any]) -> None:
    sampling = replace(WARM, max_new_tokens=40)
    (free,) = run(backends["llama"], Generate("Once upon", sampling=sampling))
    stop = next(free.text[i : i + 3] for i in range(8, len(free.text)) if free.text.find(free.text[i : i + 3]) == i)
    jobs = [
        KeptJob(Generate("Once upon", sampling=replace(sampling, stop=(stop,)))),
        KeptJob(Generate("Once upon", sampling=sampling)),
    ]
    backends["llama"].run(jobs)
    stopped, other = jobs[0].result, jobs[1].result
    assert stopped.finish_reason == "stop" and stopped.text == free.text[: free.text.index(stop)] == "".join(
        jobs[0].texts
    )
    assert stopped.new_tokens < 40 and other.text == free.text


def test_a_row_that_leaves_is_gone_within_a_step_and_the_others_go_on(backends: dict[str, Any]) -> None:
    sampling = replace(WARM, max_new_tokens=60)
    (alone,) = run(backends["gpt2"], Generate("Le renard", sampling=sampling))
    leaver = KeptJob(Generate("The quick brown fox jumps", sampling=sampling), leaves_after=3)
    stayer = KeptJob(Generate("Le renard", sampling=sampling))
    backends["gpt2"].run([leaver, stayer])
    assert leaver.result.finish_reason == "cancelled" and len(leaver.texts) <= 4
    assert leaver.result.text == "".join(leaver.texts)
    assert leaver.finished_at < stayer.finished_at
    assert (stayer.result.text, stayer.result.finish_reason) == (alone.text, "length")


def test_short_rows_are_finished_before_the_batch_is(backends: dict[str, Any]) -> None:
    short = KeptJob(Generate("Le renard", sampling=replace(WARM, max_new_tokens=2)))
    long = KeptJob(Generate("Le renard", sampling=replace(WARM, max_new_tokens=60)))
    backends["t5"].run([long, short])
    assert short.finished_at < long.finished_at


def test_a_job_cancelled_before_its_turn_gets_an_empty_answer(backends: dict[str, Any]) -> None:
    job = KeptJob(Generate("Le renard", sampling=WARM), is_cancelled=True)
    backends["bart"].run([job])
    assert (job.result.text, job.result.finish_reason, job.result.new_tokens) == ("", "cancelled", 0)


@pytest.mark.parametrize("name", ["gpt2", "t5"])
def test_memory_that_runs_out_midway_changes_no_text(
    backends: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backends[name]
    requests = [Generate(prompt, sampling=WARM) for prompt in ("Le renard", "Once upon", "The quick", "El zorro")]
    expected = [result.text for result in run(backend, *requests)]
    stepper, steps = backend._stepper, []

    class Tight(stepper):  # type: ignore[misc, valid-type]
        def step(self, ids: Any) -> Any:
            steps.append(len(ids))
            if len(ids) > 1 and len(steps) > 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().step(ids)

    monkeypatch.setattr(backend, "_stepper", Tight)
    jobs = [KeptJob(request) for request in requests]
    backend.run(jobs)
    assert [job.result.text for job in jobs] == expected == ["".join(job.texts) for job in jobs]


def test_a_row_that_does_not_fit_alone_says_so_and_the_backend_lives(
    backends: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = backends["gpt2"]
    with monkeypatch.context() as patch:
        patch.setattr(backend, "_stepper", lambda *_: (_ for _ in ()).throw(MemoryError()))
        job = KeptJob(Generate("Once", sampling=WARM))
        backend.run([job])
    assert isinstance(job.error, MemoryShortError)
    assert run(backend, Generate("Once", sampling=WARM))[0].text


LONG = Generate("Once upon a time there was a small village by the sea. " * 3, sampling=GREEDY)


@pytest.fixture
def stages(backends: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Tokens that were read at the end of each pass over a prompt, in stages of four a row."""
    seen: list[int] = []
    read = CausalStepper.read
    for name, value in (("LONG_TOKENS", 24), ("LEAST_TOKENS", 4), ("MOST_TOKENS", 4)):
        monkeypatch.setattr(sharing, name, value)
    monkeypatch.setattr(CausalStepper, "read", lambda self, end: (seen.append(end), read(self, end))[1])
    return seen


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_long_prompt_is_read_in_stages_and_says_the_same(
    backends: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch, stages: list[int]
) -> None:
    backend, short = backends[name], Generate("Le renard brun saute", sampling=WARM)
    staged = [result.text for result in run(backend, LONG, short)]
    assert len(stages) > 8 and stages[:-1] == sorted(stages[:-1])
    monkeypatch.setattr(sharing, "LONG_TOKENS", 10**6)
    assert [run(backend, one)[0].text for one in (LONG, short)] == staged


def test_a_short_prompt_and_a_running_answer_go_on_between_the_stages_of_a_long_one(
    backends: dict[str, Any], stages: list[int]
) -> None:
    backend, first = backends["llama"], KeptJob(Generate("Le", sampling=replace(GREEDY, max_new_tokens=80)))
    long, short = KeptJob(LONG), KeptJob(Generate("Le renard", sampling=replace(GREEDY, max_new_tokens=2)))
    with ThreadPoolExecutor(3) as pool:
        works = [pool.submit(backend.run, [first])]
        _until(lambda: bool(first.texts))
        works.append(pool.submit(backend.run, [long]))
        _until(lambda: len(stages) > 2)
        said = len(first.texts)
        works.append(pool.submit(backend.run, [short]))
        for work in works:
            work.result()
    assert short.finished_at < long.finished_at
    assert first.finished_at < long.finished_at or len(first.texts) > said, "it did not stand still"


def test_who_leaves_while_a_prompt_is_read_is_gone_after_a_stage(backends: dict[str, Any], stages: list[int]) -> None:
    job = KeptJob(LONG)
    with ThreadPoolExecutor(1) as pool, backends["llama"]._sharing.line:
        work = pool.submit(backends["llama"].run, [job])
        _until(lambda: backends["llama"]._sharing.turns._reading is not None)
        job.is_cancelled = True
    work.result()
    assert (job.result.finish_reason, job.result.new_tokens, len(stages)) == ("cancelled", 0, 1)


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5", "bart", "marian"])
def test_alone_a_long_prompt_is_one_pass_between_whose_layers_a_newcomer_is_answered(
    backends: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, passes = backends[name], list[int]()
    stepper, shared = backend._stepper, backend._sharing
    monkeypatch.setattr(sharing, "LONG_TOKENS", 24)
    monkeypatch.setattr(shared, "_token_seconds", 1e-4)  # two layers make short passes
    read = stepper.read
    monkeypatch.setattr(stepper, "read", lambda self, end: (read(self, end), passes.append(end))[0])
    alone = run(backend, LONG)[0].text
    assert len(passes) == 1, "one pass, so that it costs what one pass costs"

    stands, goes_on = threading.Event(), threading.Event()

    def stand(module: Any, *_: object) -> None:
        if getattr(shared._mine, "pause", None) and not stands.is_set():
            stands.set()
            goes_on.wait(20)

    handle = sharing.layers(backend.module)[0].register_forward_pre_hook(stand)
    monkeypatch.setattr(turns, "SHARED_SECONDS", 1e-6)
    long, short = KeptJob(LONG), KeptJob(Generate("Le renard", sampling=GREEDY))
    try:
        with ThreadPoolExecutor(2) as pool:
            works = [pool.submit(backend.run, [long])]
            assert stands.wait(20)
            works.append(pool.submit(backend.run, [short]))
            _until(lambda: shared.turns._awaiting == 1)
            goes_on.set()
            for work in works:
                work.result()
    finally:
        handle.remove()
    assert long.result.text == alone
    assert passes[1] < passes[2] == passes[0], "it was read before the end of the prompt that was read already"


def test_a_sentence_is_translated_between_the_steps_of_somebodys_batch(backends: dict[str, Any]) -> None:
    backend = backends["t5"]
    slow = [KeptJob(Generate(f"Once {n}", sampling=replace(GREEDY, max_new_tokens=100))) for n in range(8)]
    quick = KeptJob(Generate("Le renard", sampling=replace(GREEDY, max_new_tokens=2)))
    with ThreadPoolExecutor(2) as pool:
        works = [pool.submit(backend.run, slow)]
        _until(lambda: any(job.texts for job in slow))
        works.append(pool.submit(backend.run, [quick]))
        for work in works:
            work.result()
    assert quick.finished_at < max(job.finished_at for job in slow)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.001)


def test_messages_go_through_the_chat_template(backends: dict[str, Any]) -> None:
    llama = backends["llama"]
    messages = (Message("system", "Be brief."), Message("user", "Once upon"))
    filled = "<|system|>Be brief.<|end|><|user|>Once upon<|end|><|assistant|>"
    row = llama._rows.make(KeptJob(Generate(messages=messages)))
    assert row.prefix == llama.tokenizer(filled, add_special_tokens=False, split_special_tokens=False)["input_ids"]
    row = llama._rows.make(KeptJob(Generate(messages=(*messages, Message("assistant", "The quick")))))
    assert llama.tokenizer.decode(row.prefix).endswith("<|assistant|>The quick")
    with pytest.raises(UnsupportedError, match="chat template"):
        run(backends["gpt2"], Generate(messages=messages))
    with pytest.raises(UnsupportedError, match="messages"):
        run(backends["t5"], Generate(messages=messages))


@pytest.mark.parametrize(("name", "token"), [("gpt2", "<|endoftext|>"), ("llama", "</s>"), ("t5", "</s>")])
def test_control_tokens_that_people_typed_are_text(backends: dict[str, Any], name: str, token: str) -> None:
    rows, text = backends[name]._rows, f"The fox{token} jumps"
    ids = lambda **about: [*(row := rows.make(KeptJob(Generate(**about)))).source, *row.prefix]  # noqa: E731
    special = rows.tokenizer.convert_tokens_to_ids(token)
    assert ids(prompt=text).count(special) == ids(prompt="The fox jumps").count(special)
    assert len(ids(prompt=text)) > len(ids(prompt="The fox jumps"))
    if rows.tokenizer.chat_template:
        plain, typed = (ids(messages=(Message("user", said),)) for said in ("The fox jumps", f"The fox{token} jumps"))
        assert plain.count(special) == typed.count(special) and len(typed) > len(plain)


def test_a_space_at_the_end_is_the_next_tokens(backends: dict[str, Any]) -> None:
    bare, spaced = (
        run(backends["gpt2"], Generate(prompt, sampling=GREEDY))[0] for prompt in ("Once upon a", "Once upon a ")
    )
    assert spaced.text == bare.text.removeprefix(" ") and spaced.prompt_tokens == bare.prompt_tokens


def test_lengths(backends: dict[str, Any]) -> None:
    with pytest.raises(TooLargeError, match=r"tokens; Tiny takes at most 95"):
        run(backends["gpt2"], Generate("sea " * 200))
    with pytest.raises(TooLargeError, match="at most 96"):
        run(backends["marian"], Generate("sea " * 200))
    prompt = "sea" * 40
    (result,) = run(backends["gpt2"], Generate(prompt, sampling=replace(WARM, max_new_tokens=500)))
    assert result.prompt_tokens + result.settings["max_new_tokens"] == 96
    assert result.new_tokens <= result.settings["max_new_tokens"]


def test_too_many_top_logprobs_are_refused(backends: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="top_logprobs"):
        run(backends["gpt2"], Generate("Once", top_logprobs=21))


def test_memory_counts_weights_and_cache(backends: dict[str, Any]) -> None:
    for backend in backends.values():
        weights = sum(parameter.numel() * 4 for parameter in backend.module.parameters())
        assert weights < backend.memory_bytes < weights + 200 * 2**20
    row_bytes = 2 * 2 * 32 * 4
    assert backends["gpt2"]._rows.cache_bytes(10, 4) == 10 * row_bytes == backends["bart"]._rows.cache_bytes(10, 4)
    assert backends["llama"]._rows.cache_bytes(10, 4) == 10 * row_bytes // 2


def test_an_empty_prompt_begins_at_the_beginning(backends: dict[str, Any]) -> None:
    (result,) = run(backends["gpt2"], Generate("", sampling=GREEDY))
    assert result.new_tokens and result.prompt_tokens == 1


def test_multilingual_models_are_told_both_languages(backends: dict[str, Any]) -> None:
    backend = backends["m2m100"]
    row = backend._rows.make(KeptJob(Generate("Le renard", source="fr", target="de")))
    assert row.source[0] == backend.tokenizer.get_lang_id("fr") and row.source[-1] == backend.tokenizer.eos_token_id
    assert row.prefix == [2, backend.tokenizer.get_lang_id("de")]
    french, german = run(
        backend,
        Generate("The quick", source="en", target="fr", sampling=GREEDY),
        Generate("The quick", source="en", target="de", sampling=GREEDY),
    )
    assert french.text != german.text
    with pytest.raises(InputError, match="target language"):
        run(backend, Generate("The quick", source="en"))
    with pytest.raises(UnsupportedError, match="xx"):
        run(backend, Generate("The quick", source="en", target="xx"))


def test_the_models_own_rules_act_and_are_reported(folder: Path, backends: dict[str, Any]) -> None:
    backend = backends["marian"]
    pad = backend.tokenizer.pad_token_id
    with torch.no_grad():
        backend.module.final_logits_bias[0, pad] = 1000.0
    (result,) = run(backend, Generate("Le renard", sampling=GREEDY, top_logprobs=1))
    backend.module.final_logits_bias[0, pad] = 0.0
    assert pad not in [token.id for token in result.tokens]
    bart = checkpoints.bart(folder / "bart-rules")
    path = bart / "generation_config.json"
    path.write_text(path.read_text().replace("{", '{"no_repeat_ngram_size": 2, "min_length": 8,', 1))
    (result,) = run(open_backend("seq2seq", bart), Generate("Le renard", sampling=GREEDY, top_logprobs=1))
    pairs = list(zip(result.tokens, result.tokens[1:], strict=False))
    assert len({(a.id, b.id) for a, b in pairs}) == len(pairs)
    assert result.settings["no_repeat_ngram_size"] == 2 and result.settings["min_length"] == 8


def decoder(pieces: list[bytes]) -> Any:
    return lambda ids: b"".join(pieces[id] for id in ids).decode("utf-8", "replace")


def test_no_half_characters() -> None:
    text = "a😀é中\u200db"
    detokenizer = Detokenizer(decoder([bytes([byte]) for byte in text.encode()]))
    pieces = [detokenizer.push(id) for id in range(len(text.encode()))] + [detokenizer.flush()]
    assert "".join(pieces) == text and all("\ufffd" not in piece for piece in pieces)


def test_broken_bytes_are_not_held_back_for_ever() -> None:
    detokenizer = Detokenizer(decoder([b"\xf0"]))
    pieces = [detokenizer.push(0) for _ in range(40)]
    assert sum(map(len, pieces)) >= 32


def test_text_after_a_prompt_keeps_its_space(tmp_path: Path) -> None:
    def decode(ids: list[int]) -> str:
        return "".join(["▁Once", "▁upon", "▁a"][id] for id in ids).replace("▁", " ").removeprefix(" ")

    assert Detokenizer(decode, context=[0]).push(1) == " upon"
    assert Detokenizer(decode).push(1) == "upon"


@pytest.mark.parametrize(
    ("pieces", "stops", "text", "is_stopped"),
    [
        (["one ", "two ST", "O", "P three"], ["STOP"], "one two ", True),
        (["one ", "two ST", "O", "RE"], ["STOP"], "one two STORE", False),
        (["a\n", "\n", "b"], ["\n\n"], "a", True),
        (["ab", "abc"], ["abc", "bab"], "a", True),
        (["end ST"], ["STOP"], "end ST", False),
    ],
)
def test_stop_strings_across_tokens(pieces: list[str], stops: list[str], text: str, is_stopped: bool) -> None:
    job = KeptJob(Generate())
    stream = TextStream(job, Detokenizer(decoder([piece.encode() for piece in pieces])), stops)
    found = any(stream.push(id) for id in range(len(pieces)))
    assert (stream.close() or found) == is_stopped
    assert stream.text == text == "".join(job.texts)


def test_a_loop_ends_an_answer_where_that_is_asked() -> None:
    for ends_loops in (True, False):
        job = KeptJob(Generate(ends_loops=ends_loops))
        stream = HeldText(job, [])
        taken = sum(not stream.add(" la") for _ in range(100))
        assert taken == (13 if ends_loops else 100)
    assert not is_endless("=" * 400) and not is_endless("Ha ha ha ha ha!" + "1, 2, 3 " * 40)
    assert is_endless("哈" * 40) and is_endless("so, " + "on and on, you know, " * 4)


@pytest.mark.parametrize("name", ["gpt2", "t5-small", "opus-mt-zh-en"])
def test_beside_real_tokenizers(shared_data: Path, tmp_path: Path, name: str) -> None:
    real = shared_data / "checkpoints" / name
    if name == "opus-mt-zh-en":
        backend = open_backend("seq2seq", checkpoints.marian(tmp_path, real))
    else:
        tokenizer = transformers.AutoTokenizer.from_pretrained(real)
        maker, kind = (checkpoints.gpt2, "causal") if name == "gpt2" else (checkpoints.t5, "seq2seq")
        backend = open_backend(kind, maker(tmp_path, tokenizer))
    requests = [Generate("今天天气很好。", sampling=WARM), Generate("Once upon a time", sampling=WARM)]
    jobs = [KeptJob(request) for request in requests]
    backend.run(jobs)
    for job in jobs:
        assert job.result.new_tokens > 0 and "".join(job.texts) == job.result.text
        (alone,) = run(backend, job.request)
        assert alone.text == job.result.text
