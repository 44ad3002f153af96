"""GET /metrics over plain HTTP, for Prometheus: the text of `system.get_metrics`, nothing else.

Off unless `metrics.http` says where. It answers one request per connection, reads no body, and
gives a request REQUEST_S to arrive; whoever may reach the address may read the numbers. Numbers are
no reason to stop a service: an address that is taken is said, complained of, and tried again.
"""

import asyncio
import contextlib
from collections.abc import Callable

from osupervisor.config.address import address_text, parse_address
from osupervisor.supervisor.runtime.post_mortem import Say
from osupervisor.supervisor.telemetry.exposition import CONTENT_TYPE

REQUEST_S = 5.0
RETRY_S = 1.0
"""Between two tries to listen: a scrape interval is longer."""
REQUEST_BYTES_MAX = 16 * 1024


class MetricsHttp:
    """A listener of its own; `address` is empty where there is none."""

    def __init__(
        self,
        address: str,
        render: Callable[[], str],
        loop: asyncio.AbstractEventLoop,
        say: Say,
    ) -> None:
        self.trouble = ""
        """Why nothing listens although something should; empty while all is well."""
        self._address = address
        self._render = render
        self._loop = loop
        self._say = say
        self._server: asyncio.Server | None = None
        self._starting: asyncio.Task[None] | None = None

    @property
    def served(self) -> str | None:
        """Where it listens, with the port that the kernel chose; None: nowhere."""
        if self._server is None or not self._server.sockets:
            return None
        return address_text(*self._server.sockets[0].getsockname()[:2])

    def start(self) -> None:
        if self._address:
            self._starting = self._loop.create_task(self._start())

    def stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _start(self) -> None:
        """Listen; where that can't be, say so once and try again each RETRY_S."""
        while True:
            try:
                self._server = await self._listen()
            except OSError as error:
                self._complain(error)
                await asyncio.sleep(RETRY_S)
            else:
                break
        if self.trouble:
            self._say("info", "metrics.served", address=self._address)
            self.trouble = ""

    async def _listen(self) -> asyncio.Server:
        host, port = parse_address(self._address)
        return await asyncio.start_server(
            self._serve, host, port, limit=REQUEST_BYTES_MAX, reuse_address=True
        )

    def _complain(self, error: OSError) -> None:
        if not self.trouble:
            self._say(
                "error",
                "metrics.not_served",
                address=self._address,
                reason=str(error),
                hint="free the address, or set metrics.http to another; it is tried again",
            )
        self.trouble = f"metrics.http can't listen on {self._address}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_S)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                head = b""
            writer.write(self._answer(head.split(b"\r\n", 1)[0]))
            await writer.drain()
        writer.close()

    def _answer(self, request_line: bytes) -> bytes:
        method, _, rest = request_line.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", "text/plain", b"GET /metrics\n", True)
        if path != b"/metrics":
            return _response("404 Not Found", "text/plain", b"see /metrics\n", method == b"GET")
        return _response("200 OK", CONTENT_TYPE, self._render().encode(), method == b"GET")


def _response(status: str, content_type: str, body: bytes, with_body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")
