"""Fetching from a hub on this machine: a few endpoints of the real one, and a real checkpoint."""

from collections.abc import Callable, Iterator, Mapping
import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
import json
import os
from pathlib import Path
import subprocess
import sys
import threading
from urllib.parse import unquote, urlsplit

import pytest
from safetensors.torch import save_file
from tokenizers import Tokenizer
import torch

from roma_ros.model import fetch
from roma_ros.model.checkpoint import load_roma, save_roma
from roma_ros.model.fetch import fetch_checkpoint, FetchError
from roma_ros.model.store import find_checkpoint, MANIFEST_NAME, stored_folder
from roma_ros.model.thinker import RomaModel

COMMIT = '0123456789abcdef0123456789abcdef01234567'
REPO = 'robots/small'


def blob_id(content: bytes) -> str:
    """Return git's id of a file."""
    return hashlib.sha1(b'blob %d\0' % len(content) + content).hexdigest()


class Hub:
    """
    Serves one repository.

    :param files: content by name.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.stated = dict(files)  # what the checksums are of
        self.requests: list[tuple[str, str | None]] = []  # path and range
        self.cut_after: dict[str, int] = {}  # the connection breaks after so many bytes
        self.cuts = 10**9
        self.ignores_range = False
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args) -> None:
                pass

            def do_GET(self) -> None:
                hub.answer(self)

        self._server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f'http://127.0.0.1:{self._server.server_address[1]}'

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def downloads(self) -> list[str]:
        """Return the names of files that were asked for."""
        return [path.rpartition('/')[2] for path, _ in self.requests if '/resolve/' in path]

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        self.requests.append((path, request.headers['Range']))
        prefix = f'/api/models/{REPO}/revision/'
        if path in (prefix + 'main', prefix + COMMIT):
            self._send(request, 200, json.dumps(self._info()).encode())
        elif path.startswith(prefix):
            self._send(request, 404, b'{}', {'X-Error-Code': 'RevisionNotFound'})
        elif path.startswith('/api/models/robots/gated/'):
            self._send(request, 403, b'{}', {'X-Error-Code': 'GatedRepo'})
        elif path.startswith('/api/models/'):
            self._send(request, 404, b'{}', {'X-Error-Code': 'RepoNotFound'})
        elif path.startswith(f'/{REPO}/resolve/{COMMIT}/'):
            self._send_file(request, path.rpartition('/')[2])
        else:
            self._send(request, 404, b'{}', {'X-Error-Code': 'EntryNotFound'})

    def _info(self) -> dict:
        siblings = []
        for name, content in self.stated.items():
            entry = {'rfilename': name, 'size': len(content), 'blobId': blob_id(content)}
            if name.endswith(('.safetensors', '.bin')):
                sha256 = hashlib.sha256(content).hexdigest()
                entry['lfs'] = {'sha256': sha256, 'size': len(content), 'pointerSize': 134}
            siblings.append(entry)
        return {'id': REPO, 'modelId': REPO, 'sha': COMMIT, 'siblings': siblings}

    def _send_file(self, request: BaseHTTPRequestHandler, name: str) -> None:
        content = self.files[name]
        status, begin = 200, 0
        if request.headers['Range'] and not self.ignores_range:
            status, begin = 206, int(request.headers['Range'][len('bytes=') : -1])
        rest = content[begin:]
        if name in self.cut_after and self.cuts > 0:
            self.cuts -= 1
            self._send(request, status, rest, sent=rest[: self.cut_after[name]])
            request.close_connection = True
        else:
            self._send(request, status, rest)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        *,
        sent: bytes | None = None,
    ) -> None:
        request.send_response(status)
        request.send_header('Content-Length', str(len(body)))
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body if sent is None else sent)


@pytest.fixture(scope='module')
def repository(small_roma: RomaModel, tokenizer: Tokenizer, tmp_path_factory) -> dict[str, bytes]:
    """A published checkpoint: several shards, one for the voice alone, and things nobody wants."""
    folder = tmp_path_factory.mktemp('repository')
    save_roma(small_roma, folder, tokenizer=tokenizer, max_shard_bytes=400_000)
    voice = {'talker.model.norm.weight': torch.zeros(300)}
    save_file(voice, folder / 'model-voice.safetensors')
    index_file = folder / 'model.safetensors.index.json'
    index = json.loads(index_file.read_text())
    index['weight_map']['talker.model.norm.weight'] = 'model-voice.safetensors'
    index_file.write_text(json.dumps(index))
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    return files | {
        'pytorch_model.bin': b'a pickle',
        'modeling_roma.py': b'import os',
        'optimizer.pt': b'a pickle',
        'deep/model.safetensors': b'in a folder',
        'README.md': b'# small',
    }


@pytest.fixture
def hub(repository, monkeypatch, tmp_path) -> Iterator[Hub]:
    monkeypatch.setenv('ROMA_HOME', str(tmp_path / 'home'))
    monkeypatch.setattr(fetch, '_RETRY_WAIT_S', 0.0)
    hub = Hub(repository)
    yield hub
    hub.close()


@pytest.fixture
def get(hub) -> Callable[..., Path]:
    def get(**options) -> Path:
        return fetch_checkpoint(REPO, endpoint=hub.url, **options)

    return get


def manifest(folder: Path) -> dict:
    return json.loads((folder / MANIFEST_NAME).read_text())


def largest(hub: Hub) -> str:
    return max(set(hub.files) - {'pytorch_model.bin'}, key=lambda name: len(hub.files[name]))


def test_a_fetched_checkpoint_loads_by_its_name(hub, get, small_roma):
    with pytest.raises(FileNotFoundError, match=f'run `roma fetch {REPO}`'):
        load_roma(REPO)
    folder = get()
    assert folder == stored_folder(REPO) == find_checkpoint(REPO)
    hub.close()  # loading asks nobody
    loaded = load_roma(REPO).model.state_dict()
    for name, tensor in small_roma.state_dict().items():
        assert torch.equal(loaded[name], tensor), name


def test_only_data_is_asked_for_and_no_voice(hub, get):
    folder = get()
    assert sum('.safetensors' in name for name in hub.downloads) > 3
    unwanted = {
        'pytorch_model.bin', 'modeling_roma.py', 'optimizer.pt', 'model.safetensors', 'README.md',
        'model-voice.safetensors',
    }  # fmt: skip
    assert not unwanted & set(hub.downloads)
    assert {p.name for p in folder.iterdir()} == {*hub.downloads, MANIFEST_NAME}
    assert all(COMMIT in path for path, _ in hub.requests if '/resolve/' in path)


def test_the_manifest_names_the_commit_and_every_file(hub, get):
    folder = get(revision='main')
    written = manifest(folder)
    assert (written['repo'], written['commit']) == (REPO, COMMIT)
    for file in written['files']:
        content = (folder / file['name']).read_bytes()
        assert content == hub.files[file['name']]
        assert (file['size'], file['sha256']) == (
            len(content),
            hashlib.sha256(content).hexdigest(),
        )
    assert {f['name'] for f in written['files']} == set(hub.downloads)


def test_a_revision_is_pinned_and_a_folder_chosen(hub, get, tmp_path):
    folder = get(revision=COMMIT, folder=tmp_path / 'here')
    assert folder == tmp_path / 'here'
    assert hub.requests[0][0].endswith(f'/revision/{COMMIT}')
    load_roma(folder)


@pytest.mark.parametrize('name', ['config.json', None])
def test_a_file_that_is_not_what_the_hub_states_is_refused_and_deleted(hub, get, name):
    name = name or largest(hub)  # git's id of the one, sha256 of the other
    content = bytearray(hub.files[name])
    content[len(content) // 2] ^= 1
    hub.files[name] = bytes(content)
    with pytest.raises(FetchError, match=f'{name} is not what the hub states'):
        get()
    folder = stored_folder(REPO)
    assert not [p for p in folder.iterdir() if p.name.lstrip('.').startswith(name)]
    with pytest.raises(FileNotFoundError, match='has not been fetched to the end'):
        load_roma(REPO)
    hub.files = dict(hub.stated)
    load_roma(get())


def test_a_broken_connection_is_taken_up_where_it_broke(hub, get):
    name = largest(hub)
    hub.cut_after[name], hub.cuts = 1000, 2
    folder = get()
    ranges = [r for path, r in hub.requests if path.endswith(name)]
    assert ranges == [None, 'bytes=1000-', 'bytes=2000-']
    assert (folder / name).read_bytes() == hub.files[name]


def test_an_interrupted_download_goes_on_in_the_next_run(hub, get):
    name = largest(hub)
    hub.cut_after[name] = 0
    hub.cuts, shown = 10**9, []
    with pytest.raises(FetchError, match=r'cannot reach the hub at .* it goes on from here'):
        get()
    (part,) = stored_folder(REPO).glob('.*.part')
    part.write_bytes(hub.files[name][:5000])
    hub.requests.clear()
    hub.cut_after.clear()
    load_roma(get(on_progress=lambda *args: shown.append(args)))
    assert ('bytes=5000-', [name]) == (hub.requests[-1][1], hub.downloads)
    assert shown[-1][1] == shown[-1][2] == sum(f['size'] for f in manifest_files())
    assert all(a[1] <= b[1] for a, b in pairwise(shown))


def manifest_files() -> list[dict]:
    return manifest(stored_folder(REPO))['files']


def test_a_hub_that_ignores_ranges_is_read_from_the_begin(hub, get):
    name = largest(hub)
    hub.cut_after[name], hub.cuts, hub.ignores_range = 1000, 1, True
    assert (get() / name).read_bytes() == hub.files[name]


def test_what_is_complete_is_not_asked_for_again_and_what_was_damaged_is(hub, get):
    folder = get()
    hub.requests.clear()
    get()
    assert hub.downloads == []
    damaged = folder / largest(hub)
    damaged.write_bytes(damaged.read_bytes()[:-1] + b'?')
    get()
    assert hub.downloads == [damaged.name]


@pytest.mark.parametrize(
    ('repo_id', 'revision', 'message'),
    [
        ('robots/none', 'main', 'the hub knows no robots/none'),
        ('robots/gated', 'main', 'robots/gated is gated: accept its terms'),
        (REPO, 'nightly', f"{REPO} has no revision 'nightly'"),
    ],
)
def test_what_the_hub_does_not_give_is_explained(hub, repo_id, revision, message):
    with pytest.raises(FetchError, match=message):
        fetch_checkpoint(repo_id, revision=revision, endpoint=hub.url)


@pytest.mark.parametrize('name', ['', 'roma', 'a/b/c', '../b', 'a/..', 'a b/c', '/a/b', 'a/b\n'])
def test_other_names_are_no_repository(name):
    with pytest.raises(ValueError, match='write it as owner/name'):
        fetch_checkpoint(name)


def test_a_repository_without_safetensors_is_refused(hub, get):
    hub.stated = {k: v for k, v in hub.stated.items() if not k.endswith('.safetensors')}
    with pytest.raises(FetchError, match=r'holds no model\*\.safetensors'):
        get()


def test_a_full_disk_is_told_before_anything_large_is_asked_for(hub, get, monkeypatch):
    usage = fetch.shutil.disk_usage('/')
    monkeypatch.setattr(fetch.shutil, 'disk_usage', lambda path: usage._replace(free=1000))
    with pytest.raises(FetchError, match=r'GB are to be downloaded and 0\.0 GB are free'):
        get()
    assert hub.downloads == ['model.safetensors.index.json']


def roma(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    code = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
    return subprocess.run(
        [sys.executable, '-c', code, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_command_fetches_and_says_what_to_run(hub):
    done = roma('fetch', REPO, HF_ENDPOINT=hub.url)
    assert done.returncode == 0, done.stderr
    assert f'{REPO} at commit {COMMIT}: {stored_folder(REPO)}' in done.stdout
    assert f'roma run --model {REPO}' in done.stdout
    assert '100%' in done.stderr or '%' in done.stderr
    load_roma(REPO)


def test_the_command_says_what_is_wrong(hub):
    hub.close()
    done = roma('fetch', REPO, HF_ENDPOINT=hub.url)
    assert done.returncode == 1
    assert f'roma fetch: cannot reach the hub at {hub.url}' in done.stderr
    offline = roma('fetch', REPO, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE='1')
    assert 'HF_HUB_OFFLINE is set: unset it to fetch' in offline.stderr
    assert 'Traceback' not in done.stderr + offline.stderr


def test_a_folder_goes_before_a_stored_checkpoint(hub, get, monkeypatch, tmp_path):
    get()
    monkeypatch.chdir(tmp_path)
    (tmp_path / REPO).mkdir(parents=True)
    assert find_checkpoint(REPO) == Path(REPO)


def test_without_roma_home_checkpoints_lie_where_data_lies(monkeypatch, tmp_path):
    monkeypatch.delenv('ROMA_HOME', raising=False)
    monkeypatch.setenv('XDG_DATA_HOME', str(tmp_path))
    assert stored_folder(REPO) == tmp_path / 'roma_ros' / 'models' / 'robots' / 'small'
    monkeypatch.delenv('XDG_DATA_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert stored_folder(REPO).is_relative_to(tmp_path / '.local' / 'share' / 'roma_ros')
