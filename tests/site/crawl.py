"""One walk over every address as everybody, by GET and by POST; many tests look at what it met."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test import Client

from tests.site.addresses import TABLE, path_of
from tests.site.scene import ROLES, Scene, signed_in, undone

ANYBODY = "anonymous"
WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "WITH")


@dataclass(frozen=True)
class Visit:
    """What one request met."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    writes: tuple[str, ...]

    @property
    def is_page(self) -> bool:
        """Whether a person gets to read this."""
        return self.headers.get("Content-Type", "").startswith("text/html") and bool(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()


Walk = dict[tuple[str, str, str], Visit]


@contextmanager
def writes_noted() -> Iterator[list[str]]:
    """The statements that write, sessions left out."""
    found: list[str] = []

    def note(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        words = sql.split("; ", 1)[-1] if sql.startswith("SELECT set_config") else sql
        if words.lstrip().upper().startswith(WRITES) and "django_session" not in words:
            found.append(words)
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        yield found


def visit(client: Client, method: str, path: str, data: Any = None, **options: Any) -> Visit:
    """One request, its answer read to the end."""
    with writes_noted() as found:
        response = getattr(client, method)(path, data or {}, **options)
        body = b"".join(response.streaming_content) if response.streaming else response.content
    return Visit(response.status_code, dict(response.headers), body, tuple(found))


def walk(scene: Scene) -> Walk:
    """Every address as everybody; what a request wrote is undone before the next."""
    met: Walk = {}
    for name, address in TABLE.items():
        path = path_of(name, scene)
        for who in (ANYBODY, *ROLES):
            for method in ("get", "post"):
                with undone():
                    client = signed_in(scene.people[who]) if who in ROLES else Client()
                    data = address.data(scene) if method == "post" else None
                    met[name, who, method] = visit(client, method, path, data)
    return met
