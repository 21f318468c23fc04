# SPDX-License-Identifier: MIT
"""Signs people in the way a browser does: the real pages and forms, a redirect at a time, with PKCE.

Standard library only, so that every client test can use it.
"""
import base64
import hashlib
import html.parser
import http.client
import json
import secrets
import urllib.parse


class Browser:
    """Cookies by name, no script, no automatic redirects."""

    def __init__(self):
        self.cookies = {}

    def request(self, method, url, form=None, headers=()):
        """One request; returns (status, headers, body text)."""
        parts = urllib.parse.urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
        fields = dict(headers)
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        body = None
        if form is not None:
            body = urllib.parse.urlencode(form)
            fields["Content-Type"] = "application/x-www-form-urlencoded"
            fields["Origin"] = f"{parts.scheme}://{parts.netloc}"
        target = parts.path or "/"
        if parts.query:
            target += "?" + parts.query
        connection.request(method, target, body, fields)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
        for field in answer.headers.get_all("Set-Cookie") or []:
            name, _, rest = field.partition("=")
            value = rest.split(";", 1)[0]
            attributes = rest.lower()
            if not value or "max-age=0" in attributes:
                self.cookies.pop(name.strip(), None)
            else:
                self.cookies[name.strip()] = value
        connection.close()
        return answer.status, answer.headers, text


class Form(html.parser.HTMLParser):
    """The first form of a page that has a password field, or else its first form."""

    def __init__(self, page):
        super().__init__()
        self.forms = []
        self.feed(page)
        with_password = [form for form in self.forms if form["password"]]
        assert self.forms, "no form on the page:\n" + page[:2000]
        chosen = (with_password or self.forms)[0]
        self.action, self.fields, self.password = chosen["action"], chosen["fields"], chosen["password"]

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.forms.append({"action": attrs.get("action") or "", "fields": {}, "password": None})
        elif tag in ("input", "button") and self.forms and attrs.get("name"):
            form = self.forms[-1]
            if tag == "button" and attrs["name"] in form["fields"]:
                return
            form["fields"][attrs["name"]] = attrs.get("value") or ""
            if attrs.get("type") == "password" and form["password"] is None:
                form["password"] = attrs["name"]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign_in(issuer, redirect_uri, username, password, *, register=False, client_id="web",
            scope="chat notifications", browser=None):
    """Authorization code with PKCE through the pages of AuthService; returns the token answer.

    With `register`, the account is created first on the registration page.
    """
    browser = browser or Browser()
    status, _, text = browser.request("GET", issuer + "/.well-known/oauth-authorization-server")
    assert status == 200, f"metadata: {status} {text[:300]}"
    metadata = json.loads(text)
    assert metadata["issuer"] == issuer, (metadata["issuer"], issuer)
    verifier, state = base64url(secrets.token_bytes(32)), secrets.token_urlsafe(16)
    url = metadata["authorization_endpoint"] + "?" + urllib.parse.urlencode({
        "response_type": "code", "client_id": client_id, "redirect_uri": redirect_uri, "scope": scope,
        "state": state, "code_challenge_method": "S256",
        "code_challenge": base64url(hashlib.sha256(verifier.encode()).digest()),
    })
    method, form, submitted = "GET", None, 0
    for _ in range(12):
        status, headers, text = browser.request(method, url, form)
        if status in (302, 303):
            url, method, form = urllib.parse.urljoin(url, headers["Location"]), "GET", None
            if url.startswith(redirect_uri):
                break
            if register and urllib.parse.urlsplit(url).path == "/login":
                url = url.replace("/login", "/register", 1)
            continue
        assert status == 200 and submitted < 2, f"{method} {url}: {status}\n{text[:1500]}"
        page = Form(text)
        form = dict(page.fields)
        if page.password:
            for name in form:
                if name == page.password or "password" in name:
                    form[name] = password
            user = next(name for name in form if name in ("username", "name", "user", "login"))
            form[user] = username
        url, method, submitted = urllib.parse.urljoin(url, page.action), "POST", submitted + 1
    else:
        raise AssertionError(f"no redirect to the client; last: {status} {url}")
    answer = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
    assert answer.get("state") == state and answer.get("iss") == issuer, answer
    assert "code" in answer, answer
    status, _, text = browser.request("POST", metadata["token_endpoint"], {
        "grant_type": "authorization_code", "client_id": client_id, "code": answer["code"],
        "redirect_uri": redirect_uri, "code_verifier": verifier,
    })
    assert status == 200, f"token: {status} {text[:500]}"
    return json.loads(text)
