"""Whom a copied link reaches."""

from __future__ import annotations

import pytest

from engine.http.links import HERE_ALONE, embed_code, reach
from engine.messages import Text


@pytest.mark.parametrize(
    ("url", "listens_on", "network", "base", "words"),
    [
        ("http://localhost:8501/write", "localhost", "192.168.1.5", "", HERE_ALONE),
        ("http://127.0.0.1:8501/write", "127.0.0.1", "192.168.1.5", "", HERE_ALONE),
        ("", None, None, "", HERE_ALONE),
        ("http://localhost:8501/", "0.0.0.0", None, "", HERE_ALONE),
        ("http://localhost:8501/", "0.0.0.0", "127.0.1.1", "", HERE_ALONE),
        ("http://localhost:8501/a?b", "0.0.0.0", "192.168.1.5", "http://192.168.1.5:8501", "192.168.1.5:8501"),
        ("http://[::1]:8501/", None, "10.0.0.2", "http://10.0.0.2:8501", "10.0.0.2:8501"),
        ("http://192.168.1.5:8501/", "0.0.0.0", "192.168.1.5", "", "192.168.1.5:8501"),
        ("https://demo.example.org/write", "localhost", "10.0.0.2", "", "demo.example.org"),
    ],
)
def test_a_link_says_who_can_open_it(url: str, listens_on: str, network: str, base: str, words: str | Text) -> None:
    found, said = reach(url, listens_on, network)
    assert found == base and (said == words if isinstance(words, Text) else words in str(said) and said != HERE_ALONE)


def test_embedding_shows_one_page_without_its_frame_and_no_more() -> None:
    code = embed_code("https://demo.example.org", "write", {"writer": '"><script>', "embed": "false", "a": "b c&d"})
    assert code.startswith('<iframe src="https://demo.example.org/write?embed=true&amp;writer=%22%3E%3Cscript%3E&amp;')
    assert code.count("<") == 2 and 'height="900"' in code and "a=b+c%26d" in code
