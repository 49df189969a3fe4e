"""Connections send small pieces at once."""

from __future__ import annotations

import socket

from engine.http import send_at_once


def test_connections_of_a_listener_bound_before_send_at_once() -> None:
    with socket.socket() as listener, socket.socket() as closed:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        closed.close()
        send_at_once()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_other_sockets_are_left_alone() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket(socket.AF_UNIX) as local:
        send_at_once()
        assert datagrams.fileno() >= 0 and local.fileno() >= 0
