"""The page of ``roma web``: HTTP on the loopback interface, for one user with a secret link."""

from collections.abc import Callable
from contextlib import suppress
import hmac
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
import math
from pathlib import Path
import secrets
import threading
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

#: Address that the page is served on. There is no other: beyond the machine it goes by ssh -L.
ADDRESS = '127.0.0.1'
#: Longest body of a request [bytes]; longest instruction is 500 characters.
MAX_BODY_BYTES = 8_192
#: Connections at one time: some pages, each with events, a picture and a question.
MAX_CONNECTIONS = 16
#: How often a page hears of news [s], how often it is told that there are none, and how long a
#: client may take to send or to take something.
_EVENT_PERIOD_S, _KEEP_ALIVE_S, _CLIENT_S = 0.5, 10.0, 15.0
_NAMES = ('127.0.0.1', 'localhost')
_HEADERS = {
    'Cache-Control': 'no-store',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Referrer-Policy': 'no-referrer',  # the link has the token
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
}


class Backend(Protocol):
    """What the page shows and does; any thread calls. A ValueError says what was wrong."""

    def view(self) -> dict[str, Any]: ...

    def jpeg(self) -> bytes | None: ...

    def add_instruction(self, kind: str, text: str, threshold: float) -> str: ...

    def remove_instruction(self, instruction_id: str) -> None: ...

    def ask(self, question: str) -> str: ...


class WebServer:
    """
    Serves the page inside ``with``, on threads of its own.

    Who has no token gets nothing: other users of the machine could reach the port, and so could
    any web page that the user's browser has open.

    :param backend: what is shown and done.
    :param port: of the loopback interface; 0: any that is free.
    :raises OSError: when the port is taken.
    """

    def __init__(self, backend: Backend, *, port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self._stopping = threading.Event()
        self._server = _Server((ADDRESS, port), _Handler)
        self._server.backend, self._server.token = backend, self.token
        self._server.stopping = self._stopping
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Return the link, with the token."""
        return f'http://{ADDRESS}:{self._server.server_address[1]}/?token={self.token}'

    def __enter__(self) -> 'WebServer':
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _RefusedError(Exception):
    """A request that is not carried out, with the status that says why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a question may be on its way
    backend: Backend
    token: str
    stopping: threading.Event

    def __init__(self, *arguments: Any) -> None:
        self._free = threading.Semaphore(MAX_CONNECTIONS)
        super().__init__(*arguments)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that went away; what the backend raises is answered


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _CLIENT_S
    server_version, sys_version = 'roma', ''

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        token = parse_qs(url.query).get('token', [''])[0]
        if not self._is_allowed(token):
            return
        pages = {
            '/': self._send_page,
            '/frame.jpg': self._send_frame,
            '/events': self._send_events,
        }
        page = pages.get(url.path)
        if page is None:
            return self._refuse(HTTPStatus.NOT_FOUND, 'there is no such page')
        page()

    def do_POST(self) -> None:
        if not self._is_allowed(self.headers.get('X-Roma-Token', '')):
            return
        commands: dict[str, Callable[[dict[str, Any]], object]] = {
            '/instructions/add': self._add,
            '/instructions/remove': self._remove,
            '/ask': self._ask,
        }
        command = commands.get(self.path)
        if command is None:
            return self._refuse(HTTPStatus.NOT_FOUND, 'there is no such command')
        try:
            done = command(self._read_body())
        except _RefusedError as error:
            return self._refuse(error.status, error.reason)
        except ValueError as error:
            return self._refuse(HTTPStatus.BAD_REQUEST, str(error))
        self._send_json(HTTPStatus.OK, {'done': done})

    def log_message(self, format: str, *arguments: Any) -> None:
        pass  # the token is in the path

    def _is_allowed(self, token: str) -> bool:
        """Let pass who has the token, came by a name of this machine, and from no other page."""
        host = self.headers.get('Host', '')
        origin = self.headers.get('Origin')
        if host.rpartition(':')[0] not in _NAMES or origin not in (None, f'http://{host}'):
            self._refuse(HTTPStatus.FORBIDDEN, 'only pages of this machine are served')
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(
                HTTPStatus.FORBIDDEN, 'open the link that roma web printed, with its token'
            )
        else:
            return True
        return False

    def _read_body(self) -> dict[str, Any]:
        length = self.headers.get('Content-Length', '')
        if not length.isdecimal():
            raise _RefusedError(HTTPStatus.LENGTH_REQUIRED, 'the length is missing')
        if int(length) > MAX_BODY_BYTES:
            raise _RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f'the request has {length} bytes, at most {MAX_BODY_BYTES} are allowed',
            )
        if self.headers.get_content_type() != 'application/json':
            raise _RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 'only JSON is understood')
        try:
            body = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise ValueError('the request is no JSON object')
        return body

    def _add(self, body: dict[str, Any]) -> object:
        threshold = body.get('threshold', 0)
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
            raise ValueError(f'threshold is {threshold!r}, expected a number from 0 to 1')
        if not (math.isfinite(threshold) and 0 <= threshold <= 1):
            raise ValueError(f'threshold is {threshold}, expected a number from 0 to 1')
        return self.server.backend.add_instruction(
            _text(body, 'kind'), _text(body, 'text'), float(threshold)
        )

    def _remove(self, body: dict[str, Any]) -> object:
        self.server.backend.remove_instruction(_text(body, 'id'))
        return ''

    def _ask(self, body: dict[str, Any]) -> object:
        return self.server.backend.ask(_text(body, 'question'))

    def _send_page(self) -> None:
        nonce = secrets.token_urlsafe(16)
        page = Path(__file__).with_name('web_page.html').read_text(encoding='utf-8')
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        self._send(
            HTTPStatus.OK,
            page.replace('NONCE', nonce).encode(),
            'text/html; charset=utf-8',
            {'Content-Security-Policy': policy},
        )

    def _send_frame(self) -> None:
        try:
            jpeg = self.server.backend.jpeg()
        except ValueError as error:
            return self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
        status = HTTPStatus.NO_CONTENT if jpeg is None else HTTPStatus.OK
        self._send(status, jpeg or b'', 'image/jpeg')

    def _send_events(self) -> None:
        """Send the view whenever it has changed, until the client goes."""
        self.close_connection = True
        self._begin(HTTPStatus.OK, 'text/event-stream', {})
        sent, silent_s = '', 0.0
        with suppress(OSError):
            while True:
                view = json.dumps(self.server.backend.view())
                if view != sent or silent_s >= _KEEP_ALIVE_S:
                    self.wfile.write(f'data: {view}\n\n'.encode())
                    sent, silent_s = view, 0.0
                if self.server.stopping.wait(_EVENT_PERIOD_S):
                    return
                silent_s += _EVENT_PERIOD_S

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self.close_connection = True  # a body may be left unread
        self._send_json(status, {'reason': reason})

    def _send_json(self, status: HTTPStatus, content: dict[str, object]) -> None:
        self._send(status, json.dumps(content).encode(), 'application/json')

    def _send(
        self,
        status: HTTPStatus,
        body: bytes,
        content_type: str,
        headers: dict[str, str] | None = None,
    ) -> None:
        self._begin(status, content_type, {**(headers or {}), 'Content-Length': str(len(body))})
        self.wfile.write(body)

    def _begin(self, status: HTTPStatus, content_type: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {'Content-Type': content_type, **_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise ValueError(f'{name} is {value!r}, expected a text')
    return value
