"""Slow weights become Q8_0 once where that adds little; a seed's text does not depend on who else is answered."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader
from gguf.quants import Q4_1, Q4_K, Q6_K, Q8_0

from engine.backends.ggml import requantization as gguf_requantization
from engine.backends.ggml.requantization import K_QUANTS, SUFFIX, _as_q4_1, _new_kinds, requantized
from engine.backends.gguf import Header, Tensor, read_header
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
    copy = requantized(file, read_header(file))
    assert copy.name == f"wide{SUFFIX}" and not any(t.kind in K_QUANTS for t in read_header(copy).tensors)
    stamp = copy.stat().st_mtime_ns
    assert requantized(file, read_header(file)) == copy and copy.stat().st_mtime_ns == stamp
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
        np.testing.assert_allclose(Q8_0.dequantize(np.asarray(new.data)), expected, atol=scales / 127)


def test_q4_k_keeps_its_values_as_q4_1() -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (WIDTH * HIDDEN // 256, 144), dtype=np.uint8)
    blocks[:, :4] = np.frombuffer(np.array([3e-4, 2e-3], np.float16).tobytes(), np.uint8)
    made = _as_q4_1(blocks)
    assert made.shape == (len(blocks), 256 // 32 * 20)
    before, after = Q4_K.dequantize(blocks), Q4_1.dequantize(made)
    assert np.abs(before - after).max() < np.abs(before).max() * 2**-10 and before.std() > 0.01


def header_of(*tensors: tuple[int, int]) -> Header:
    """Of a file with these tensors: (ggml type, rows of 2,048 values)."""
    entries = tuple(Tensor(f"t{place}", (2048, rows), kind, 0) for place, (kind, rows) in enumerate(tensors))
    return Header({}, sum(entry.size_bytes for entry in entries), entries)


def test_which_types_change() -> None:
    """0 is F32, 2 Q4_0, 3 Q4_1, 6 Q5_0, 8 Q8_0, 12 Q4_K, 14 Q6_K, 20 IQ4_NL, whose size is not known here."""
    assert _new_kinds(header_of((0, 1), (2, 64), (3, 64), (6, 64), (7, 64))) == [0, 2, 8, 6, 8]
    large = 2**18  # rows: 336 MB of Q4_1
    assert _new_kinds(header_of((3, large), (0, 1))) == [3, 0]
    assert _new_kinds(header_of((3, large), (12, large), (14, 64))) == [3, 3, 8]
    assert _new_kinds(header_of((3, 64), (12, large), (14, 64))) == [8, 3, 8]
    assert _new_kinds(header_of((14, large))) == [14]
    assert _new_kinds(header_of((3, 64), (20, 64))) == [3, 20]


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    plain = write_gguf(tmp_path / "plain.gguf")
    assert requantized(plain, read_header(plain)) == plain
    assert list(tmp_path.iterdir()) == [plain]


def test_a_copy_that_grows_too_much_is_not_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gguf_requantization, "MOST_GROWTH", 1.0)
    assert requantized(file, read_header(file)) == file
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_leaves_the_file_in_use(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, header: Header, kinds: list[int], target: Path) -> None:
        target.write_bytes(b"GGUF")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gguf_requantization, "_copy", full)
    assert requantized(file, read_header(file)) == file
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
