"""What the image installs, each file by its sha256. `make lock` writes it anew from PyPI: requirements-image.txt for
all, and -cuda.txt with torch's CUDA build. -cpu.txt, whose files are on PyTorch's own index, is kept by hand.

With --check (`make audit`) nothing is written: it fails where PyPI has other files, or took one back (yanked).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28", "--no-config")
COMPILE = (
    "uv", "pip", "compile", "--quiet", "--generate-hashes", *TARGET, "--no-header", "--no-annotate",
    "requirements-host.txt",
)  # fmt: skip
OF_CUDA = ("torch==", "triton==", "nvidia-", "cuda-")
NAMES = {"": "requirements-image.txt", "cuda": "requirements-image-cuda.txt"}
HEADS = {
    "": "# What the image installs, each file by its sha256: requirements-host.txt with all of its own, but torch.\n",
    "cuda": "# With TORCH=cuda: torch's CUDA build and what that needs, from PyPI.\n",
}


def compiled() -> dict[str, str]:
    """The text of each file, as PyPI would have it now."""
    found = subprocess.run(COMPILE, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    entries = re.split(r"\n(?=\w)", found.strip())
    texts = {}
    for kind, head in HEADS.items():
        own = [entry for entry in entries if entry.startswith(OF_CUDA) is (kind == "cuda")]
        texts[NAMES[kind]] = head + "# Made anew by `make lock`, checked by `make audit`.\n" + "\n".join(own) + "\n"
    return texts


def yanked() -> list[str]:
    """What PyPI says of files that were taken back."""
    files = [part for name in NAMES.values() for part in ("-r", name)]
    command = ["uv", "pip", "install", "--dry-run", "--no-deps", "--require-hashes", *TARGET]
    command += ["--target", tempfile.gettempdir()]
    done = subprocess.run([*command, *files], cwd=ROOT, stderr=subprocess.PIPE, text=True, check=True)
    return [line for line in done.stderr.splitlines() if "yanked" in line]


def main() -> None:
    """Write the files, or check them."""
    texts = compiled()
    if "--check" not in sys.argv:
        for name, text in texts.items():
            (ROOT / name).write_text(text, encoding="utf-8")
        return
    others = [
        f"{name} is not what PyPI has: make lock" for name, text in texts.items() if (ROOT / name).read_text() != text
    ]
    if faults := [f"{name} is not what PyPI has: make lock" for name in others] + yanked():
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
