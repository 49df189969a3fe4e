"""The machine: what it is, how fast it reads memory and multiplies matrices, measured in the same run as the rows."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from engine.settings import current

PACKAGES = (
    "torch", "transformers", "xllamacpp", "streamlit", "onnxruntime", "ctranslate2", "sentence-transformers",
)  # fmt: skip
ROUNDS = 5


@dataclass(frozen=True)
class Rates:
    """What the hardware can do: bytes a second that are read, operations a second of matrix products."""

    bandwidth: float
    float32: float
    bfloat16: float
    int8: float

    def prompt_ms(self, parameters: int, tokens: int) -> float:
        """Milliseconds that a prompt's operations take at least, in int8."""
        return 1000 * 2 * parameters * tokens / self.int8


def probe(is_short: bool = False) -> Callable[..., dict[str, Any]]:
    """A side that measures bytes a second and operations a second of matrix products."""
    import torch

    torch.set_num_threads(current().threads)
    size = 512 if is_short else 1024

    def work() -> dict[str, Any]:
        return {
            "bandwidth": _bandwidth(torch, 2**26 if is_short else 2**28),
            "float32": _rate(torch, torch.float32, size),
            "bfloat16": _rate(torch, torch.bfloat16, size),
            "int8": _int8_rate(torch, size),
        }

    return work


def _median_seconds(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times[1:])


def _bandwidth(torch: Any, count: int) -> float:
    """Bytes a second that all threads together read, by the maximum of a long vector of float32."""
    values = torch.ones(count)
    return float(values.nbytes / _median_seconds(values.amax))


def _rate(torch: Any, dtype: Any, size: int) -> float:
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    return 2 * size**3 / _median_seconds(lambda: left @ right)


def _int8_rate(torch: Any, size: int) -> float:
    """Operations a second of the product alone, of whole numbers, as oneDNN does it."""
    weights = torch.randint(-127, 128, (size, size)).to(torch.int8)
    packed, rows = torch.ops.onednn.qlinear_prepack(weights, None), torch.randint(0, 256, (size, size)).to(torch.uint8)
    scales, zeros = torch.ones(size), torch.zeros(size, dtype=torch.int32)

    def product() -> Any:
        product = torch.ops.onednn.qlinear_pointwise
        return product(rows, 1.0, 128, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], "")

    return 2 * size**3 / _median_seconds(product)


def describe(threads: int) -> dict[str, Any]:
    """What the machine is and what else it was doing."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 2),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    """Name and what it multiplies in hardware."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = set(facts.get("flags", "").split())
    has = [name for name in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16") if name in flags]
    family = f"family {facts.get('cpu family', '?')} model {facts.get('model', '?')}"
    return f"{facts.get('model name', 'unknown')} ({family}; {', '.join(has)})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
