"""A tokenizer from its `tokenizer.json` alone, called as those of `transformers` are, but without their import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer


class Encoded(dict[str, Any]):
    """Lists by name, one for each piece where overflowing tokens were asked for."""

    def __init__(self, pieces: Sequence[Encoding], columns: dict[str, str]) -> None:
        super().__init__({name: [getattr(piece, field) for piece in pieces] for name, field in columns.items()})
        self._pieces = pieces

    def sequence_ids(self, index: int) -> list[int | None]:
        """For each token of a piece 0 or 1, the text that it is of; None for special tokens."""
        return list(self._pieces[index].sequence_ids)


class PlainTokenizer:
    """Reads the file; raises what `tokenizers` does where it is damaged."""

    def __init__(self, file: Path, input_names: Sequence[str]) -> None:
        self._tokenizer = Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True  # those that people typed are text
        self.model_input_names = list(input_names)

    def __call__(
        self,
        text: str,
        pair: str | None = None,
        *,
        add_special_tokens: bool = True,
        truncation: bool | str = False,
        max_length: int = 0,
        stride: int = 0,
        return_overflowing_tokens: bool = False,
        return_offsets_mapping: bool = False,
        return_token_type_ids: bool | None = None,
    ) -> Encoded:
        """Encode as `transformers` would. Not for two threads at once: the truncation is a state."""
        if truncation:
            strategy = truncation if isinstance(truncation, str) else "longest_first"
            self._tokenizer.enable_truncation(max_length, stride=stride, strategy=strategy)
        else:
            self._tokenizer.no_truncation()
        whole = self._tokenizer.encode(text, pair, add_special_tokens=add_special_tokens)
        columns = {"input_ids": "ids"}
        if "token_type_ids" in self.model_input_names if return_token_type_ids is None else return_token_type_ids:
            columns["token_type_ids"] = "type_ids"
        if return_offsets_mapping:
            columns["offset_mapping"] = "offsets"
        encoded = Encoded([whole, *whole.overflowing], columns)
        if not return_overflowing_tokens:
            encoded.update({name: values[0] for name, values in encoded.items()})
        return encoded
