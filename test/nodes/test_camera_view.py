import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from sensor_msgs.msg import Image

from roma_ros.nodes.camera_view import CameraView, place_beside
from roma_ros.nodes.conversions import fill_image

#: Two rows of three pixels, each of its own grey.
PIXELS = np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, axis=2)


def message(pixels):
    image = Image()
    fill_image(image, pixels)
    return image


def grey(value, height, width):
    return np.full((height, width, 3), value, dtype=np.uint8)


@pytest.mark.parametrize(
    ('rotation_deg', 'rows'),
    [
        (0, [[0, 1, 2], [3, 4, 5]]),
        (90, [[3, 0], [4, 1], [5, 2]]),
        (180, [[5, 4, 3], [2, 1, 0]]),
        (270, [[2, 5], [1, 4], [0, 3]]),
    ],
)
def test_turns_clockwise(rotation_deg, rows):
    view = CameraView(rotation_deg=rotation_deg)
    assert view.frame(message(PIXELS))()[..., 0].tolist() == rows


def test_others_stand_in_a_column_and_keep_their_shape():
    picture = place_beside(grey(9, 8, 12), [grey(1, 4, 4), grey(2, 100, 600), None])
    assert picture.shape == (8, 18, 3)
    assert (picture[:, :12] == 9).all()
    column = picture[:, 12:, 0]
    assert (column[0:3, 0:3] == 1).all()
    assert (column[0:3, 3:] == 0).all()
    assert (column[3, :] == 2).all()
    assert (column[4:, :] == 0).all()


def test_shows_the_other_cameras_as_they_were():
    view = CameraView(num_others=1)
    before = view.frame(message(grey(9, 4, 4)))
    view.note_other(0, message(grey(7, 4, 2)))
    after = view.frame(message(grey(9, 4, 4)))
    view.note_other(0, Image(encoding='rgb8', width=9, height=9, step=1))
    corrupt = view.frame(message(grey(9, 4, 4)))
    assert [frame()[0, 4, 0] for frame in (before, after, corrupt)] == [0, 7, 0]


def test_a_corrupt_main_image_is_an_error():
    with pytest.raises(ValueError, match='step'):
        CameraView(num_others=1).frame(Image(encoding='rgb8', width=9, height=9, step=1))()
