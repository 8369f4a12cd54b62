"""A ROS graph of one's own: an environment in which nobody else is met."""

from collections.abc import Mapping
import os
import socket

# Domains that are safe on every system; 0 is everybody's.
_DOMAINS = range(1, 102)


def isolated_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """
    Return an environment with a free domain, reachable from this machine alone.

    :param environment: what to start from; the caller's own is left as it is.
    """
    from ..nodes.dds import set_dds_defaults

    isolated = dict(environment)
    isolated['ROS_DOMAIN_ID'] = str(free_domain_id())
    # Left to the DDS settings, which keep to this machine and carry images as well.
    isolated.pop('ROS_AUTOMATIC_DISCOVERY_RANGE', None)
    isolated.pop('ROS_LOCALHOST_ONLY', None)
    set_dds_defaults(isolated)
    return isolated


def free_domain_id() -> int:
    """
    Find a domain in which no participant runs on this machine.

    :raises RuntimeError: when all are in use.
    """
    # Two that start together begin to search at different places.
    start = os.getpid() % len(_DOMAINS)
    for domain_id in (*_DOMAINS[start:], *_DOMAINS[:start]):
        # Ports of discovery: multicast, and unicast of the first participant (RTPS 9.6.1.1).
        if all(_is_free(7400 + 250 * domain_id + offset) for offset in (0, 10)):
            return domain_id
    raise RuntimeError(f'all ROS domains from {_DOMAINS[0]} to {_DOMAINS[-1]} are in use')


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(('', port))
        except OSError:
            return False
    return True
