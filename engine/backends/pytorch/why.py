"""What is asked of a checkpoint when a visitor asks why: a next token, a label, a span, a translation's next token.

Each becomes a difference of two logits as a function of the text's vectors, which `attributing` then takes apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from engine.backends.attention import check_short, check_some
from engine.backends.languages import is_multilingual
from engine.backends.pytorch.attributing import Question, filled, wide
from engine.backends.pytorch.forwards import accepts
from engine.backends.pytorch.pieces import pieces_of
from engine.backends.spans import Window, best_spans, label_window, make_windows
from engine.backends.texts import places_of
from engine.errors import InputError, UnsupportedError
from engine.inspections import Attribute, Piece
from engine.requests import Generate, Message

MOST_NAMED, MOST_ANSWER = 200, 40
"""Likeliest tokens among which an answer is looked for by its text; tokens of a span at most."""
MOST_ROWS = 8192
"""Of the table of vectors, read at once."""


class Asked(NamedTuple):
    """The tokens that may speak for the answer, what is asked of them, and the two answers by name; "" is none."""

    pieces: tuple[Piece, ...]
    question: Question
    answer: str
    rival: str


class Whys:
    """Makes the questions of one checkpoint; `read` gives a text's inputs, `rows` its prompts where it writes."""

    def __init__(self, title: str, module: Any, tokenizer: Any, window: int, read: Callable[..., Any], rows: Any):
        self._title, self._module, self._tokenizer, self._window = title, module, tokenizer, window
        self._read, self._rows = read, rows

    def ask(self, request: Attribute) -> Asked:
        """Raises InputError, TooLargeError, UnsupportedError."""
        if self._module.config.is_encoder_decoder:
            return self._of_translator(request)
        if self._module.can_generate():
            return self._of_decoder(request)
        return self._of_reader(request) if request.question else self._of_classifier(request)

    def _of_decoder(self, request: Attribute) -> Asked:
        """The first token stays in the baseline: heads look at it that have nothing else to look at, and without it
        nothing would work as it does."""
        module = self._module
        if request.turns:
            ids = self._rows.prompt_ids(Generate(messages=tuple(Message(*turn) for turn in request.turns)))  # type: ignore[arg-type]
            check_short(ids, "messages", self._window)
        else:
            ids = self._read(request.text + request.begun).ids[0].tolist()
        given = torch.tensor([ids], device=module.device)
        options = {"logits_to_keep": 1} if accepts(module, "logits_to_keep") else {}
        chosen, rival = self._tokens(request, module(given, **options).logits[0, -1])
        pieces = pieces_of(self._tokenizer, ids)
        table = module.get_output_embeddings().weight

        def difference(vectors: Tensor) -> Tensor:
            with wide(table, [chosen, rival]):
                logits = module(inputs_embeds=vectors, **options).logits[:, -1]
            return logits[:, 0] - logits[:, 1]

        fixed = request.text[: request.fixed]
        said = set(range(len(self._read(fixed).pieces) if fixed.strip() else 0, len(pieces)))
        if request.turns:
            said = set(chain.from_iterable(places_of(pieces, [content for _, content in request.turns])))
        kept = [place == 0 or piece.is_special or place not in said for place, piece in enumerate(pieces)]
        about = self._about(given, kept, difference, empty=self._mean)
        return Asked(pieces, about, self._name(chosen), self._name(rival))

    def _of_classifier(self, request: Attribute) -> Asked:
        module, read = self._module, self._read(request.text)
        labels = [str(module.config.id2label[id]) for id in range(module.config.num_labels)]
        if len(labels) < 2:
            raise UnsupportedError(
                "{title} knows one label only, so that there is no other to ask about. Choose another model.",
                param="model", title=self._title,
            )  # fmt: skip
        ranked = module(**read.inputs).logits[0].argsort(descending=True).tolist()
        known = [self._label(one, labels, ranked) if one else None for one in (request.answer, request.rival)]
        chosen, rival = filled(known, ranked)

        def difference(vectors: Tensor) -> Tensor:
            with wide():
                logits = module(inputs_embeds=vectors).logits
            return logits[:, chosen] - logits[:, rival]

        return Asked(read.pieces, self._about(read.ids, read.special, difference), labels[chosen], labels[rival])

    def _label(self, answer: str, labels: Sequence[str], ranked: Sequence[int]) -> int:
        found = next((id for id in ranked if labels[id].casefold() == answer.strip().casefold()), None)
        if found is None:
            raise InputError(
                "{model} has no label {label}. It has {known}.",
                param="answer", model=self._title, label=repr(answer[:60]), known=[labels[id] for id in ranked[:10]],
            )  # fmt: skip
        return found

    def _of_reader(self, request: Attribute) -> Asked:
        """A span against another, or against no answer; tokens of the question speak too."""
        module, passage = self._module, request.text
        window = self._whole(request.question, passage)
        ids = torch.tensor([window.input_ids], device=module.device)
        more = {"token_type_ids": torch.tensor([window.token_type_ids], device=module.device)}
        options = more if window.token_type_ids and accepts(module, "token_type_ids") else {}
        output = module(input_ids=ids, **options)
        starts, ends = output.start_logits[0].float(), output.end_logits[0].float()

        def weight(span: tuple[int, int]) -> float:
            return float(starts[span[0]] + ends[span[1]])

        scores = [[one.cpu().numpy()] for one in (starts, ends)]
        spans, _ = best_spans(passage, [window], *scores, top_k=2, max_answer_tokens=MOST_ANSWER)
        best = [label_window(window, one.start, one.end) for one in spans]
        ranked = sorted([(0, 0), *best], key=weight, reverse=True)
        known = [self._span(one, passage, window, weight) if one else None for one in (request.answer, request.rival)]
        first, second = filled(known, ranked if not request.answer else [(0, 0), *best])

        def difference(vectors: Tensor) -> Tensor:
            with wide():
                given = {name: types.expand(len(vectors), -1) for name, types in options.items()}
                output = module(inputs_embeds=vectors, **given)
            begins, stops = output.start_logits, output.end_logits
            return begins[:, first[0]] + stops[:, first[1]] - begins[:, second[0]] - stops[:, second[1]]

        pieces = pieces_of(self._tokenizer, window.input_ids)
        about = self._about(ids, [piece.is_special for piece in pieces], difference)
        return Asked(pieces, about, _words(passage, window, first), _words(passage, window, second))

    def _whole(self, question: str, passage: str) -> Window:
        windows = make_windows(self._tokenizer, question, passage, self._window, self._window // 4)
        if len(windows) > 1:
            check_short(self._tokenizer(question, passage, verbose=False)["input_ids"], "text", self._window)
        return windows[0]

    def _span(
        self, answer: str, passage: str, window: Window, weight: Callable[[tuple[int, int]], float]
    ) -> tuple[int, int]:
        """Where an answer stands, the likeliest of several places."""
        places = [at for at in range(len(passage)) if passage.startswith(answer, at)]
        found = [label_window(window, at, at + len(answer)) for at in places]
        if not found or (best := max(found, key=weight)) == (0, 0):
            raise InputError(
                "{answer} does not stand in the text. Choose words of it.", param="answer", answer=repr(answer[:60])
            )
        return best

    def _of_translator(self, request: Attribute) -> Asked:
        """The next token of a translation that has begun, as the source's tokens speak for it."""
        module = self._module
        if is_multilingual(self._tokenizer):
            raise UnsupportedError(
                "{model} must be told its languages, which this view does not. Choose a translator of one pair.",
                param="model", model=self._title,
            )  # fmt: skip
        read, prefix = self._read(request.text), self._rows.decoder_ids(request.begun.strip())
        written = torch.tensor([prefix], device=module.device)
        chosen, rival = self._tokens(request, module(**read.inputs, decoder_input_ids=written).logits[0, -1])

        def difference(vectors: Tensor) -> Tensor:
            with wide():
                logits = module(inputs_embeds=vectors, decoder_input_ids=written.expand(len(vectors), -1)).logits
            return logits[:, -1, chosen] - logits[:, -1, rival]

        about = self._about(read.ids, read.special, difference)
        return Asked(read.pieces, about, self._name(chosen), self._name(rival))

    def _tokens(self, request: Attribute, logits: Tensor) -> tuple[int, int]:
        """The tokens of the two answers; of a word that takes several tokens the first."""
        ranked = logits.topk(min(MOST_NAMED, len(logits))).indices.tolist()
        named = pieces_of(self._tokenizer, ranked, is_running=False)
        known = {piece.text.strip().casefold(): piece.id for piece in reversed(named)}

        def find(answer: str) -> int:
            ids = self._tokenizer(f" {answer.strip()}", add_special_tokens=False)["input_ids"]
            return known.get(answer.strip().casefold(), int(ids[0]) if ids else ranked[0])

        return filled([find(one) if one else None for one in (request.answer, request.rival)], ranked)

    def _about(
        self, ids: Tensor, kept: Sequence[bool], difference: Callable[[Tensor], Tensor], *, empty: Tensor | None = None
    ) -> Question:
        """From a text of vectors that are `empty`, by default the neutral token's; what is `kept` stands as it is."""
        check_some(ids[0].tolist(), "text")
        table, is_kept = self._module.get_input_embeddings(), torch.tensor(kept, device=ids.device)[:, None]
        if empty is None:
            empty = table(ids.new_tensor([self._neutral()]))[0].float()
        start = table(ids)[0].float()
        return Question(start, torch.where(is_kept, start, empty), difference)

    @cached_property
    def _mean(self) -> Tensor:
        """The mean of all tokens' vectors, which says nothing, for a decoder.

        On the way from its token for an end the difference goes up and down ten times as far as it changes (64 tokens,
        SmolLM2 and Gemma), and by zeros norms are divided, where it jumps; from here it is two to four times.
        """
        table = self._module.get_input_embeddings()
        ids = torch.arange(table.num_embeddings, device=self._module.device)
        total = sum(table(some).float().sum(0) for some in ids.split(MOST_ROWS))
        return cast(Tensor, total) / len(ids)

    def _neutral(self) -> int:
        """The token that stands for no content, such as an encoder's pad."""
        known = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, self._tokenizer.unk_token_id, 0)
        return next(int(id) for id in known if id is not None)

    def _name(self, id: int) -> str:
        return pieces_of(self._tokenizer, [id], is_running=False)[0].text


def _words(passage: str, window: Window, span: tuple[int, int]) -> str:
    """The text of a span by its tokens; "" of none."""
    first, last = window.offsets[span[0]], window.offsets[span[1]]
    return passage[first[0] : last[1]] if first and last else ""
