"""What a sign-in (`st.login`) told of whoever sends a request that is no page; Streamlit tells it to pages alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection
from streamlit.auth_util import get_origin_from_redirect_uri
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
from streamlit.web.server.starlette.starlette_websocket import (
    _get_signed_cookie_with_chunks,
    _parse_decoded_user_cookie,
)


def claims_of(request: HTTPConnection) -> Mapping[str, Any]:
    """The claims in its cookie, which this server has signed; none where there is no such cookie."""
    if USER_COOKIE_NAME not in request.cookies:
        return {}
    cookie = _get_signed_cookie_with_chunks(request.cookies, USER_COOKIE_NAME)
    return _parse_decoded_user_cookie(cookie, get_origin_from_redirect_uri() or "") if cookie else {}
