"""What the running node and its page listen on, as the kernel says."""

from contextlib import suppress
from ipaddress import ip_address
import os
from pathlib import Path
import re
import sys

import pytest

CODE = 'import sys; from roma_ros.cli.main import main; sys.exit(main())'
_TCP_LISTEN = '0A'


def sockets(pid):
    """Return the addresses and ports that a process can be reached at: (kind, address, port)."""
    links = []
    for path in Path(f'/proc/{pid}/fd').iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(path))
    inodes = {match[1] for link in links if (match := re.fullmatch(r'socket:\[(\d+)\]', link))}
    found = set()
    for kind in ('tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6'):
        for line in Path(f'/proc/{pid}/net/{kind}').read_text().splitlines()[1:]:
            words = line.split()
            if words[9] in inodes and (kind[:3] != 'tcp' or words[3] == _TCP_LISTEN):
                found.add((kind, *_parse(words[1])))
    return found


def _parse(text):
    """Read an address as the kernel writes it: words of four bytes, little-endian."""
    address, port = text.split(':')
    words = bytes.fromhex(address)
    data = b''.join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
    return ip_address(data), int(port, 16)


def test_sockets_are_found_as_they_are():
    import socket

    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(('0.0.0.0', 0))
        tcp.listen()
        udp.bind(('127.0.0.1', 0))
        found = sockets(os.getpid())
        assert ('tcp', ip_address('0.0.0.0'), tcp.getsockname()[1]) in found
        assert ('udp', ip_address('127.0.0.1'), udp.getsockname()[1]) in found
    assert not ip_address('0.0.0.0').is_loopback


@pytest.mark.ros
def test_nothing_listens_beyond_this_machine(robot, robot_environment):
    from robot import Process

    web = Process([sys.executable, '-c', CODE, 'web', '--port', '0'], robot_environment)
    port = int(re.search(r':(\d+)/', web.wait_for('open http'))[1])
    found = {name: sockets(process.pid) for name, process in {**robot, 'web': web}.items()}
    assert ('tcp', ip_address('127.0.0.1'), port) in found['web']
    for name, addresses in found.items():
        assert any(kind == 'udp' for kind, _, _ in addresses), name  # DDS
        beyond = [entry for entry in addresses if not entry[1].is_loopback]
        assert beyond == [], name
    assert web.stop() == 0
