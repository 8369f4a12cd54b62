"""Where fetched checkpoints lie, and how a name becomes a folder; nothing here uses a network."""

import os
from pathlib import Path
import re

#: Written last into a fetched folder: what it is, file by file. Without it, it is not complete.
MANIFEST_NAME = 'roma_fetch.json'
#: Keys of the parts of a Qwen2.5-Omni that make its own voice; this project never loads them.
VOICE_PREFIXES = ('talker.', 'token2wav.')
_REPO_ID = re.compile(r'[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*', re.ASCII)


def is_repo_id(name: str) -> bool:
    """Say whether a name is written as a hub repository's: ``owner/name``."""
    return _REPO_ID.fullmatch(name) is not None


def roma_home() -> Path:
    """
    Return where this package keeps what is too large to install.

    ``$ROMA_HOME``; without that variable ``~/.local/share/roma_ros``, as the XDG base directories
    say.
    """
    data = Path(os.environ.get('XDG_DATA_HOME') or Path.home() / '.local' / 'share')
    return Path(os.environ.get('ROMA_HOME') or data / 'roma_ros')


def stored_folder(repo_id: str) -> Path:
    """Return where a repository's checkpoint is stored, whether or not it is there."""
    return roma_home() / 'models' / repo_id


def find_checkpoint(path_or_repo_id: str | Path) -> Path:
    """
    Return the folder of a checkpoint.

    :param path_or_repo_id: a folder, or ``owner/name`` of one that was fetched; a folder of that
        name goes first.
    :raises FileNotFoundError: when there is none; it says what to do.
    """
    path = Path(path_or_repo_id)
    if path.is_dir():
        return path
    name = str(path_or_repo_id)
    if not is_repo_id(name):
        raise FileNotFoundError(
            'no such checkpoint folder; give the folder that holds config.json, tokenizer.json '
            f'and *.safetensors, or the owner/name of a fetched one: {path}'
        )
    folder = stored_folder(name)
    if not (folder / MANIFEST_NAME).is_file():
        state = 'has not been fetched to the end' if folder.is_dir() else 'is not stored'
        raise FileNotFoundError(
            f'{name} {state} on this machine, and no folder has that name; '
            f'run `roma fetch {name}`: {folder}'
        )
    return folder
