"""Continuous batching of causal models, forced onto the CPU: it runs the same code as on CUDA, only slowly."""

from __future__ import annotations

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.backends.pytorch import backend as backend_module
from engine.backends.pytorch.backend import TransformersBackend
from engine.backends.pytorch.continuous_sampling import gumbel
from engine.errors import MemoryShortError
from engine.requests import Generate, Sampling
from engine.settings import Settings
from tests.backends import checkpoints
from tests.backends.checkpoints import KeptJob, entry, run

SETTINGS = Settings(device="cpu", dtype="float32", threads=1, context_tokens=96)
GREEDY = Sampling(max_new_tokens=12, temperature=0.0)
WARM = Sampling(max_new_tokens=16, temperature=1.2, seed=7)
PROMPTS = ["The quick brown fox", "Le renard", "Once upon a time there was a small village", "El zorro", "敏捷的", "x"]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def pair(request: Any, tmp_path_factory: Any) -> Any:
    """The same weights with the running batch and with the own loop."""
    folder = getattr(checkpoints, request.param)(tmp_path_factory.mktemp(request.param))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend_module, "CONTINUOUS_CONCURRENCY", 4)
        continuous = TransformersBackend(entry("causal"), folder, SETTINGS, is_continuous=True)
    assert continuous._continuous is not None and (continuous.concurrency, continuous.batch) == (4, 1)
    yield continuous, TransformersBackend(entry("causal"), folder, SETTINGS)
    continuous.close()


def run_together(backend: TransformersBackend, jobs: list[KeptJob]) -> None:
    """Each job from a thread of its own, as the worker's do."""
    threads = [threading.Thread(target=backend.run, args=([job],)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)


def test_greedy_text_is_that_of_the_own_loop(pair: Any) -> None:
    continuous, plain = pair
    requests = [Generate(prompt, sampling=GREEDY) for prompt in PROMPTS]
    requests += [Generate(prompt, sampling=replace(GREEDY, repetition_penalty=1.9)) for prompt in PROMPTS]
    jobs = [KeptJob(request) for request in requests]
    run_together(continuous, jobs)
    for job, expected in zip(jobs, run(plain, *requests), strict=True):
        assert job.error is None and job.result.text == expected.text == "".join(job.texts)
        assert (job.result.new_tokens, job.result.finish_reason) == (expected.new_tokens, expected.finish_reason)


def test_the_same_seed_gives_the_same_text_whoever_else_is_there(pair: Any) -> None:
    continuous, _ = pair
    requests = [
        Generate("Le renard", sampling=WARM),
        Generate("Le renard", sampling=replace(WARM, seed=8)),
        Generate("Le renard", sampling=replace(WARM, top_k=3)),
        Generate("Le renard", sampling=replace(WARM, top_p=0.4)),
        Generate("Le renard", sampling=replace(WARM, min_p=0.3)),
        Generate("Once upon a time there was", sampling=replace(WARM, repetition_penalty=1.5)),
    ]
    alone = [run(continuous, request)[0].text for request in requests]
    jobs = [KeptJob(request) for request in requests]
    run_together(continuous, jobs)
    assert [job.result.text for job in jobs] == alone
    assert len(set(alone[:5])) >= 4


@pytest.mark.parametrize("is_public", [False, True])
def test_a_public_site_shares_no_prompts_beginning(tmp_path: Path, is_public: bool) -> None:
    """Else the time of an answer would tell what somebody else had asked."""
    folder = checkpoints.llama(tmp_path)
    settings = replace(SETTINGS, is_public=is_public)
    backend = TransformersBackend(entry("causal"), folder, settings, is_continuous=True)
    assert backend._continuous is not None
    cache = backend._continuous._loop.manager.batch_processor.cache
    assert cache.use_prefix_sharing is not is_public
    backend.close()


def test_filters_that_leave_one_token_are_greedy(pair: Any) -> None:
    continuous, plain = pair
    (greedy,) = run(plain, Generate("Once upon", sampling=GREEDY))
    for change in ({"top_k": 1}, {"top_p": 0.01}, {"min_p": 1.0}, {"temperature": 0.001}):
        (result,) = run(continuous, Generate("Once upon", sampling=replace(GREEDY, **({"temperature": 1.0} | change))))
        assert result.text == greedy.text


def test_one_row_leaves_and_the_others_go_on(pair: Any) -> None:
    continuous, plain = pair
    sampling = replace(GREEDY, max_new_tokens=60)
    leaver = KeptJob(Generate("The quick brown fox", sampling=sampling), leaves_after=2)
    stayers = [KeptJob(Generate(prompt, sampling=sampling)) for prompt in PROMPTS[1:4]]
    run_together(continuous, [leaver, *stayers])
    assert leaver.result.finish_reason == "cancelled" and leaver.result.new_tokens < 60
    for stayer, expected in zip(stayers, run(plain, *[job.request for job in stayers]), strict=True):
        assert stayer.result.text == expected.text


def test_stop_strings_end_a_row(pair: Any) -> None:
    continuous, plain = pair
    (free,) = run(plain, Generate("Once upon", sampling=replace(GREEDY, max_new_tokens=30)))
    stop = free.text[8:11]
    sampling = replace(GREEDY, max_new_tokens=30, stop=(stop,))
    (stopped,) = run(continuous, Generate("Once upon", sampling=sampling))
    assert stopped.finish_reason == "stop" and stopped.text == free.text[: free.text.index(stop)]


def test_log_probabilities_come_from_the_own_loop_between_two_steps(pair: Any) -> None:
    continuous, plain = pair
    detailed = Generate("Once upon", sampling=replace(WARM, max_new_tokens=10), top_logprobs=2)
    jobs = [KeptJob(detailed), *(KeptJob(Generate(prompt, sampling=GREEDY)) for prompt in PROMPTS)]
    run_together(continuous, jobs)
    (expected,) = run(plain, detailed)
    assert jobs[0].result.text == expected.text
    assert [t.logprob for t in jobs[0].result.tokens] == pytest.approx([t.logprob for t in expected.tokens], abs=1e-4)
    assert all(job.result.text for job in jobs[1:])


def fail_on_call(module: Any, monkeypatch: pytest.MonkeyPatch, failing: set[int]) -> list[int]:
    """Let some of the module's forward passes run out of memory."""
    real, calls = type(module).forward, [0]

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] in failing:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(type(module), "forward", forward)
    return calls


def test_after_short_memory_the_rows_go_on_where_they_were(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    continuous, _ = pair
    requests = [Generate(prompt, sampling=replace(WARM, max_new_tokens=20)) for prompt in PROMPTS[:3]]
    expected = [run(continuous, request)[0].text for request in requests]
    jobs = [KeptJob(request) for request in requests]
    with monkeypatch.context() as patch:
        fail_on_call(continuous.module, patch, {8})
        run_together(continuous, jobs)
    assert [job.result.text for job in jobs] == expected == ["".join(job.texts) for job in jobs]


def test_memory_that_stays_short_is_said_and_the_backend_lives(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    continuous, _ = pair
    job = KeptJob(Generate("Once", sampling=GREEDY))
    with monkeypatch.context() as patch:
        fail_on_call(continuous.module, patch, set(range(1, 50)))
        run_together(continuous, [job])
    assert isinstance(job.error, MemoryShortError)
    assert run(continuous, Generate("Once", sampling=GREEDY))[0].text


def test_a_model_that_the_paged_cache_cannot_serve_uses_its_own_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = checkpoints.llama(tmp_path)
    monkeypatch.setattr(
        transformers_module(), "init_continuous_batching", lambda *_: (_ for _ in ()).throw(ValueError("no"))
    )
    backend = TransformersBackend(entry("causal"), folder, SETTINGS, is_continuous=True)
    assert backend._continuous is None and backend.batch * backend.concurrency == SETTINGS.slots
    assert run(backend, Generate("Once", sampling=GREEDY))[0].text


def transformers_module() -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM


def test_noise_has_gumbels_distribution_and_depends_on_the_key_alone() -> None:
    keys = torch.tensor([[5], [123456], [5]])
    noise = gumbel(keys, 20000)
    assert torch.equal(noise[0], noise[2]) and not torch.equal(noise[0], noise[1])
    assert noise.mean(1).tolist() == pytest.approx([0.5772] * 3, abs=0.05)
    assert noise.var(1).tolist() == pytest.approx([1.645] * 3, abs=0.15)
    logits = torch.tensor([0.6, 0.3, 0.1]).log()
    drawn = (gumbel(torch.arange(1, 6001)[:, None] * 7919, 3) + logits).argmax(1)
    assert (torch.bincount(drawn) / 6000).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.03)


def test_a_process_that_forgets_to_close_ends_all_the_same(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from tests.backends import checkpoints
from engine.backends.pytorch.backend import TransformersBackend
from engine.settings import Settings
settings = Settings(device="cpu", dtype="float32", threads=1, context_tokens=96)
folder = checkpoints.llama(Path({str(tmp_path)!r}))
backend = TransformersBackend(checkpoints.entry("causal"), folder, settings, is_continuous=True)
assert backend._continuous is not None
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
