"""A small provider of OpenID Connect on this machine: it signs everybody in at once, as whom a test says."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "parlance", "a secret of the client"


@dataclass
class Provider:
    """What it says of whoever comes next; `asked` is what came to each of its addresses."""

    claims: dict[str, Any] = field(default_factory=dict)
    has_own_key: bool = True
    """Whether it signs with the key that it publishes."""
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._keys = [RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}) for _ in range(2)]
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, urlsplit(self.path).path, _fields(urlsplit(self.path).query))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                provider._answer(self, urlsplit(self.path).path, _fields(body))

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, asked: BaseHTTPRequestHandler, path: str, fields: dict[str, str]) -> None:
        self.asked.append(path)
        if path == "/authorize":
            code = secrets.token_urlsafe(16)
            self._codes[code] = fields
            known = fields.get("client_id") == CLIENT and fields.get("response_type") == "code"
            answer = {"code": code} if known else {"error": "invalid_request"}
            asked.send_response(302)
            asked.send_header("Location", f"{fields['redirect_uri']}?{urlencode(answer | {'state': fields['state']})}")
            asked.end_headers()
            return
        if path == "/end":
            asked.send_response(302)
            asked.send_header("Location", fields["post_logout_redirect_uri"])
            asked.end_headers()
            return
        pages = {"/.well-known/openid-configuration": self._about, "/keys": self._published}
        answer = self._token(asked, fields) if path == "/token" else pages[path]()
        body = json.dumps(answer).encode()
        asked.send_response(400 if "error" in answer else 200)
        asked.send_header("Content-Type", "application/json")
        asked.send_header("Content-Length", str(len(body)))
        asked.end_headers()
        asked.wfile.write(body)

    def _about(self) -> dict[str, Any]:
        return {
            "issuer": self.address, "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token", "jwks_uri": f"{self.address}/keys",
            "end_session_endpoint": f"{self.address}/end", "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }  # fmt: skip

    def _published(self) -> dict[str, Any]:
        return {"keys": [self._keys[0].as_dict(private=False)]}

    def _token(self, asked: BaseHTTPRequestHandler, fields: dict[str, str]) -> dict[str, Any]:
        """The tokens for a code: once, for the client that knows its secret and what it had hashed before."""
        begun = self._codes.pop(fields.get("code", ""), None)
        known = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+')}".encode()).decode()
        plain = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        hashed = hashlib.sha256(fields.get("code_verifier", "").encode()).digest()
        is_known = asked.headers.get("Authorization", "").removeprefix("Basic ") in (known, plain)
        if (
            begun is None
            or not is_known
            or begun["code_challenge"] != base64.urlsafe_b64encode(hashed).decode().strip("=")
        ):
            return {"error": "invalid_grant"}
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 600, "nonce": begun["nonce"]}
        signed = jwt.encode(
            {"alg": "RS256", "kid": "one"}, claims | self.claims, self._keys[0 if self.has_own_key else 1]
        )
        return {"access_token": secrets.token_urlsafe(8), "token_type": "Bearer", "expires_in": 600, "id_token": signed}


def _fields(query: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(query).items()}
