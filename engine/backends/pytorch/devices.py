"""Where torch computes, and with which numbers."""

from __future__ import annotations

import torch

from engine.errors import InputError
from engine.settings import Settings

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_device(settings: Settings) -> torch.device:
    """The device of the setting (InputError when it is not there), or the best there is: cuda, then mps, then cpu."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if settings.device == "auto":
        return torch.device(next(name for name, is_present in present.items() if is_present))
    if not present.get(settings.device):
        raise InputError(
            "PARLANCE_DEVICE is {device}, and this machine has {known}. Choose one of them, or auto.",
            param="device", device=settings.device, known=[name for name, is_present in present.items() if is_present],
        )  # fmt: skip
    return torch.device(settings.device)


def choose_dtype(settings: Settings, device: torch.device) -> torch.dtype:
    """The dtype of the setting, or bfloat16 where the device multiplies it in hardware, else the safe choice for it."""
    if settings.dtype != "auto":
        if settings.dtype not in DTYPES:
            raise InputError(
                "PARLANCE_DTYPE is {dtype}; choose auto, {known}.",
                param="dtype", dtype=settings.dtype, known=list(DTYPES),
            )  # fmt: skip
        return DTYPES[settings.dtype]
    if has_bfloat16(device.type):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def has_bfloat16(device: str) -> bool:
    """Whether that kind of device multiplies bfloat16 by instructions of its own."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities() if device == "cpu" else {}
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def module_bytes(module: torch.nn.Module) -> int:
    """Memory of the parameters and buffers; shared ones count once."""
    tensors = {t.data_ptr(): t for t in (*module.parameters(), *module.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values())
