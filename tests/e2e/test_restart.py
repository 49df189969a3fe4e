"""A server that is told to end, and the next one in its place, as an open page sees both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import free_port, serve
from tests.e2e.test_app import ENDLESS, expect, press, wait_for_text

pytestmark = pytest.mark.timeout(240)
TYPED = "1, 2, 3, 4, 5, 6, 7, 8, 9,"
LOST = "This page has lost its server"


def test_a_page_says_that_its_server_ends_and_works_on_the_next_one(
    visit: Callable[..., Any], need: Callable[[str], None], tmp_path: Path
) -> None:
    need("gemma-3-270m")
    port = free_port()
    with serve(tmp_path, port) as address:
        page = visit(f"{address}{ENDLESS}")
        text = page.get_by_role("textbox").first
        text.fill(TYPED)
        press(page, "Write")
        wait_for_text(page, 10)
        expect(text).to_have_value(TYPED)
    page.get_by_text("The server is stopping.").wait_for()
    with serve(tmp_path, port):
        page.get_by_text(LOST).wait_for()
        expect(text).to_have_value(TYPED)
        press(page, "Write")
        wait_for_text(page, 10)
