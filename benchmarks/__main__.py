"""Every benchmark, one after the other: `python -m benchmarks`. Each is a ratio within one run."""

from __future__ import annotations

import runpy

NAMES = ("decoder", "encoder")

if __name__ == "__main__":
    for name in NAMES:
        print(f"\n# {name}\n", flush=True)
        runpy.run_module(f"benchmarks.{name}", run_name="__main__")
