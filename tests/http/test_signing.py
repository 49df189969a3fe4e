"""The one-time address of the host, and the API's keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from starlette.testclient import TestClient

from engine.http import signing_path
from engine.http.visitors import COOKIE, HOST_COOKIE
from tests.http.test_door import served
from tests.http.test_shared import MAKER, OTHER, made


def public(bench: Bench, **settings: Any) -> Any:
    bench.local.settings = replace(bench.local.settings, is_public=True, **settings)
    return served(bench)


def asked(client: TestClient, path: str = "/api/sentiment", **headers: str) -> tuple[int, str]:
    body = {"model": "gemma-3-270m", "prompt": "one", "max_tokens": 2} if "v1" in path else {"text": "good"}
    answer = client.post(path, json=body, headers=headers)
    return answer.status_code, answer.text


def test_a_browser_becomes_the_hosts_once_and_with_a_press(bench: Bench) -> None:
    from engine.applications.sentiment import SentimentRequest

    link = made(bench, "sentiment", SentimentRequest("a good film"))
    assert signing_path(bench.house) == "", "at home everybody is the host"
    with public(bench) as client:
        path = signing_path(bench.house)
        assert "Yes, sign in as host" in client.get(path).text and client.head(path).status_code == 200
        assert client.post(path, headers={"origin": "http://evil.example"}).status_code == 403
        assert client.get("/sign-in/guess").status_code == client.post("/sign-in/guess").status_code == 404
        assert "Pin" not in client.get(link.path, headers={"cookie": f"{COOKIE}={OTHER}"}).text
        answer = client.post(path, follow_redirects=False)
        cookie = answer.headers["set-cookie"]
        assert (answer.status_code, answer.headers["location"]) == (303, "/host")
        assert cookie.startswith(f"{HOST_COOKIE}=") and "HttpOnly" in cookie and "SameSite=Strict" in cookie
        assert client.post(path).status_code == 404, "once"
        page = client.get(link.path).text
        assert "Pin" in page and "Delete" in page, "others' too"
        assert MAKER not in page
    with public(bench, hosts="ann@example.org"):
        assert signing_path(bench.house) == ""


def test_a_key_is_looked_up_scoped_and_has_an_allowance_of_its_own(bench: Bench) -> None:
    keys = bench.house.hosting
    one, other = keys.make_key("one", scopes=["sentiment"]), keys.make_key("other", "member")
    with public(bench, requests_a_minute=2, api_needs_key=True) as client:
        status, words = asked(client)
        assert status == 401 and "needs a key" in words
        assert asked(client, authorization="Bearer none")[0] == 401
        assert asked(client, authorization="Bearer parlance-made-up")[0] == 401
        assert asked(client, authorization=f"Bearer {one}")[0] == asked(client, authorization=f"bearer {one}")[0] == 200
        status, words = asked(client, authorization=f"Bearer {one}")
        assert status == 429 and "2 requests a minute" in words
        status, words = asked(client, "/v1/completions", authorization=f"Bearer {one}")
        assert status == 403 and "only for sentiment" in words
        assert asked(client, "/v1/completions", authorization=f"Bearer {other}")[0] == 200
        assert client.get("/healthz").status_code == client.get("/api/docs").status_code == 200
        keys.revoke(keys.keys()[-1].id)
        assert asked(client, authorization=f"Bearer {one}")[0] == 401


def test_what_clients_send_where_no_key_is_needed_is_no_matter(bench: Bench) -> None:
    with public(bench) as client:
        assert asked(client, authorization="Bearer sk-none")[0] == 200
        assert asked(client, authorization="Basic parlance-x")[0] == 200
        status, words = asked(client, authorization="Bearer parlance-made-up")
        assert status == 401 and "revoked, or mistyped" in words


@pytest.mark.parametrize("cookie", ["", "x", "x" * 5000])
def test_a_made_up_cookie_makes_nobody_host(bench: Bench, cookie: str) -> None:
    with public(bench) as client:
        answer = client.get("/metrics", headers={"cookie": f"{HOST_COOKIE}={cookie}"})
    assert answer.status_code == 409
