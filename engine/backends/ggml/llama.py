"""llama.cpp's server in a process of its own, and how it is asked.

Its binding holds Python's lock for as long as it loads or ends, seconds in which this process would answer nobody; and
where llama.cpp aborts, or the system ends it for its memory, all else here goes on.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from subprocess import TimeoutExpired
from typing import Any
from urllib.parse import urlsplit

from engine import priority
from engine.jobs import process

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
"""How often a request without news is asked whether anybody still waits for it."""
ASK_SECONDS, ANSWER_SECONDS = 30.0, 90.0
"""To be connected, and to the first byte of what is no completion; who hangs is ended before that."""
GONE_SECONDS = 1.0
PIECE_BYTES = 2**16
Take = Callable[[dict[str, Any]], bool]
"""Takes a chunk; True where that is enough."""


class LlamaEnded(Exception):
    """The process ended; `status` is its exit status, negative for a signal."""

    def __init__(self, status: int) -> None:
        super().__init__(f"llama.cpp's process ended with status {status}")
        self.status = status


class LlamaRefused(Exception):
    """llama.cpp does not take the file or the parameters."""


class Llama:
    """One process. Raises OSError, LlamaEnded."""

    def __init__(self) -> None:
        command = process.python("engine.backends.ggml.server")
        self._process = process.start(command, is_conversation=True, nice=priority.LONG)
        priority.offer(priority.KILLED_EARLY, self._process.pid)
        self._address, self._key = ("", 0), ""
        self.devices: list[str] = self._said()["devices"]

    def load(self, parameters: dict[str, Any], key: str) -> None:
        """Load a model, once; `key` is what requests must show. Raises LlamaRefused, LlamaEnded."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(parameters | {"api_keys": [key]}).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise LlamaEnded(self._process.wait()) from None
        said = self._said()
        if "fault" in said:
            self.close()
            raise LlamaRefused(said["fault"])
        where = urlsplit(said["address"])
        self._address, self._key = (where.hostname or "", where.port or 0), key

    @property
    def is_alive(self) -> bool:
        """Whether the process is there."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def close(self) -> None:
        """End the process, whatever it is at; its memory is the system's again."""
        if self.is_alive:
            process.kill_group(self._process.pid)
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One question with one answer, which has an "error" where llama.cpp refuses. Raises LlamaEnded."""
        connection = http.client.HTTPConnection(*self._address, timeout=ASK_SECONDS)
        try:
            connection.request("POST", path, json.dumps(body), {"Authorization": f"Bearer {self._key}"})
            self._wait(connection.sock)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
        except (ConnectionError, TimeoutError, http.client.HTTPException):
            raise self._ended() from None
        finally:
            connection.close()
        return answer

    def stream(
        self, body: dict[str, Any], take: Callable[[dict[str, Any]], bool], is_wanted: Callable[[], bool]
    ) -> None:
        """Hand each chunk of a completion to `take` until that returns True or nobody wants more. Raises LlamaEnded."""
        watch = process.Watch(self.pid)

        def is_waited_for() -> bool:
            self._end_if_hung(watch)
            return is_wanted()

        try:
            with socket.create_connection(self._address, ASK_SECONDS) as line:
                line.sendall(self._request("/v1/completions", json.dumps(body).encode()))
                line.settimeout(LOOK_SECONDS)
                for chunk in _chunks(line, is_waited_for):
                    if chunk is None or take(chunk):
                        return
        except (ConnectionError, TimeoutError):
            pass
        raise self._ended()

    def _wait(self, line: socket.socket) -> None:
        """Wait for the first byte of an answer. Raises TimeoutError."""
        watch, end = process.Watch(self.pid), time.monotonic() + ANSWER_SECONDS
        line.settimeout(LOOK_SECONDS)
        while time.monotonic() < end:
            with suppress(TimeoutError):
                line.recv(1, socket.MSG_PEEK)
                break
            self._end_if_hung(watch)
        line.settimeout(ASK_SECONDS)

    def _end_if_hung(self, watch: process.Watch) -> None:
        """Kill the process where it does nothing though somebody waits: all its requests end with that, and another
        begins."""
        if watch.is_hung():
            log.warning("llama.cpp's process %d has done nothing for a minute and is ended", self.pid)
            process.kill_group(self.pid)

    def _request(self, path: str, body: bytes) -> bytes:
        head = (
            f"POST {path} HTTP/1.1",
            f"Host: {self._address[0]}",
            f"Authorization: Bearer {self._key}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        with process.watched(self._process):
            line = self._process.stdout.readline()
        if not line:
            raise LlamaEnded(self._process.wait())
        said: dict[str, Any] = json.loads(line)
        return said

    def _ended(self) -> LlamaEnded:
        with suppress(TimeoutExpired):  # its connections break a moment before it is gone
            self._process.wait(GONE_SECONDS)
        return LlamaEnded(self._process.poll() or 0)


def _chunks(line: socket.socket, is_wanted: Callable[[], bool]) -> Iterator[dict[str, Any] | None]:
    """The events of an answer, or the error that came instead of one; None when it is over or nobody wants it.

    Of all lines only an event's begins with "data:" and only an error's body with a brace: heads and the sizes of
    chunks need no reading.
    """
    rest = b""
    while True:
        try:
            piece = line.recv(PIECE_BYTES)
        except TimeoutError:
            if not is_wanted():
                yield None
            continue
        *lines, rest = (rest + piece).split(b"\n") if piece else [rest, b""]
        for one in lines:
            if one.startswith(b"data: [DONE]"):
                yield None
            elif one.startswith(b"data: "):
                yield json.loads(one[6:])
            elif one.startswith(b"{"):
                yield json.loads(one)
        if not piece:
            return
