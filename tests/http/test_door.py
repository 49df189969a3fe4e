"""Who comes in, under which name, at which pace; and what every answer carries."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from benches import Bench
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.errors import InputError
from engine.http import Door, check_listening, door, routes
from engine.http.visitors import COOKIE, visitor_of
from engine.settings import Settings, read_settings
from tests.http.test_sockets import run

POLICY = "default-src 'self'"


async def page(request: Request) -> Response:
    await request.body()
    return PlainTextResponse("page")


async def html(request: Request) -> Response:
    return HTMLResponse("<p>page</p>")


async def refused(request: Request) -> Response:
    return PlainTextResponse("Bad Request", 400)


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("in")
    await socket.close()


@contextmanager
def served(bench: Bench, origins: tuple[str, ...] = (), **changed: Any) -> Iterator[TestClient]:
    """The API and stand-ins for Streamlit's routes, behind the door."""
    settings = replace(bench.house.settings, **changed)
    stands = [
        Route("/v1/refused", refused),
        *routes(lambda: bench.house),
        WebSocketRoute("/_stcore/stream", stream),
        Route("/html", html),
        Route("/{path:path}", page, methods=["GET", "POST", "PUT"]),
    ]
    around = Middleware(Door, settings=settings, page_policy=POLICY, origins=origins)
    with TestClient(Starlette(routes=stands, middleware=[around]), base_url="http://localhost:8501") as client:
        yield client


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("localhost:8501", True), ("LOCALHOST", True), ("app.localhost", True), ("127.0.0.1:8501", True),
        ("[::1]:8501", True), ("192.168.1.7:8501", True), ("demo.example.org", True), ("a.b.example.net", True),
        ("example.net", False), ("evil.example:8501", False), ("localhost.evil.example", False), ("", False),
        ("demo.example.org.evil.example", False), ("localhost@evil.example", False), ("evil.example/localhost", False),
        ("localhost:x", False), ("127.0.0.1.evil.example", False), ("[::1", False), ("[::1]evil.example", False),
    ],
)  # fmt: skip
def test_pages_api_and_stream_go_by_known_names_alone(bench: Bench, host: str, is_known: bool) -> None:
    with served(bench, allowed_hosts="demo.example.org, *.example.net") as client:
        headers = {"Host": host}
        for path in ("/", "/models", "/healthz", "/_stcore/health"):
            assert client.get(path, headers=headers).status_code == (200 if is_known else 403)
        assert enters(client, headers) is is_known
        if not is_known:
            error = client.get("/healthz", headers=headers).json()["error"]
            assert error["type"] == "forbidden" and "PARLANCE_ALLOWED_HOSTS" in error["message"]


def enters(client: TestClient, headers: dict[str, str]) -> bool:
    """Whether the pages' WebSocket opens."""
    try:
        with client.websocket_connect("ws://localhost:8501/_stcore/stream", headers=headers) as socket:
            return bool(socket.receive_text() == "in")
    except WebSocketDisconnect:
        return False


def test_one_address_cannot_hold_all_pages(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MAX_PAGES", 3)
    closed: list[int] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        await over.wait()

    async def send(message: Any) -> None:
        closed.append(message["code"])

    async def visit() -> None:
        nonlocal over
        over, around = asyncio.Event(), Door(page, bench.house.settings, POLICY)

        def scope(client: str) -> dict[str, Any]:
            return {
                "type": "websocket", "path": "/_stcore/stream", "headers": [(b"host", b"localhost")],
                "client": (client, 1),
            }  # fmt: skip

        addresses = ["203.0.113.9"] * 4 + ["203.0.113.8"] + [f"2001:db8::{number}" for number in range(5)]
        held = [asyncio.create_task(around(scope(address), None, send)) for address in addresses]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert closed == [1013] * 3 and sum(task.done() for task in held) == 3
        over.set()
        await asyncio.gather(*held)
        assert not around.pages

    over = asyncio.Event()
    run(visit())


@pytest.mark.parametrize(
    ("origin", "is_own"),
    [
        (None, True), ("http://localhost:8501", True), ("https://localhost:8501", True),
        ("http://localhost:3000", False), ("http://localhost", False), ("http://evil.example", False), ("null", False),
        ("https://friend.example", True), ("http://[", False),
    ],
)  # fmt: skip
def test_only_the_servers_own_pages_may_act(bench: Bench, origin: str | None, is_own: bool) -> None:
    headers = {"Origin": origin} if origin else {}
    with served(bench, origins=("https://friend.example/",)) as client:
        assert enters(client, {"Host": "localhost:8501"} | headers) is is_own
        assert client.put("/_stcore/upload_file/a/b", headers=headers).status_code == (200 if is_own else 403)
        asked = client.post("/api/sentiment", json={"text": "good"}, headers=headers)
        assert asked.status_code == (200 if is_own else 403)


def test_every_answer_carries_strict_headers(bench: Bench) -> None:
    with served(bench) as client:
        answers = [client.get(path) for path in ("/", "/healthz", "/v1/nope", "/api/docs", "/_stcore/metrics")]
        answers.append(client.get("/", headers={"Host": "evil.example"}))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src '" in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-frame-options"] == "DENY" and answer.headers["x-content-type-options"] == "nosniff"
    assert answers[0].headers["content-security-policy"].startswith(POLICY)


def test_a_browser_gets_a_number_with_its_first_page(bench: Bench) -> None:
    with served(bench) as client:
        told = client.get("/page").headers
        assert "set-cookie" not in told and "set-cookie" not in client.get("/api/docs").headers, "no page"
        given = client.get("/html").headers["set-cookie"]
        assert "HttpOnly" in given and "SameSite=Lax" in given and "Secure" not in given
        number = client.cookies[COOKIE]
        assert visitor_of({COOKIE: number}) == number and len(number) == 32
        assert "set-cookie" not in client.get("/html").headers, "it keeps the one it has"
    assert visitor_of({COOKIE: "../made-up"}) == "" == visitor_of({})
    with served(bench) as other:
        assert other.get("/html").headers["set-cookie"] != given
    with served(bench, storage_bytes=0) as off:
        assert "set-cookie" not in off.get("/html").headers


def test_the_host_says_who_may_frame_the_pages(bench: Bench) -> None:
    with served(bench, frame_ancestors="https://a.example https://b.example") as client:
        headers = client.get("/").headers
    assert "frame-ancestors https://a.example https://b.example" in headers["content-security-policy"]
    assert "x-frame-options" not in headers


def test_figures_of_the_process_are_closed(bench: Bench) -> None:
    with served(bench) as client:
        for path in ("/_stcore/metrics", "/_stcore/metrics/", "/base/_stcore/metrics"):
            assert client.get(path).status_code == 404


def test_the_api_refuses_in_json_whoever_refuses(bench: Bench) -> None:
    with served(bench) as client:
        answer = client.get("/v1/refused")
    assert answer.status_code == 400 and answer.json()["error"]["type"] == "invalid_request"


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/nope", "/v1/chat/nope", "/v1/models/nope", "/v1//models", "/api/nope"]
)
def test_what_is_not_under_the_api_is_said_in_json(bench: Bench, path: str) -> None:
    with served(bench) as client:
        for method in ("GET", "POST", "PUT", "DELETE"):
            answer = client.request(method, path)
            assert answer.status_code in (404, 405) and answer.json()["error"]["message"], method


@pytest.mark.parametrize("path", ["/api/write", "/_stcore/upload_file/a/b"])
def test_a_body_that_stops_coming_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.setattr(door, "FIRST_SECONDS", 0.05)
    sent: list[Any] = []

    async def half() -> dict[str, Any]:
        if sent_pieces:
            await asyncio.Event().wait()
        sent_pieces.append(1)
        return {"type": "http.request", "body": b'{"te', "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    sent_pieces: list[int] = []
    with served(bench) as client:
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": headers,
            "query_string": b"",
            "root_path": "",
        }
        client.portal.call(client.app, scope, half, send)
    assert sent[0]["status"] == 408 and (b"connection", b"close") in sent[0]["headers"]
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


@pytest.mark.parametrize(
    ("address", "changed", "is_open"),
    [
        ("localhost", {}, False), ("127.0.0.1", {}, False), ("::1", {}, False),
        ("0.0.0.0", {}, None), (None, {}, None), ("192.168.1.7", {}, None), ("demo.example.org", {}, None),
        ("0.0.0.0", {"is_public": True}, True), (None, {"is_network_trusted": True}, True),
    ],
)  # fmt: skip
def test_the_network_is_served_only_where_that_is_meant(
    address: str | None, changed: dict[str, Any], is_open: bool | None
) -> None:
    settings = replace(Settings(), **changed)
    if is_open is not None:
        assert check_listening(address, settings) is is_open
        return
    with pytest.raises(InputError, match="PARLANCE_IS_PUBLIC"):
        check_listening(address, settings)


@pytest.mark.parametrize(
    ("address", "changed", "status"),
    [
        ("127.0.0.1", {}, 200), ("::1", {}, 200), ("::ffff:127.0.0.1", {}, 200), ("/run/parlance.sock", {}, 200),
        ("192.168.1.7", {}, 403), ("fe80::1", {}, 403), ("192.168.1.7", {"is_network_trusted": True}, 200),
        ("192.168.1.7", {"is_public": True}, 200),
    ],
)  # fmt: skip
def test_another_server_that_listens_to_the_network_lets_nobody_in_either(
    bench: Bench, address: str, changed: dict[str, Any], status: int
) -> None:
    """`uvicorn app:app --host 0.0.0.0` passes by what Streamlit's own start checks."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    with served(bench, **changed) as client:
        scope = {
            "type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"192.168.1.7:8501")],
            "query_string": b"", "root_path": "", "server": (address, 8501),
        }  # fmt: skip
        client.portal.call(client.app, scope, receive, send)
    assert sent[0]["status"] == status


def test_origins_that_the_host_lists_ask_and_read_through_the_door(bench: Bench) -> None:
    listed = read_settings({"PARLANCE_ALLOWED_ORIGINS": "https://a.example, https://b.example"}).allowed_origins
    bench.local.settings = replace(bench.engine.settings, allowed_origins=listed)
    body = {"model": "gemma-3-270m", "prompt": "x", "max_tokens": 1}
    with served(bench, allowed_origins=listed) as client:
        for origin, status in (("https://a.example", 200), ("https://b.example", 200), ("https://c.example", 403)):
            answer = client.post("/v1/completions", json=body, headers={"Origin": origin})
            assert answer.status_code == status
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if status == 200 else None)
