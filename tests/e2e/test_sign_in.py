"""Sign-in by OpenID Connect, over the whole way: the app, Streamlit's `st.login` and a provider that speaks the
protocol with codes, hashed verifiers, nonces and signed tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from benchmarks.browsers import Browser
from tests.e2e.conftest import free_port, serve
from tests.e2e.provider import CLIENT, SECRET, Provider

pytest.importorskip("authlib", reason="sign-in needs requirements-host.txt")

ANN, BOB = "ann@example.org", "bob@example.org"
SITE = {"PARLANCE_IS_PUBLIC": "1", "PARLANCE_HOSTS": ANN, "PARLANCE_MEMBERS": "*@example.org"}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture(scope="module")
def site(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A public site whose hosts and members sign in there."""
    folder = tmp_path_factory.mktemp("site")
    port = free_port()
    told = {
        "redirect_uri": f"http://127.0.0.1:{port}/oauth2callback", "cookie_secret": "chance " * 6,
        "client_id": CLIENT, "client_secret": SECRET,
        "server_metadata_url": f"{provider.address}/.well-known/openid-configuration",
    }  # fmt: skip
    lines = [f'{name} = "{value}"' for name, value in told.items()]
    (folder / "secrets.toml").write_text("\n".join(["[auth]", *lines]), encoding="utf-8")
    about = SITE | {"NO_PROXY": "127.0.0.1", "PARLANCE_STORAGE_FOLDER": str(folder / "kept")}
    with serve(folder, port, STREAMLIT_SECRETS_FILES=str(folder / "secrets.toml"), **about) as address:
        yield address


class Person:
    """Somebody's browser: cookies that pages and the websocket share."""

    def __init__(self, site: str) -> None:
        self.site, self.client = site, httpx2.Client(follow_redirects=True, trust_env=False)
        self.client.get(f"{site}/_stcore/health")

    def open(self, page: str = "write") -> Browser:
        return Browser(urlsplit(self.site).netloc, page, cookies=dict(self.client.cookies))

    def said(self, page: str = "write") -> str:
        """What the page says of who one is."""
        with self.open(page) as browser:
            shown = [one.markdown.body for one in browser.opened if one.WhichOneof("type") == "markdown"]
        return " ".join(shown).replace("\\", "")

    def sign_in(self) -> Any:
        """Press the button, go where it leads, and come back."""
        with self.open() as browser:
            browser.press("Sign in", {})
            assert browser.redirect.startswith("/auth/login?")
        return self.client.get(self.site + browser.redirect)


@pytest.fixture
def person(site: str, provider: Provider) -> Person:
    provider.claims, provider.has_own_key, provider.asked = {"email": ANN, "email_verified": True}, True, []
    return Person(site)


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({}, f"Signed in as {ANN}, host."), ({"email": BOB}, f"Signed in as {BOB}, member."),
        ({"email": "eve@example.com"}, "Signed in as eve@example.com, visitor."),
        ({"email_verified": False}, f"Signed in as {ANN}, visitor."),
    ],
)  # fmt: skip
def test_whom_the_provider_names_has_that_role(
    person: Person, provider: Provider, claims: dict[str, Any], said: str
) -> None:
    provider.claims |= claims
    assert "Signed in" not in person.said()
    assert person.sign_in().status_code == 200
    assert said in person.said() and provider.asked.count("/token") == 1


def test_a_host_by_sign_in_is_one_for_requests_that_are_no_page(person: Person, provider: Provider) -> None:
    def figures() -> int:
        return person.client.get(f"{person.site}/metrics").status_code

    assert figures() == 409
    person.sign_in()
    assert figures() == 200
    with person.open() as browser:
        browser.press("Sign out", {})
    person.client.get(person.site + browser.redirect)
    assert "/end" in provider.asked and "Signed in" not in person.said() and figures() == 409
    provider.claims["exp"] = int(time.time()) - 30
    person.sign_in()
    assert figures() == 409, "its token has run out"


def test_a_token_that_has_run_out_gives_no_role(person: Person, provider: Provider) -> None:
    """Authlib takes one within two minutes of its end, as clocks differ; a role it gives no more."""
    provider.claims["exp"] = int(time.time()) - 30
    person.sign_in()
    said = person.said()
    assert "Your sign-in has ended" in said and f"Signed in as {ANN}, visitor." in said


@pytest.mark.parametrize(
    "fault", [{"exp": 1_000_000_000}, {"aud": "another"}, {"iss": "https://evil.example"}, {"nonce": "guessed"}, "key"]
)
def test_a_token_that_does_not_fit_signs_nobody_in(person: Person, provider: Provider, fault: Any) -> None:
    if fault == "key":
        provider.has_own_key = False
    else:
        provider.claims |= fault
    person.sign_in()
    assert "Signed in" not in person.said() and "/token" in provider.asked


def test_an_answer_that_nobody_asked_for_signs_nobody_in(person: Person, provider: Provider) -> None:
    person.client.get(f"{person.site}/oauth2callback?code=stolen&state=made-up")
    assert "Signed in" not in person.said() and "/token" not in provider.asked


def test_a_changed_cookie_is_nobodys(person: Person) -> None:
    person.sign_in()
    name = "_streamlit_user"
    value = person.client.cookies[name]
    person.client.cookies.set(name, value[:-3] + "abc", domain="127.0.0.1")
    assert "Signed in" not in person.said()
