"""Marian students as a base: the runtime's network as the trainer wants one, its pieces as a tokenizer.

What was learned is kept in the runtime's own files (fp16), which it rounds to int8 with ranges measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import Seq2SeqLMOutput

from engine.backends.marian.decoding import Choice, greedy
from engine.backends.marian.files import Translator, Vocabulary, save_student
from engine.backends.marian.model import EOS, UNKNOWN, Student, build, pad
from engine.backends.marian.quick import measure_inputs
from engine.catalogue.checkpoints import STUDENT
from engine.training.data import IGNORED, Feature

MEASURED_ROWS = 200
"""Rows on which the ranges of activations are measured, beside the base's own."""
Weights = dict[str, Tensor]


class StudentConfig(PreTrainedConfig):
    """What the trainer reads of a student."""

    model_type = STUDENT

    def __init__(self, **options: Any) -> None:
        super().__init__(is_encoder_decoder=True, **options)
        self.pad_token_id = self.eos_token_id = self.decoder_start_token_id = EOS
        self.unk_token_id = UNKNOWN


class TrainableStudent(PreTrainedModel):
    """A student that learns all at once. Its shortlist is left behind: what it learns to say is not in it."""

    config_class = StudentConfig
    generation_config = None

    def __init__(self, translator: Translator) -> None:
        super().__init__(StudentConfig())
        self.student: Student = translator.student.train().requires_grad_(True)
        self._ranges, self._beam_size = translator.ranges, translator.beam_size
        self._measured: list[tuple[Tensor, Tensor]] = []

    def measure_on(self, features: Sequence[Feature]) -> None:
        """Keep rows that tell, once it has learned, how large activations become."""
        rows = features[:: max(1, len(features) // MEASURED_ROWS)]
        self._measured = [(torch.tensor(row["input_ids"]), torch.tensor(row["labels"])) for row in rows]

    def get_input_embeddings(self) -> Any:
        return self.student.source_embedding

    def get_output_embeddings(self) -> None:
        return None

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        decoder_input_ids: Tensor,
        labels: Tensor | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """`decoder_input_ids` begin with a token of which the student reads the place alone."""
        targets = F.pad(decoder_input_ids[:, 1:], (0, 1), value=EOS)
        encoded = self.student.encode(input_ids, attention_mask.sum(1).tolist())
        logits = self.student.logits(self.student.decode(encoded, targets)[0])
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED)
        return Seq2SeqLMOutput(loss=loss, logits=logits)

    @torch.no_grad()
    def generate(self, input_ids: Tensor, attention_mask: Tensor, max_new_tokens: int, **_: Any) -> Tensor:
        """The likeliest token at every step."""
        lengths = attention_mask.sum(1).tolist()
        sources = [ids[:length] for ids, length in zip(input_ids.tolist(), lengths, strict=True)]
        written: list[list[int]] = [[] for _ in sources]

        def take(row: int, choice: Choice) -> bool:
            written[row].append(choice.id)
            return choice.id == EOS or len(written[row]) >= max_new_tokens

        greedy(self.student, sources, take)
        return pad(written)[0]

    def save_pretrained(self, save_directory: str | Path, **_: Any) -> None:
        """The runtime's files, but for the vocabularies."""
        state = self.student.state_dict()
        if not self.student.shape.target_size:
            state.pop("target_embedding.weight")
        weights = {name: value.detach().float() for name, value in state.items()}
        exact = build(self.student.shape, dict(weights))
        found = measure_inputs(exact, *map(list, zip(*self._measured, strict=True))) if self._measured else {}
        ranges = {name: torch.maximum(value, self._ranges.get(name, value)) for name, value in found.items()}
        kept = {name: value.half() for name, value in weights.items()}
        facts = {"prompt_style": "pair", "beam_size": self._beam_size}
        save_student(Path(save_directory), self.student.shape, {**kept, **ranges}, None, facts)


class Pieces:
    """Both vocabularies in the form of a tokenizer: texts are sources, `text_target` targets; both end in EOS."""

    bos_token_id = mask_token_id = None
    pad_token_id = eos_token_id = EOS
    pad_token = eos_token = "</s>"
    model_max_length = 512
    all_special_ids, all_special_tokens = (EOS,), ("</s>",)

    def __init__(self, source: Vocabulary, target: Vocabulary, *, is_source: bool = False) -> None:
        self._source, self._target, self._is_source = source, target, is_source

    @property
    def of_source(self) -> Pieces:
        """The one that reads ids as a source's."""
        return Pieces(self._source, self._target, is_source=True)

    def __call__(
        self,
        text: Sequence[str] = (),
        text_target: Sequence[str] = (),
        truncation: bool = False,
        max_length: int = 0,
        return_tensors: str = "",
        **_: Any,
    ) -> dict[str, Any]:
        """Ids of texts; with `return_tensors` padded, and with the mask of what is none."""
        vocabulary = self._target if text_target else self._source
        rows = [[*vocabulary.encode(one), EOS] for one in text_target or text]
        if truncation:
            rows = [row if len(row) <= max_length else [*row[: max_length - 1], EOS] for row in rows]
        if not return_tensors:
            return {"input_ids": rows}
        ids, lengths = pad(rows)
        mask = torch.arange(ids.shape[1])[None] < torch.tensor(lengths)[:, None]
        return {"input_ids": ids, "attention_mask": mask.long()}

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return (self._source if self._is_source else self._target).decode(list(ids))

    def batch_decode(self, rows: Tensor, **_: Any) -> list[str]:
        return [self.decode(row) for row in rows.tolist()]

    def save_pretrained(self, save_directory: str | Path) -> None:
        """The vocabularies as the runtime reads them."""
        for side, vocabulary in (("source", self._source), ("target", self._target)):
            (Path(save_directory) / f"{side}.spm").write_bytes(vocabulary.pieces.serialized_model_proto())
