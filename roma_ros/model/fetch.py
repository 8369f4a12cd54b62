"""
Getting a checkpoint from the Hugging Face hub: the only place that asks it for anything.

A revision is resolved to a commit first, and every file is compared with what the hub states of
that commit: sha256 of large files, git's object id of small ones. Only data is taken: weights as
safetensors, configurations and tokenizers. Nothing that could be executed is ever asked for.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
import errno
from fnmatch import fnmatchcase
import hashlib
import json
import os
from pathlib import Path
import shutil
import time

from huggingface_hub import constants, hf_hub_url, HfApi
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from .store import is_repo_id, MANIFEST_NAME, stored_folder, VOICE_PREFIXES

_PATTERNS = (
    'config.json',
    '*processor_config.json',
    'tokenizer*.json',
    'special_tokens_map.json',
    'added_tokens.json',
    'vocab.json',
    'merges.txt',
    'model*.safetensors',
    'model*.safetensors.index.json',
    'LICENSE*',
)
#: The errors of whichever HTTP library the installed huggingface_hub is built on.
_HttpError: type[Exception] = next(
    c for c in HfHubHTTPError.__mro__ if c.__module__.startswith('httpx')
)
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 2**20
#: A broken connection is taken up again so often in a row.
_MAX_RETRIES = 4
_RETRY_WAIT_S = 1.0


class FetchError(OSError):
    """A checkpoint could not be fetched; the text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """
    One file of a checkpoint.

    :param name: in the repository, and in the folder.
    :param size: [bytes].
    :param sha256: of the content, hexadecimal.
    """

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    name: str
    size: int
    sha256: str | None
    blob_id: str | None


def fetch_checkpoint(
    repo_id: str,
    *,
    revision: str = 'main',
    folder: str | Path | None = None,
    endpoint: str | None = None,
    on_progress: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> Path:
    """
    Download a checkpoint, or what is still missing of it.

    :param repo_id: ``owner/name`` on the hub.
    :param revision: branch, tag or commit; a commit pins what is got.
    :param folder: where to; None: where ``load_roma(repo_id)`` looks.
    :param endpoint: of the hub; None: ``$HF_ENDPOINT``, or the public one.
    :param on_progress: called with a file's name, and how many of all bytes are here.
    :return: the folder. ``roma_fetch.json`` in it names the commit and each file's sha256.
    :raises ValueError: when the name is no repository's.
    :raises FetchError: when something is not there, not what the hub says that it is, or does
        not fit on the disk. What is complete stays, and the next call goes on from there.
    """
    if not is_repo_id(repo_id):
        raise ValueError(f'{repo_id!r} is no repository; write it as owner/name')
    target = stored_folder(repo_id) if folder is None else Path(folder)
    try:
        commit, wanted = _look_up(repo_id, revision, endpoint)
        target.mkdir(parents=True, exist_ok=True)
        (target / MANIFEST_NAME).unlink(missing_ok=True)
        wanted = _without_voice(repo_id, commit, wanted, target, endpoint)
        total = sum(file.size for file in wanted)
        _check_disk(wanted, target)
        done = 0
        files = []
        for file in wanted:

            def report(size: int, *, name: str = file.name, before: int = done) -> None:
                on_progress(name, before + size, total)

            files.append(_fetch_file(repo_id, commit, file, target, endpoint, report))
            done += file.size
    except FetchError:
        raise
    except (_HttpError, OSError) as error:
        raise _explained(error, repo_id, revision, endpoint) from error
    manifest = {'repo': repo_id, 'commit': commit, 'files': [asdict(file) for file in files]}
    temporary = target / f'.{MANIFEST_NAME}.part'
    temporary.write_text(json.dumps(manifest, indent=2) + '\n', encoding='utf-8')
    os.replace(temporary, target / MANIFEST_NAME)
    return target


def _look_up(repo_id: str, revision: str, endpoint: str | None) -> tuple[str, list[_Wanted]]:
    """Return the commit of a revision, and its files of the kinds that are taken."""
    info = HfApi(endpoint=endpoint).model_info(
        repo_id, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
    )
    wanted = [
        _Wanted(
            name=file.rfilename,
            size=file.size or 0,
            sha256=file.lfs.sha256 if file.lfs else None,
            blob_id=file.blob_id,
        )
        for file in info.siblings or ()
        if any(fnmatchcase(file.rfilename, pattern) for pattern in _PATTERNS)
        and '/' not in file.rfilename
    ]
    if info.sha is None or not any(file.name.endswith('.safetensors') for file in wanted):
        raise FetchError(
            f'{repo_id} at {revision} holds no model*.safetensors; other formats are not taken, '
            'since they can execute code'
        )
    return info.sha, sorted(wanted, key=lambda file: (file.size, file.name))


def _without_voice(
    repo_id: str, commit: str, wanted: list[_Wanted], target: Path, endpoint: str | None
) -> list[_Wanted]:
    """Leave out shards that only hold the model's own voice, which is never loaded."""
    for file in wanted:
        if file.name == 'model.safetensors.index.json':
            _fetch_file(repo_id, commit, file, target, endpoint, lambda size: None)
            index = json.loads((target / file.name).read_text(encoding='utf-8'))
            weight_map: dict[str, str] = index['weight_map']
            needed = {n for key, n in weight_map.items() if not key.startswith(VOICE_PREFIXES)}
            return [f for f in wanted if not f.name.endswith('.safetensors') or f.name in needed]
    return wanted


def _check_disk(wanted: list[_Wanted], target: Path) -> None:
    missing = 0
    for file in wanted:
        places = (target / file.name, _part(target, file))
        present = max((place.stat().st_size for place in places if place.is_file()), default=0)
        missing += max(0, file.size - present)
    free = shutil.disk_usage(target).free
    if missing > free:
        raise FetchError(
            f'{missing / 1e9:.1f} GB are to be downloaded and {free / 1e9:.1f} GB are free; make '
            f'room, or choose another folder: {target}'
        )


def _fetch_file(
    repo_id: str,
    commit: str,
    file: _Wanted,
    target: Path,
    endpoint: str | None,
    report: Callable[[int], None],
) -> FetchedFile:
    """Make sure of one file; the hub is asked only for what is missing of it."""
    place, part = target / file.name, _part(target, file)
    if place.is_file():
        sha256 = _verified(place, file)
        if sha256 is not None:
            report(file.size)
            return FetchedFile(name=file.name, size=file.size, sha256=sha256)
    url = hf_hub_url(repo_id, file.name, revision=commit, endpoint=endpoint)
    _download(url, part, file.size, report)
    sha256 = _verified(part, file)
    if sha256 is None:
        part.unlink()
        raise FetchError(
            f'{file.name} is not what the hub states of commit {commit[:12]}: its checksum '
            f'differs; it was deleted. Run `roma fetch` again: {place}'
        )
    os.replace(part, place)
    return FetchedFile(name=file.name, size=file.size, sha256=sha256)


def _download(url: str, part: Path, size: int, report: Callable[[int], None]) -> None:
    """Append what is missing to a partial file; broken connections are taken up again."""
    retries = 0
    while True:
        have = part.stat().st_size if part.is_file() else 0
        if have == size:
            return
        try:
            _append(url, part, have if have < size else 0, report)
            return
        except HfHubHTTPError:
            raise
        except _HttpError:
            progressed = part.is_file() and part.stat().st_size > have
            retries = 0 if progressed else retries + 1
            if retries > _MAX_RETRIES:
                raise
            time.sleep(_RETRY_WAIT_S)


def _append(url: str, part: Path, have: int, report: Callable[[int], None]) -> None:
    # Of text, the hub would otherwise send other bytes than it states the size of.
    headers = {**build_hf_headers(), 'Accept-Encoding': 'identity'}
    if have:
        headers['Range'] = f'bytes={have}-'
    with get_session().stream(
        'GET', url, headers=headers, follow_redirects=True, timeout=_TIMEOUT_S
    ) as response:
        if response.is_error:
            response.read()  # what the hub says about it
        hf_raise_for_status(response)
        with part.open('ab' if response.status_code == 206 else 'wb') as stream:
            for chunk in response.iter_bytes():
                stream.write(chunk)
                report(stream.tell())


def _verified(path: Path, file: _Wanted) -> str | None:
    """Return the sha256 of a file that is what the hub states, None of one that is not."""
    size = path.stat().st_size
    if size != file.size:
        return None
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(b'blob %d\0' % size, usedforsecurity=False)
    with path.open('rb') as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha256.update(chunk)
            if file.sha256 is None:
                blob.update(chunk)
    if file.sha256 is not None:
        return file.sha256 if sha256.hexdigest() == file.sha256 else None
    return sha256.hexdigest() if blob.hexdigest() == file.blob_id else None


def _part(target: Path, file: _Wanted) -> Path:
    """Return where a file grows; its id is in the name, so that two versions are never mixed."""
    return target / f'.{file.name}.{(file.blob_id or "")[:12]}.part'


def _explained(error: Exception, repo_id: str, revision: str, endpoint: str | None) -> FetchError:
    """Return an error that says what to do."""
    if isinstance(error, GatedRepoError):
        return FetchError(
            f'{repo_id} is gated: accept its terms on the hub, and log in with `hf auth login`'
        )
    if isinstance(error, RevisionNotFoundError):
        return FetchError(f'{repo_id} has no revision {revision!r}: give a branch, tag or commit')
    if isinstance(error, RepositoryNotFoundError):
        return FetchError(
            f'the hub knows no {repo_id}, or shows it only to some: check the name, and log in '
            'with `hf auth login` where it is private'
        )
    if isinstance(error, OfflineModeIsEnabled):
        return FetchError('HF_HUB_OFFLINE is set: unset it to fetch')
    if isinstance(error, HfHubHTTPError):
        return FetchError(f'the hub answered with an error: {error}')
    if isinstance(error, _HttpError):
        return FetchError(
            f'cannot reach the hub at {endpoint or constants.ENDPOINT} '
            f'({type(error).__name__}: {error}); check the network or HF_ENDPOINT, and run '
            '`roma fetch` again: it goes on from here'
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FetchError(
            f'the disk is full; make room and run `roma fetch` again: {error.filename or ""}'
        )
    return FetchError(f'cannot store {repo_id}: {error}')
