"""A page on loopback that shows clips to a person and takes down when they press a key."""

from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
import json
import logging
import math
import mimetypes
from pathlib import Path
from queue import Empty, Queue
import re
import secrets
from string import Template
import threading
from types import TracebackType
from typing import Any

from .human import Trial
from .runner import Line, Worker

_MAX_BODY_BYTES = 64 * 1024
_CHUNK_BYTES = 256 * 1024
_POLL_S = 0.2

_log = logging.getLogger(__name__)


class HumanServer:
    """
    Runs trials with a person: an executor, as for the runner.

    It listens on 127.0.0.1 alone, and answers only who knows the address with its token. The
    truth never leaves this process.

    :param port: to listen on; 0: a free one.
    :param page: the page's text, with ``$nonce`` where its scripts say who they are; None: that
        of the package.
    """

    def __init__(self, *, port: int = 0, page: str | None = None) -> None:
        text = files(__package__).joinpath('human.html').read_text(encoding='utf-8')
        self._page = Template(text if page is None else page)
        self._token = secrets.token_urlsafe(16)
        self._trials: list[Trial] | None = None  # those to come; None: not yet known
        self._num_seen = 0
        self._finished: Queue[Line] = Queue()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(('127.0.0.1', port), self._make_handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,))

    @property
    def url(self) -> str:
        """Return the address to open."""
        return f'http://127.0.0.1:{self._server.server_port}/{self._token}/'

    def __enter__(self) -> 'HumanServer':
        """Begin to listen."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __call__(
        self, make_worker: Callable[[], Worker], samples: Sequence[Any]
    ) -> Iterator[Line]:
        """Show the trials one after the other, and yield the line of each when it was seen."""
        with self._lock:
            self._trials = list(samples)
        for _ in samples:
            while True:
                try:
                    # A wait without an end could not be interrupted by a key on every system.
                    yield self._finished.get(timeout=_POLL_S)
                    break
                except Empty:
                    continue

    def current(self) -> dict[str, Any]:
        """Return what the page is to show now."""
        with self._lock:
            if not self._trials:
                return {'state': 'wait' if self._trials is None else 'done'}
            trial, number = self._trials[0], self._num_seen + 1
            return {
                'state': 'show',
                'id': trial.id,
                'text': trial.text,
                'number': number,
                'total': self._num_seen + len(self._trials),
                'clip': f'clip/{number}',
            }

    def take(self, answer: Any) -> int:
        """
        Take the key presses of the trial that is shown.

        :return: how many trials are left.
        :raises ValueError: when it is another one, or they are no times of it.
        """
        if not isinstance(answer, dict):
            raise ValueError('expected an object')
        with self._lock:
            if not self._trials or answer.get('id') != self._trials[0].id:
                raise ValueError(f'the trial {answer.get("id")!r} is not shown now')
            trial = self._trials[0]
            times, end_s = answer.get('presses_s'), trial.line['seconds'] + 1
            if not isinstance(times, list) or not all(
                isinstance(t, (int, float)) and math.isfinite(t) and 0 <= t <= end_s for t in times
            ):
                raise ValueError(f'presses_s is {times!r}, expected seconds of the clip')
            self._trials.pop(0)
            self._num_seen += 1
            self._finished.put(trial.answered([float(t) for t in times]))
            return len(self._trials)

    def clip(self) -> Path | None:
        """Return the file of the trial that is shown."""
        with self._lock:
            return self._trials[0].clip if self._trials else None

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_GET(self) -> None:
                match self._path():
                    case '':
                        nonce = secrets.token_urlsafe(16)
                        policy = (
                            f"default-src 'none'; script-src 'nonce-{nonce}'; "
                            f"style-src 'nonce-{nonce}'; media-src 'self'; connect-src 'self'"
                        )
                        page = server._page.substitute(nonce=nonce)
                        self._send(page.encode(), 'text/html; charset=utf-8', policy=policy)
                    case 'trial':
                        data = json.dumps(server.current()).encode()
                        self._send(data, 'application/json')
                    case str(path) if re.fullmatch(r'clip/\d+', path):
                        clip = server.clip()
                        if clip is None:
                            self._refuse(HTTPStatus.NOT_FOUND)
                        else:
                            self._send_file(clip)
                    case _:
                        self._refuse(HTTPStatus.NOT_FOUND)

            def do_POST(self) -> None:
                length = self.headers.get('Content-Length', '')
                if self._path() != 'presses':
                    self._refuse(HTTPStatus.NOT_FOUND)
                elif not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
                    self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                elif self.headers.get('Content-Type') != 'application/json':
                    self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
                else:
                    try:
                        left = server.take(json.loads(self.rfile.read(int(length))))
                    except ValueError as error:
                        self._refuse(HTTPStatus.BAD_REQUEST, str(error))
                    else:
                        self._send(json.dumps({'left': left}).encode(), 'application/json')

            def _path(self) -> str | None:
                """Return the path below the token; None for who does not know it."""
                host = self.headers.get('Host', '').rpartition(':')[0]
                prefix = f'/{server._token}/'
                # The host is checked against pages that have their name point here.
                if host not in ('127.0.0.1', 'localhost') or not self.path.startswith(prefix):
                    return None
                return self.path.removeprefix(prefix)

            def _send_file(self, path: Path) -> None:
                """Send a file, or the part that is asked for: players look at the end first."""
                size = path.stat().st_size
                part = re.fullmatch(r'bytes=(\d+)-(\d*)', self.headers.get('Range', ''))
                begin = int(part[1]) if part else 0
                end = min(int(part[2]) + 1, size) if part and part[2] else size
                if begin >= end:
                    self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                    return
                self.send_response(HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK)
                kind = mimetypes.guess_type(path.name)[0] or 'application/octet-stream'
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(end - begin))
                self.send_header('Accept-Ranges', 'bytes')
                if part:
                    self.send_header('Content-Range', f'bytes {begin}-{end - 1}/{size}')
                self.end_headers()
                with path.open('rb') as file:
                    file.seek(begin)
                    while begin < end:
                        data = file.read(min(_CHUNK_BYTES, end - begin))
                        begin += len(data)
                        try:
                            self.wfile.write(data)
                        except ConnectionError:
                            self.close_connection = True  # the player has seen enough
                            return

            def _send(self, data: bytes, kind: str, *, policy: str = "default-src 'none'") -> None:
                self.send_response(HTTPStatus.OK)
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(len(data)))
                self.send_header('Content-Security-Policy', policy)
                self.send_header('Cache-Control', 'no-store')
                self.send_header('X-Content-Type-Options', 'nosniff')
                self.end_headers()
                self.wfile.write(data)

            def _refuse(self, status: HTTPStatus, reason: str = '') -> None:
                self.close_connection = True  # what is left of the request is not read
                data = (reason or status.phrase).encode()
                self.send_response(status)
                self.send_header('Content-Type', 'text/plain; charset=utf-8')
                self.send_header('Content-Length', str(len(data)))
                self.send_header('Connection', 'close')
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:
                _log.debug(format, *arguments)

        return Handler
