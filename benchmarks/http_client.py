"""A browser's connection as cheap as it can be: the clients share the server's cores."""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Reply:
    """A response; ``seconds`` from sending the request to its last byte."""

    status: int
    body: bytes
    seconds: float


class Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.buffer = bytearray()
        self.waiting: asyncio.Future[tuple[int, bytes]] | None = None
        self.transport: asyncio.Transport | None = None

    @classmethod
    async def open(cls, host: str, port: int, headers: dict[str, str]) -> "Connection":
        """Connect; ``headers`` go with every request."""
        lines = {"Host": f"{host}:{port}", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: cls(head), host, port)
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting and not self.waiting.done():
            self.waiting.set_exception(exc or ConnectionError("closed"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0 or self.waiting is None:
            return
        head = bytes(self.buffer[:end]).lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.buffer) >= end + 4 + length:
            body = bytes(self.buffer[end + 4 : end + 4 + length])
            self.buffer.clear()
            self.waiting.set_result((int(head[9:12]), body))

    async def post(self, path: str, content_type: bytes, body: bytes) -> Reply:
        """Send one request and wait for its answer."""
        assert self.transport is not None
        begun = time.perf_counter()
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(
            b"POST %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
            % (path.encode(), self.head, content_type, len(body), body)
        )
        status, data = await self.waiting
        return Reply(status, data, time.perf_counter() - begun)
