import os
import socket

from roma_ros.cli.isolation import free_domain_id, isolated_environment


def test_domain_in_use_is_left_alone():
    first = free_domain_id()
    assert 1 <= first <= 101
    for offset in (0, 10):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
            taken.bind(('127.0.0.1', 7400 + 250 * first + offset))
            assert free_domain_id() != first
    assert free_domain_id() == first


def test_environment_is_a_copy_that_keeps_to_this_machine():
    before = dict(os.environ)
    outside = {
        'PATH': '/bin',
        'ROS_DOMAIN_ID': '0',
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET',
        'ROS_LOCALHOST_ONLY': '0',
    }
    isolated = isolated_environment(outside)
    assert os.environ == before
    assert outside['ROS_DOMAIN_ID'] == '0'
    assert isolated['PATH'] == '/bin'
    assert 1 <= int(isolated['ROS_DOMAIN_ID']) <= 101
    assert 'ROS_AUTOMATIC_DISCOVERY_RANGE' not in isolated
    assert isolated['FASTDDS_DEFAULT_PROFILES_FILE'].endswith('fastdds_localhost.xml')


def test_other_middleware_keeps_to_this_machine_too():
    isolated = isolated_environment({'RMW_IMPLEMENTATION': 'rmw_cyclonedds_cpp'})
    assert isolated['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
