"""Wide K-quants become Q8_0 once, and a seed's text then does not depend on who else is answered."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import Q4_1, Q4_K, Q6_K

from engine.backends import gguf_requantization
from engine.backends.gguf import read_header
from engine.backends.gguf_requantization import SUFFIX, _as_q4_1, repeatable
from tests.backends.test_gguf_conversion import WIDTH, write_gguf
from tests.backends.test_llamacpp import open_file, text

HIDDEN = 1024


def wide_rows() -> np.ndarray:
    """Random Q6_K blocks, (WIDTH, bytes of HIDDEN values)."""
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (WIDTH * HIDDEN // 256, 210), dtype=np.uint8)
    blocks[:, 208:] = np.frombuffer(np.float16(2e-5).tobytes(), np.uint8)
    return blocks.reshape(WIDTH, -1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "wide.gguf", HIDDEN, wide_rows())


def test_a_copy_is_made_once_with_the_same_values(file: Path) -> None:
    copy = repeatable(file, read_header(file))
    assert copy.name == f"wide{SUFFIX}" and not read_header(copy).has_wide_k_quants
    stamp = copy.stat().st_mtime_ns
    assert repeatable(file, read_header(file)) == copy and copy.stat().st_mtime_ns == stamp
    before, after = GGUFReader(file), GGUFReader(copy)
    assert [t.name for t in before.tensors] == [t.name for t in after.tensors]
    keys = {key for key in before.fields if not key.startswith("GGUF.")}
    assert {key: before.fields[key].contents() for key in keys} == {key: after.fields[key].contents() for key in keys}
    for old, new in zip(before.tensors, after.tensors, strict=True):
        if "ffn_down" not in old.name:
            np.testing.assert_array_equal(old.data, new.data)
            continue
        expected = Q6_K.dequantize(np.asarray(old.data))
        scales = np.abs(expected).max()
        from gguf.quants import Q8_0

        np.testing.assert_allclose(Q8_0.dequantize(np.asarray(new.data)), expected, atol=scales / 127)


def test_q4_k_keeps_its_values_as_q4_1() -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (WIDTH * HIDDEN // 256, 144), dtype=np.uint8)
    blocks[:, :4] = np.frombuffer(np.array([3e-4, 2e-3], np.float16).tobytes(), np.uint8)
    rows = blocks.reshape(WIDTH, -1)
    made = _as_q4_1(rows)
    assert made.shape == (WIDTH, HIDDEN // 32 * 20)
    before, after = Q4_K.dequantize(rows), Q4_1.dequantize(made)
    assert np.abs(before - after).max() < np.abs(before).max() * 2**-10 and before.std() > 0.01


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    plain = write_gguf(tmp_path / "plain.gguf")
    assert repeatable(plain, read_header(plain)) == plain
    assert list(tmp_path.iterdir()) == [plain]


def test_a_copy_that_grows_too_much_is_not_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_requantization, "MAX_GROWTH", 1.0)
    assert repeatable(file, read_header(file)) == file
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_leaves_the_file_in_use(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, target: Path) -> None:
        target.write_bytes(b"GGUF")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gguf_requantization, "_copy", full)
    assert repeatable(file, read_header(file)) == file
    assert list(file.parent.iterdir()) == [file]


def test_a_seed_gives_the_same_text_alone_and_among_others(file: Path) -> None:
    backend = open_file(file, slots=8)
    options: dict[str, Any] = {"temperature": 1.0, "max_new_tokens": 30}

    def write(seed: int) -> str:
        return text(backend, "Once upon a time" * (1 + seed % 3), seed=seed, **options)

    alone = [write(seed) for seed in range(16)]
    assert len(set(alone)) == 16
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, range(16))) == alone
    backend.close()
