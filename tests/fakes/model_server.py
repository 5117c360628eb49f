"""A model server that speaks like vLLM and fails on demand, on loopback.

In tests, in a thread of its own, so that its state can be looked at:

    with FakeModelServer(model="m", faults=FaultPlan(script={0: Fault.RESET})) as server:
        ...  # server.base_url, server.requests, server.aborted, server.die_for(2.0)

For benchmarks and kill tests as a process of its own: `python -m tests.fakes.model_server`, or
`spawn("--instant")`; there POST /_fake/die?seconds=2, /_fake/fail?trouble=reset and /_fake/stats
do what the methods do.
"""

import argparse
import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.fakes.faults import Fault, FaultPlan, Trouble, parse_trouble
from tests.fakes.http_face import HttpFace, Recorded

__all__ = ["FakeModelServer", "Fault", "FaultPlan", "Recorded", "Trouble", "spawn"]


class FakeModelServer(HttpFace):
    """The server; a context manager that runs it in a thread. Settings: see HttpFace."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._web: web.Server | None = None
        self._returning: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """Address with /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self.serve(started.set)), daemon=True
        )
        self._thread.start()
        if not started.wait(10):
            raise RuntimeError("the fake model server did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self.stop)
            self._thread.join(10)

    def stop(self) -> None:
        """End `serve`; call it in the server's own loop."""
        self._stop.set()

    async def serve(self, ready: Callable[[], object]) -> None:
        """Serve until `stop`; calls `ready` once the port is open."""
        self._loop = asyncio.get_running_loop()
        self._web = web.Server(
            self._handle,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=self.keep_alive_s,
        )
        self._held = self._bound_socket()
        await self._listen()
        ready()
        await self._stop.wait()
        self._drop()
        if self._returning is not None:
            self._returning.cancel()
        await self._web.shutdown(1.0)
        self._held.close()

    def _bound_socket(self) -> socket.socket:
        """Bound but not listening: connections are refused, and nobody else gets the port."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", self.port))
        self.port = held.getsockname()[1]
        return held

    async def _listen(self) -> None:
        if self._listener is None and self._loop is not None and self._held is not None:
            self.dying = False
            self._listener = await self._loop.create_server(
                self._connection, sock=self._held, backlog=1024
            )

    def _drop(self) -> None:
        if self._listener is None or self._web is None:
            return
        self.dying = True
        self._listener.close()
        self._listener = None
        self._held = self._bound_socket()
        for connection in self._web.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def _connection(self) -> web.RequestHandler:
        if self._web is None:
            raise RuntimeError("the server is not running")
        self.connections += 1
        return self._web()

    async def _change(self, seconds: float | None, after: float = 0.0) -> None:
        """Die after a moment and, unless seconds is None, come back so much later."""
        await asyncio.sleep(after)
        self._drop()
        # The handlers that were cut off note it in the loop's next round.
        await asyncio.sleep(0)
        if seconds is not None:
            await asyncio.sleep(seconds)
            await self._listen()

    def _run(self, step: Coroutine[Any, Any, None]) -> None:
        if self._loop is None:
            raise RuntimeError("the server is not running")
        asyncio.run_coroutine_threadsafe(step, self._loop).result(10)

    def die(self) -> None:
        """Stop listening and drop every connection, as a killed process would, until `revive`."""
        self._run(self._change(None))

    def revive(self) -> None:
        """Listen again on the same port."""
        self._run(self._listen())

    def die_for(self, seconds: float) -> None:
        """Die at once and come back by itself on the same port after `seconds`."""

        async def die_and_promise() -> None:
            await self._change(None)
            self._returning = asyncio.create_task(self._come_back(seconds))

        self._run(die_and_promise())

    async def _come_back(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._listen()

    async def _control(self, path: str, request: web.BaseRequest) -> web.Response:
        if path == "/_fake/die":
            # A moment later, so that this very answer gets out.
            seconds = float(request.query["seconds"])
            self._returning = asyncio.create_task(self._change(seconds, after=0.05))
        return await super()._control(path, request)


@contextlib.contextmanager
def spawn(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the server as a process; gives its base address and the process. Ends with the caller,
    however the caller ends."""
    command = [sys.executable, "-m", "tests.fakes.model_server", "--with-parent", *arguments]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    with process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("ready "):
                raise RuntimeError("the fake model server did not start")
            yield line.split()[1], process
        finally:
            process.kill()


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.model_server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="fake-model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--instant", action="store_true", help="least work per request")
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0], metavar="S")
    parser.add_argument("--tokens-per-s", type=float)
    parser.add_argument("--marker", default="[/END]")
    parser.add_argument("--end-after", type=int, help="assistant turns before the end marker")
    parser.add_argument("--max-model-len", type=int, default=8192)
    parser.add_argument(
        "--fault", action="append", default=[], metavar="KIND=RATE", help="e.g. reset=0.05"
    )
    parser.add_argument("--with-parent", action="store_true", help="end when stdin closes")
    return parser.parse_args(argv)


async def _main(server: FakeModelServer, *, with_parent: bool) -> None:
    def ready() -> None:
        sys.stdout.write(f"ready {server.base_url}\n")
        sys.stdout.flush()
        if with_parent:
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, sys.stdin.read).add_done_callback(lambda _: server.stop())

    await server.serve(ready)


def main(argv: list[str] | None = None) -> None:
    """Serve until killed, or until stdin closes with --with-parent."""
    options = _arguments(argv)
    rates = {parse_trouble(kind): float(rate) for kind, rate in _pairs(options.fault)}
    latency = options.latency
    server = FakeModelServer(
        model=options.model,
        port=options.port,
        seed=options.seed,
        faults=FaultPlan(rates=rates, seed=options.seed),
        latency=latency[0] if len(latency) == 1 else (latency[0], latency[1]),
        tokens_per_s=options.tokens_per_s,
        instant=options.instant,
        marker=options.marker,
        end_after=options.end_after,
        max_model_len=options.max_model_len,
        record_limit=0,
    )
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(server, with_parent=options.with_parent))


def _pairs(texts: list[str]) -> list[tuple[str, str]]:
    return [(kind, rate) for kind, _, rate in (text.partition("=") for text in texts)]


if __name__ == "__main__":
    main()
