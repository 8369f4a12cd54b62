import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from roma_ros.msg import Status

from roma_ros.nodes.message_definitions import import_message, message_definition
from roma_ros.nodes.parameter_tables import RecorderParameters

TYPES = [entry.split()[1] for entry in RecorderParameters().topics]


@pytest.mark.parametrize('name', [*TYPES, 'sensor_msgs/msg/CompressedImage', 'std_msgs/msg/Bool'])
def test_a_definition_holds_all_that_is_needed_to_read_the_message(name):
    typesys = pytest.importorskip('rosbags.typesys', reason='rosbags is not installed')
    found = typesys.get_types_from_msg(message_definition(name), name)
    known = typesys.get_typestore(typesys.Stores.ROS2_KILTED)
    for part, (_, fields) in found.items():
        expected = import_message(part).get_fields_and_field_types()
        assert [field for field, _ in fields] == list(expected), part
        if part in known.fielddefs:
            assert fields == known.fielddefs[part][1], part
    # Nothing is left open: the store can serialize with these types alone.
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    store.register(found)
    store.generate_msgdef(name, ros_version=2)


def test_an_own_message_is_found_by_its_name():
    assert import_message('roma_ros/msg/Status') is Status


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        ('Image', "message type is 'Image', expected one like sensor_msgs/msg/Image"),
        ('roma_ros/srv/Ask', 'expected one like sensor_msgs/msg/Image'),
        ('roma_ros/msg/Song', "there is no message 'roma_ros/msg/Song'"),
        ('lost_msgs/msg/Key', 'is lost_msgs installed'),
    ],
)
def test_an_unknown_message_is_told(name, reason):
    with pytest.raises(ValueError, match=reason):
        import_message(name)
