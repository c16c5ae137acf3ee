"""HTTP/1.1 by uvicorn and httptools, whose parser alone takes a head of any size."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD = 65_536  # bytes of a request's first line and headers


class HttpProtocol(HttpToolsProtocol):
    """Answers 400 to a request whose head is larger than `LARGEST_HEAD`, and hangs up."""

    reading_head = False
    head = 0  # bytes of those parts that are whole
    pending = 0  # bytes of the pieces in which the head did not end

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.reading_head and not self.transport.is_closing():
            self.pending += len(data)
            if self.pending > LARGEST_HEAD:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        self.reading_head, self.head, self.pending = True, 0, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.reading_head = False
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self.head += size
        if self.head > LARGEST_HEAD:
            raise ValueError("the head is too large")  # the parser's error, which is a 400
