"""What a user would take instead, each as its own documentation shows it, in a process of its own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.sides import THREADS, Work, at_once
from benchmarks.texts import QUESTIONS, TOP_K, documents, mixed_rows, passages, short_sentences, story_prompt

WINDOW, STRIDE = 384, 128
"""Tokens of a window of a long document and of what two share: the defaults of `pipeline("question-answering")`."""


def bare_llama(path: str, slots: int, context_tokens: int = 4096) -> Work:
    """The binding alone: its own defaults, streaming, a callback that only looks at the clock."""
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.n_parallel = slots
    parameters.n_ctx = slots * context_tokens
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = THREADS
    parameters.verbosity = 0
    server = xllamacpp.Server(parameters)

    def one(number: int, tokens: int) -> tuple[int, float]:
        started = time.perf_counter()
        times: list[float] = []
        last: dict[str, Any] = {}
        body = {"prompt": story_prompt(number), "n_predict": tokens, "temperature": 0.8, "seed": number, "stream": True}

        def take(chunk: dict[str, Any]) -> None:
            last.update(chunk)
            if chunk["choices"][0]["text"] and not times:
                times.append(time.perf_counter() - started)

        server.handle_completions(body | {"top_k": TOP_K, "top_p": 1.0, "min_p": 0.0}, take)
        return int(last["usage"]["completion_tokens"]), times[0]

    return lambda visitors, tokens: at_once(one, visitors, tokens)


def pipeline_stories(folder: str) -> Work:
    """`pipeline("text-generation")` with a streamer, everybody in a queue of one, as a Gradio demo has it."""
    from threading import Lock

    import torch
    from transformers import TextIteratorStreamer, pipeline

    torch.set_num_threads(THREADS)
    pipe = pipeline("text-generation", model=folder)
    queue = Lock()

    def one(number: int, tokens: int) -> tuple[int, float]:
        started = time.perf_counter()
        with queue:
            streamer = _FirstToken(pipe.tokenizer)
            lengths = {"max_new_tokens": tokens, "min_new_tokens": tokens}
            options = lengths | {"do_sample": True, "temperature": 0.8, "top_k": TOP_K}
            pipe(story_prompt(number), streamer=streamer, return_full_text=False, **options)
            return tokens, streamer.first_at - started

    class _FirstToken(TextIteratorStreamer):
        first_at = 0.0

        def put(self, value: Any) -> None:
            if value.ndim == 1 and not self.first_at:  # the prompt comes first, with its row
                self.first_at = time.perf_counter()
            super().put(value)

    return lambda visitors, tokens: at_once(one, visitors, tokens)


def sentiment_pipeline(count: int, folder: str, batch: int) -> Work:
    """`pipeline("text-classification")` with its batch size."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(THREADS)
    rows, pipe = mixed_rows(count), pipeline("text-classification", model=folder)
    return lambda: {"labels": [one["label"] for one in pipe(rows, batch_size=batch, truncation=True)]}


def sentiment_onnx(count: int, folder: str, path: str, batch: int) -> Work:
    """ONNX Runtime on dynamic int8, rows in the order given, padded to the longest of their batch."""
    import json

    import onnxruntime
    from transformers import AutoTokenizer

    rows, tokenizer = mixed_rows(count), AutoTokenizer.from_pretrained(folder)
    labels = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["id2label"]
    session = _onnx_session(onnxruntime, path)
    names = [value.name for value in session.get_inputs()]

    def work() -> dict[str, Any]:
        found: list[str] = []
        for start in range(0, len(rows), batch):
            encoded = tokenizer(rows[start : start + batch], padding=True, truncation=True, return_tensors="np")
            feed = dict(zip(names, (encoded["input_ids"], encoded["attention_mask"]), strict=True))
            found += [labels[str(index)] for index in session.run(None, feed)[0].argmax(-1)]
        return {"labels": found}

    return work


def _onnx_session(onnxruntime: Any, path: str) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answers_windows(count: int, folder: str, is_batched: bool) -> Work:
    """What `pipeline("question-answering")` did until transformers 5 took it out: windows, best span of each.

    One window a forward pass, its default, or all windows of a document in one.
    """
    import torch
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer

    torch.set_num_threads(THREADS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForQuestionAnswering.from_pretrained(folder).eval()
    asked = [(QUESTIONS[place % len(QUESTIONS)], text) for place, text in enumerate(documents(count))]
    names = ("input_ids", "attention_mask", "token_type_ids")

    def answer(question: str, text: str) -> str:
        encoded = tokenizer(
            question, text, truncation="only_second", max_length=WINDOW, stride=STRIDE, padding="longest",
            return_overflowing_tokens=True, return_offsets_mapping=True, return_tensors="pt",
        )  # fmt: skip
        total = len(encoded["input_ids"])
        best = (-1e9, "")
        for start in range(0, total, total if is_batched else 1):
            rows = slice(start, start + (total if is_batched else 1))
            with torch.inference_mode():
                output = model(**{name: encoded[name][rows] for name in names if name in encoded})
            for place in range(rows.start, min(rows.stop, total)):
                best = max(best, _best_span(output, place - start, encoded, place, text))
        return best[1]

    return lambda: {"answers": [answer(question, text) for question, text in asked]}


def _best_span(output: Any, row: int, encoded: Any, place: int, text: str) -> tuple[float, str]:
    import torch

    starts, ends = output.start_logits[row].float(), output.end_logits[row].float()
    inside = torch.tensor([kind == 1 for kind in encoded.sequence_ids(place)])
    table = starts.masked_fill(~inside, -1e4)[:, None] + ends.masked_fill(~inside, -1e4)[None, :]
    table = table.triu().tril(15)
    flat = int(table.masked_fill(table == 0, -1e4).argmax())
    first, last = divmod(flat, table.shape[1])
    offsets = encoded["offset_mapping"][place]
    return float(table[first, last]), text[int(offsets[first][0]) : int(offsets[last][1])]


def translations_generate(folder: str, count: int, tokens: int, batch: int) -> Work:
    """`generate` in batches, which is what the translation pipeline did until transformers 5 took it out."""
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    torch.set_num_threads(THREADS)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    rows = short_sentences(count)

    def work() -> dict[str, Any]:
        total = 0
        for start in range(0, len(rows), batch):
            encoded = tokenizer(rows[start : start + batch], padding=True, return_tensors="pt")
            with torch.inference_mode():
                made = model.generate(**encoded, max_new_tokens=tokens, num_beams=1, do_sample=False)
            tokenizer.batch_decode(made, skip_special_tokens=True)
            total += made.shape[0] * (made.shape[1] - 1)
        return {"tokens": total}

    return work


def translations_ctranslate2(folder: str, path: str, count: int, tokens: int, batch: int) -> Work:
    """CTranslate2 int8, greedy; it sorts by length and batches by itself."""
    import ctranslate2
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    translator = ctranslate2.Translator(path, device="cpu", compute_type="int8", intra_threads=THREADS, inter_threads=1)
    rows = short_sentences(count)

    def work() -> dict[str, Any]:
        pieces = [tokenizer.convert_ids_to_tokens(tokenizer(row)["input_ids"]) for row in rows]
        results = translator.translate_batch(pieces, beam_size=1, max_decoding_length=tokens, max_batch_size=batch)
        made = [tokenizer.convert_tokens_to_ids(one.hypotheses[0]) for one in results]
        tokenizer.batch_decode(made, skip_special_tokens=True)
        return {"tokens": sum(map(len, made))}

    return work


def embeddings_sentence_transformers(count: int, folder: str) -> Work:
    """`SentenceTransformer.encode` with its defaults."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(THREADS)
    model, rows = SentenceTransformer(folder, device="cpu", local_files_only=True), passages(count)
    return lambda: {"vectors": model.encode(rows, normalize_embeddings=True)[:8].tolist()}
