"""The page's server over real HTTP; what stands behind it is kept in a list here."""

from concurrent.futures import ThreadPoolExecutor
import http.client
import json
import threading
import time
from urllib.parse import urlsplit

import pytest

from roma_ros.nodes.web_server import MAX_BODY_BYTES, MAX_CONNECTIONS, WebServer

JPEG = b'\xff\xd8 a picture'


class Backend:
    """Says what it was told."""

    def __init__(self):
        self.calls = []
        self.state = 'active'
        self.picture = JPEG

    def view(self):
        return {'state': self.state}

    def jpeg(self):
        if isinstance(self.picture, Exception):
            raise self.picture
        return self.picture

    def add_instruction(self, kind, text, threshold):
        if kind not in ('narrate', 'alert'):
            raise ValueError(f'kind is {kind!r}')
        self.calls.append((kind, text, threshold))
        return 'instruction-7'

    def remove_instruction(self, instruction_id):
        self.calls.append(instruction_id)

    def ask(self, question):
        self.calls.append(question)
        return 'a cup'


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def server(backend):
    with WebServer(backend) as server:
        yield server


@pytest.fixture
def request_(server):
    """Send a request as the page would; what is given replaces that."""
    port = urlsplit(server.url).port

    def send(method, path, body=None, *, token=server.token, **headers):
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
        if method == 'GET':
            path += ('&' if '?' in path else '?') + f'token={token}'
        else:
            headers = {'Content-Type': 'application/json', 'X-Roma-Token': token, **headers}
        if isinstance(body, dict):
            body = json.dumps(body)
        headers = {name.replace('_', '-'): value for name, value in headers.items() if value}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        return response, data

    return send


def reason(data):
    return json.loads(data)['reason']


def test_the_link_is_on_the_loopback_interface_and_new_each_time(server, backend):
    assert server.url.startswith('http://127.0.0.1:')
    assert server.url.endswith(f'/?token={server.token}')
    assert len(server.token) >= 32
    with WebServer(backend) as other:
        assert other.token != server.token


def test_the_page_runs_its_own_script_alone(request_):
    response, data = request_('GET', '/')
    policy = response.headers['Content-Security-Policy']
    assert response.status == 200
    assert "default-src 'none'" in policy
    assert 'unsafe' not in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert data.count(f'nonce="{nonce}"'.encode()) == 2
    assert data.count(b'<script') == 1
    assert b'innerHTML' not in data
    assert b'http' not in data.replace(b'http://www.w3.org/2000/svg', b'')
    assert response.headers['Referrer-Policy'] == 'no-referrer'
    assert response.headers['Cache-Control'] == 'no-store'
    assert response.headers['X-Frame-Options'] == 'DENY'
    assert request_('GET', '/')[0].headers['Content-Security-Policy'] != policy


def test_the_picture_is_the_newest(request_, backend):
    response, data = request_('GET', '/frame.jpg?n=1')
    assert (response.headers['Content-Type'], data) == ('image/jpeg', JPEG)
    backend.picture = None
    response, data = request_('GET', '/frame.jpg')
    assert (response.status, data) == (204, b'')
    backend.picture = ValueError('encoding is polka_dots')
    response, data = request_('GET', '/frame.jpg')
    assert (response.status, reason(data)) == (422, 'encoding is polka_dots')


def test_news_come_as_they_happen(server, backend):
    parts = urlsplit(server.url)
    connection = http.client.HTTPConnection('127.0.0.1', parts.port, timeout=30)
    connection.request('GET', f'/events?{parts.query}')
    response = connection.getresponse()
    assert response.headers['Content-Type'] == 'text/event-stream'
    assert response.readline() == b'data: {"state": "active"}\n'
    assert response.readline() == b'\n'
    backend.state = 'inactive'
    assert response.readline() == b'data: {"state": "inactive"}\n'
    connection.close()


def test_commands_reach_the_node(request_, backend):
    for path, body, done in (
        (
            '/instructions/add',
            {'kind': 'alert', 'text': 'a bell', 'threshold': 0.5},
            'instruction-7',
        ),
        ('/instructions/add', {'kind': 'narrate', 'text': ''}, 'instruction-7'),
        ('/instructions/remove', {'id': 'bell'}, ''),
        ('/ask', {'question': 'what is there?'}, 'a cup'),
    ):
        response, data = request_('POST', path, body)
        assert (response.status, json.loads(data)) == (200, {'done': done})
    assert backend.calls == [
        ('alert', 'a bell', 0.5),
        ('narrate', '', 0.0),
        'bell',
        'what is there?',
    ]


@pytest.mark.parametrize(
    ('path', 'body', 'status', 'words'),
    [
        ('/instructions/add', {'kind': 'x', 'text': 'a'}, 400, "kind is 'x'"),
        ('/instructions/add', {'kind': 'alert', 'text': 5}, 400, 'text is 5, expected a text'),
        ('/instructions/add', {'kind': 'alert'}, 400, 'text is None'),
        (
            '/instructions/add',
            {'kind': 'alert', 'text': 'a', 'threshold': 2},
            400,
            'threshold is 2, expected a number from 0 to 1',
        ),
        (
            '/instructions/add',
            '{"kind":"alert","text":"a","threshold":NaN}',
            400,
            'threshold is nan',
        ),
        ('/instructions/add', {'kind': 'alert', 'text': 'a', 'threshold': True}, 400, 'True'),
        ('/ask', '[1]', 400, 'no JSON object'),
        ('/ask', '{', 400, 'no JSON object'),
        ('/ask', '[' * 8000, 400, 'no JSON object'),
        ('/ask', 'x' * (MAX_BODY_BYTES + 1), 413, 'at most 8192 are allowed'),
        ('/exec', {}, 404, 'no such command'),
        ('/', {}, 404, 'no such command'),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(request_, backend, path, body, status, words):
    response, data = request_('POST', path, body)
    assert response.status == status
    assert words in reason(data)
    assert backend.calls == []


@pytest.mark.parametrize(
    ('headers', 'status'),
    [
        ({'token': ''}, 403),
        ({'token': 'x' * 32}, 403),
        ({'Origin': 'http://evil.example'}, 403),
        ({'Origin': 'null'}, 403),
        ({'Host': 'evil.example:80'}, 403),  # DNS that was bound anew to 127.0.0.1
        ({'Host': '192.168.1.5:8066'}, 403),
        ({'Content_Type': 'text/plain'}, 415),  # what a form of another page may send
        ({'Content_Type': 'application/x-www-form-urlencoded'}, 415),
    ],
)
def test_other_pages_and_other_users_are_kept_out(request_, backend, headers, status):
    response, _ = request_('POST', '/ask', {'question': 'who?'}, **headers)
    assert response.status == status
    assert backend.calls == []
    for path in ('/', '/frame.jpg', '/events') * (status == 403):
        response, data = request_('GET', path, **headers)
        assert response.status == 403
        assert JPEG not in data


def test_pages_of_this_machine_are_let_in(request_, server):
    port = urlsplit(server.url).port
    for host in (f'localhost:{port}', 'localhost:9999'):  # the latter through ssh -L
        response, _ = request_(
            'POST', '/ask', {'question': 'who?'}, Host=host, Origin=f'http://{host}'
        )
        assert response.status == 200


def test_no_other_methods_and_pages(request_):
    assert request_('GET', '/../web_server.py')[0].status == 404
    assert request_('PUT', '/ask', {})[0].status == 501
    assert request_('OPTIONS', '/ask', {})[0].status == 501


def test_connections_are_limited_and_come_free_again(request_, backend):
    entered, go_on = threading.Semaphore(0), threading.Event()

    def ask(question):
        entered.release()
        go_on.wait(60)
        return ''

    backend.ask = ask
    with ThreadPoolExecutor(MAX_CONNECTIONS) as pool:
        asked = [
            pool.submit(request_, 'POST', '/ask', {'question': 'q'})
            for _ in range(MAX_CONNECTIONS)
        ]
        for _ in asked:
            assert entered.acquire(timeout=60)
        with pytest.raises((http.client.HTTPException, ConnectionError), match=r'.'):
            request_('GET', '/')
        go_on.set()
        assert {future.result()[0].status for future in asked} == {200}
    deadline_s = time.monotonic() + 30
    while True:  # a thread lets go a little after its answer
        try:
            assert request_('GET', '/')[0].status == 200
            return
        except (http.client.HTTPException, ConnectionError):
            assert time.monotonic() < deadline_s


def test_a_port_that_is_taken_is_an_error(server, backend):
    with pytest.raises(OSError, match='in use'):
        WebServer(backend, port=urlsplit(server.url).port)
