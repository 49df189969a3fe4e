"""The process that holds llama.cpp's server: `python -m engine.backends.ggml.server`.

It says which devices there are, takes one line of parameters, says where it listens, and ends when its standard input
does, so that it never outlives whoever started it. Answers come from llama.cpp's own listener, without Python.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

try:
    import xllamacpp
except ImportError:  # a slim system has no OpenMP library; torch brings one
    import torch  # noqa: F401
    import xllamacpp

from engine.backends.ggml.large_pages import large_pages

READERS: dict[str, Callable[[Any], Any]] = {
    "load_mode": lambda name: getattr(xllamacpp.llama_load_mode, name),
    "flash_attn_type": lambda name: getattr(xllamacpp.llama_flash_attn_type, name),
    "cache_type_k": lambda name: getattr(xllamacpp.ggml_type, name),
    "cache_type_v": lambda name: getattr(xllamacpp.ggml_type, name),
    "lora_adapters": lambda paths: [xllamacpp.CommonAdapterLoraInfo(path, 1.0) for path in paths],
}
"""Of parameters whose values are no plain JSON."""


def parameters(order: Mapping[str, Any]) -> Any:
    """llama.cpp's parameters from their names, with dots where one is part of another, and values."""
    made = xllamacpp.CommonParams()
    for name, value in order.items():
        *parents, last = name.split(".")
        setattr(reduce(getattr, parents, made), last, READERS.get(last, lambda plain: plain)(value))
    return made


def main() -> None:
    """Serve until nobody holds the other end of the standard input."""
    words = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever llama.cpp prints must not come between

    def say(**facts: Any) -> None:
        print(json.dumps(facts), file=words, flush=True)

    say(devices=[device["name"].lower() for device in xllamacpp.get_device_info()])
    if order := sys.stdin.readline():
        try:
            with large_pages():
                server = xllamacpp.Server(parameters(json.loads(order)))
        except RuntimeError as error:
            say(fault=str(error))
        else:
            say(address=server.listening_address)
            sys.stdin.read()
    os._exit(0)  # the system frees memory faster than llama.cpp's own clean-up


if __name__ == "__main__":
    main()
