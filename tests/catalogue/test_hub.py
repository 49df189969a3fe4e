from types import SimpleNamespace
from typing import Any

import pytest

from engine.catalogue.checkpoints import architecture_of, read_facts
from engine.catalogue.hub import _choose
from engine.errors import UnsupportedError


def make_plan(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    files = [{"name": "model.safetensors", "size": 4000}, {"name": "config.json", "size": 100}]
    plan = {"config": config, "files": files, "parameters": 1000, "languages": ["en"], "licence": "mit"}
    return plan | {"is_chat": False} | changes


@pytest.mark.parametrize(
    ("kind", "name", "architecture"),
    [
        ("gpt2", "GPT2LMHeadModel", "causal"),
        ("qwen3", "Qwen3ForCausalLM", "causal"),
        ("t5", "T5ForConditionalGeneration", "seq2seq"),
        ("bart", "BartForConditionalGeneration", "seq2seq"),
        ("marian", "MarianMTModel", "seq2seq"),
        ("m2m_100", "M2M100ForConditionalGeneration", "seq2seq"),
        ("bart", "BartForSequenceClassification", None),
        ("distilbert", "DistilBertForSequenceClassification", "classification"),
        ("roberta", "RobertaForQuestionAnswering", "extraction"),
        ("bert", "BertForMaskedLM", "masked"),
        ("bert", "BertModel", "embedding"),
        ("bert", "BertLMHeadModel", "causal"),
        ("clip", "CLIPModel", None),
        ("whisper", "WhisperForConditionalGeneration", None),
        ("qwen2_vl", "Qwen2VLForConditionalGeneration", None),
        ("vit", "ViTForImageClassification", None),
        ("bert", "", None),
    ],
)
def test_a_config_tells_what_a_model_does(kind: str, name: str, architecture: str | None) -> None:
    config = {"model_type": kind, "architectures": [name] if name else None}
    if architecture:
        assert architecture_of("a/b", config) == architecture
    else:
        with pytest.raises(UnsupportedError, match="a/b is of the kind"):
            architecture_of("a/b", config)


def test_a_quantised_model_is_refused() -> None:
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "quantization_config": {"bits": 4}}
    with pytest.raises(UnsupportedError, match="quantised"):
        architecture_of("a/b", config)


def test_a_marian_repository_names_its_pair() -> None:
    config = {"model_type": "marian", "architectures": ["MarianMTModel"], "max_position_embeddings": 512}
    facts = read_facts("Helsinki-NLP/opus-mt-tc-big-en-ZH", make_plan(config))
    assert (facts["pair"], facts["prompt_style"]) == (("en", "zh"), "pair")
    assert facts["languages"] == ["en", "zh"]
    assert read_facts("me/my-marian", make_plan(config))["pair"] is None


def test_context_and_memory_come_from_the_config() -> None:
    config = {"model_type": "roberta", "architectures": ["RobertaForQuestionAnswering"], "max_position_embeddings": 514}
    facts = read_facts("a/b", make_plan(config, parameters=10_000_000))
    assert facts["context_tokens"] == 512
    assert 40_000_000 < facts["memory_bytes"] < 250_000_000
    assert facts["architecture"] == "extraction"
    config = {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}
    assert read_facts("a/b", make_plan(config))["context_tokens"] == 512


def choose(*names: str) -> list[str]:
    files = [SimpleNamespace(rfilename=name, size=10, lfs=None, blob_id="x") for name in names]
    return [file["name"] for file in _choose(SimpleNamespace(siblings=files))]  # type: ignore[arg-type]


def test_only_data_is_chosen() -> None:
    index = "model.safetensors.index.json"
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    rest = ["pytorch_model.bin", "pytorch_model.bin.index.json", "code.py", "tf_model.h5", "sub/config.json", ".x.json"]
    assert choose("config.json", *shards, index, *rest) == ["config.json", *shards, index]
    assert choose("model.safetensors", *shards, index, "source.spm") == ["model.safetensors", "source.spm"]
