# SPDX-License-Identifier: MIT
"""swagger.yaml as a judge of live answers: status, content type, headers, schema."""
import base64
import json
import pathlib
import re
import urllib.error
import urllib.parse
import urllib.request

import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

ROOT = pathlib.Path(__file__).resolve().parents[2]
METHODS = ("get", "put", "post", "delete", "patch")


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


class Document:
    """`bases` maps a service's name to its address."""

    def __init__(self, bases):
        self.bases = bases
        self.tree = yaml.safe_load((ROOT / "swagger.yaml").read_text(encoding="utf-8"))
        self.registry = Registry().with_resource(
            "urn:api", DRAFT202012.create_resource(self.tree))
        self.opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))
        self.operations = {}  # operationId -> (method, path template, path item, operation)
        self.seen = set()     # (operationId, service)
        self.checked = 0
        for path, item in self.tree["paths"].items():
            for method in METHODS:
                if method in item:
                    operation = item[method]
                    assert operation["operationId"] not in self.operations, operation["operationId"]
                    self.operations[operation["operationId"]] = (method, path, item, operation)

    def resolve(self, node, pointer):
        """Follows a $ref; returns the node and the JSON pointer it really stands at."""
        while "$ref" in node:
            pointer = node["$ref"]
            node = self.tree
            for part in pointer.lstrip("#/").split("/"):
                node = node[part.replace("~1", "/").replace("~0", "~")]
        return node, pointer

    def call(self, operation_id, expect, *, service=None, path=None, query=None, body=None, form=None,
             raw=None, token=None, basic=None, headers=None):
        """Sends one request to a documented operation and judges the answer against the document."""
        method, template, item, _ = self.operations[operation_id]
        service = service or item["x-services"][0]
        target = template
        for name, value in (path or {}).items():
            target = target.replace("{%s}" % name, urllib.parse.quote(value, safe=""))
        assert "{" not in target, target
        url = self.bases[service] + target
        if query:
            url += "?" + urllib.parse.urlencode(query)
        fields, data = dict(headers or {}), raw
        if body is not None:
            data, fields["Content-Type"] = json.dumps(body).encode(), "application/json"
        if raw is not None:
            fields.setdefault("Content-Type", "application/json")
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
            fields["Content-Type"] = "application/x-www-form-urlencoded"
        if token is not None:
            fields["Authorization"] = "Bearer " + token
        if basic is not None:
            fields["Authorization"] = "Basic " + base64.b64encode(":".join(basic).encode()).decode()
        if data is None and method in ("post", "put", "patch"):
            data = b""
        request = urllib.request.Request(url, data=data, method=method.upper(), headers=fields)
        try:
            with self.opener.open(request, timeout=30) as response:
                answer = Answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, error.headers, error.read())
        where = f"{method.upper()} {service}:{target} -> {answer.status}"
        expected = (expect,) if isinstance(expect, int) else tuple(expect)
        assert answer.status in expected, f"{where}, expected {expected}: {answer.body[:400]!r}"
        self.judge(operation_id, answer, where)
        self.seen.add((operation_id, service))
        self.checked += 1
        return answer

    def judge(self, operation_id, answer, where):
        method, template, _, operation = self.operations[operation_id]
        documented = operation["responses"]
        key = str(answer.status)
        assert key in documented, f"{where}: status is not documented: {answer.body[:300]!r}"
        escaped = template.replace("~", "~0").replace("/", "~1")
        response, pointer = self.resolve(
            documented[key], f"#/paths/{escaped}/{method}/responses/{key}")
        for name, header in (response.get("headers") or {}).items():
            assert not header.get("required") or answer.headers[name], f"{where}: no {name}"
        content = response.get("content")
        if not content:
            return
        sent = (answer.headers["Content-Type"] or "").split(";")[0].strip()
        assert sent in content, f"{where}: content type {sent!r}, documented {sorted(content)}"
        if sent.endswith("json"):
            at = sent.replace("~", "~0").replace("/", "~1")
            validator = Draft202012Validator(
                {"$ref": f"urn:api{pointer}/content/{at}/schema"}, registry=self.registry,
                format_checker=Draft202012Validator.FORMAT_CHECKER)
            errors = sorted(validator.iter_errors(answer.json), key=lambda e: list(e.path))
            assert not errors, "\n".join(
                [f"{where}: {answer.body[:1000]!r}"]
                + [f"  at /{'/'.join(map(str, e.path))}: {e.message}" for e in errors])

    def unseen(self):
        """Documented operations that no call has reached, by service."""
        wanted = {(name, service) for name, (_, _, item, _) in self.operations.items()
                  for service in item["x-services"]}
        return sorted(wanted - self.seen)

    def undocumented(self):
        """Routes of the sources that the document does not know, as 'service METHOD /path'."""
        homes = {"Gateway": ["chat"], "ChatService": ["chat"], "AuthAPI": ["auth"],
                 "AuthService": ["auth"], "NotificationAPI": ["notification"],
                 "NotificationService": ["notification"],
                 "ServiceRuntime": ["chat", "auth", "notification"]}
        blank = lambda path: re.sub(r"\{[^}]*\}", "{}", path)
        known = {(service, method, blank(path)) for method, path, item, _ in self.operations.values()
                 for service in item["x-services"]}
        missing, found = [], 0
        pattern = re.compile(r'\bon\(\s*"(GET|PUT|POST|DELETE|PATCH)",\s*("[^"]*"|\w+)')
        constant = re.compile(r'\blet (\w+) = "(/[^"]*)"')
        for home, services in homes.items():
            for file in sorted((ROOT / "Sources" / home).rglob("*.swift")):
                text = file.read_text(encoding="utf-8")
                names = dict(constant.findall(text))
                for method, path in pattern.findall(text):
                    path = names.get(path, path.strip('"'))
                    path = re.sub(r"\\\((\w+)\)", lambda m: names.get(m[1], m[0]), path)
                    if not path.startswith("/"):
                        continue  # a helper's own parameter
                    if path.startswith("/socket.io") or path.endswith("...}"):
                        continue  # Socket.IO has its own document; the rest is files of the web client
                    found += 1
                    missing += [f"{service} {method} {path}" for service in services
                                if (service, method.lower(), blank(path)) not in known]
        assert found > 20, f"only {found} routes found in the sources: has the way to add one changed?"
        return missing
