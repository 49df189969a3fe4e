"""Summaries by BART and T5 as the Hub has them: small checkpoints of these architectures, taught one sentence here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from benches import Bench, embedded_models, model
from fakes import HOST

from engine.applications.summarize import APPLICATION, SummarizeRequest
from tests.backends import checkpoints

FOX, VILLAGE = checkpoints.CORPUS[0], checkpoints.CORPUS[1]
TEXT = f"{VILLAGE} {FOX}"


def taught(folder: Path, asked: str) -> Path:
    """The checkpoint in the folder after it learned to say one sentence of the text."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    net: Any = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    given, wanted = (tokenizer(one, return_tensors="pt")["input_ids"] for one in (asked, FOX))
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for _ in range(400):
        loss = net(input_ids=given, labels=wanted).loss
        if loss.item() < 0.02:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("name", "style", "before"), [("bart", "", ""), ("t5", "t5", "summarize: ")])
def test_an_encoder_decoder_summarises_with_sources(tmp_path: Path, name: str, style: str, before: str) -> None:
    folder = taught(getattr(checkpoints, name)(tmp_path / name), before + TEXT)
    own = model(name, architecture="seq2seq", applications=("summarize",), prompt_style=style)
    bench = Bench(*embedded_models(), own)
    bench.plan[name] = checkpoints.open_backend("seq2seq", folder, context_tokens=128)
    result = APPLICATION.run(bench.engine, SummarizeRequest(TEXT, 14, model=name, temperature=0.0), HOST)
    assert result.text == FOX and result.words == 14 and not result.note and not result.warning
    assert result.model == name and not result.is_quoted and result.settings["temperature"] == 0.0
    (source,) = result.sentences[0].sources[:1]
    assert TEXT[source.start : source.end] == FOX
    bench.engine.close()
