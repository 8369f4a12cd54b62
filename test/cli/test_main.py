import subprocess
import sys

import pytest

from roma_ros import __version__

VERBS = ('run', 'watch', 'web', 'sync-check', 'demo', 'fetch', 'bench', 'info', 'doctor')


@pytest.mark.parametrize('arguments', [('--help',), ('-h',), ('help',)])
def test_help_fits_a_screen_and_names_every_verb(roma, arguments):
    done = roma(*arguments)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 99
    for verb in VERBS:
        assert any(line.split()[:1] == [verb] for line in lines)


def test_version(roma):
    assert roma('--version').stdout == f'roma_ros {__version__}\n'


@pytest.mark.parametrize(('arguments', 'words'), [((), 'usage: roma VERB'), (('fly',), "'fly'")])
def test_no_verb_and_unknown_verb_are_usage_errors(roma, arguments, words):
    done = roma(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert not done.stdout


@pytest.mark.parametrize('verb', VERBS)
def test_each_verb_has_help(roma, verb):
    done = roma(verb, '--help')
    assert done.returncode == 0
    assert f'usage: roma {verb}' in done.stdout


@pytest.mark.parametrize('arguments', [['--help'], ['run', '--help'], ['demo', '--help']])
def test_help_imports_nothing_heavy(arguments):
    code = (
        'import sys\n'
        'from roma_ros.cli.main import main\n'
        'try:\n'
        f'    main({arguments})\n'
        'except SystemExit:\n'
        '    pass\n'
        "heavy = {'torch', 'transformers', 'rclpy', 'numpy', 'av', 'cv2'} & set(sys.modules)\n"
        'assert not heavy, heavy\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, cwd='/', capture_output=True)
