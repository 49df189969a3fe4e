"""Where a model computes and with which numbers, and what to do when memory runs out. Torch only."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from functools import cache

import torch

from engine.errors import InputError, MemoryShortError
from engine.settings import Settings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(settings: Settings) -> torch.device:
    """The device of the setting (InputError when it is not there), or the best there is: cuda, then mps, then cpu."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if settings.device == "auto":
        return torch.device(next(name for name, is_present in present.items() if is_present))
    if not present.get(settings.device):
        names = ", ".join(name for name, is_present in present.items() if is_present)
        raise InputError(
            f"PARLANCE_DEVICE is {settings.device}, and this machine has {names}. Choose one of them, or auto.",
            param="device",
        )
    return torch.device(settings.device)


def choose_dtype(settings: Settings, device: torch.device) -> torch.dtype:
    """The dtype of the setting, or bfloat16 where the device multiplies it in hardware, else the safe choice for it."""
    if settings.dtype != "auto":
        if settings.dtype not in DTYPES:
            raise InputError(f"PARLANCE_DTYPE is {settings.dtype}; choose auto, {', '.join(DTYPES)}.", param="dtype")
        return DTYPES[settings.dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _has_fast_bfloat16() else torch.float32


def _has_fast_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def is_memory_error(error: BaseException) -> bool:
    """Whether the error says that memory ran out, on any device."""
    text = str(error)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError)
        and any(sign in text for sign in ("DefaultCPUAllocator", "not enough memory", "MPS backend out of memory"))
    )


def memory_short(title: str) -> MemoryShortError:
    """The error for a person when a request did not fit, even alone."""
    return MemoryShortError(
        f"Memory ran out while {title} was at work. Shorten the text, or unload another model, and try again.",
        retry_seconds=5,
    )


KEPT_BYTES = 64 * 2**20
"""Freed memory that the C library keeps for the next tensor of the same size."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@cache
def keep_freed_memory() -> None:
    """Have the C library keep freed blocks, once a process: glibc else maps every larger tensor anew, page by page.

    That took a sixth of an encoder's time. Other C libraries are left as they are.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL("libc.so.6")
            library.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
            library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def free_caches() -> None:
    """Give back what torch keeps for later."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def module_bytes(module: torch.nn.Module) -> int:
    """Memory of the parameters and buffers; shared ones count once."""
    tensors = {t.data_ptr(): t for t in (*module.parameters(), *module.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())
