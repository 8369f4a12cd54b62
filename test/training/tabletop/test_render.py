import numpy as np
import pytest

from roma_ros.training.tabletop.generator import make_stream
from roma_ros.training.tabletop.render import Renderer, RGB
from roma_ros.training.tabletop.world import Path, Scene, Stripes, Thing, Track

SIZE = (320, 240)


def nearest_colors(pixels):
    """Return the name of the colour that each pixel is nearest to; grey is the background."""
    palette = {**RGB, 'grey': (128, 128, 128), 'shadow': (52, 50, 48)}
    distance = [np.abs(pixels.astype(int) - rgb).sum(axis=-1) for rgb in palette.values()]
    return np.array(list(palette))[np.argmin(distance, axis=0)]


def cut(frame, box):
    left, top, right, bottom = box
    height, width = frame.shape[:2]
    rows = slice(round(top * height), max(round(bottom * height), round(top * height) + 1))
    return frame[rows, round(left * width) : round(right * width)]


def test_a_thing_is_where_its_box_is_and_of_its_color():
    checked = 0
    for seed in range(14):
        stream = make_stream(seed, split='train', size=SIZE, plain=True, audible=False)
        for second in range(0, 16, 3):
            time_s = second + 0.5
            frame = stream.frame_at(time_s)
            names = nearest_colors(frame)
            things = stream.objects_at(time_s)
            colors = [o.color for o in things]
            for thing in things:
                if thing.visible < 0.95 or colors.count(thing.color) > 1:
                    continue
                inside = cut(names, thing.box) == thing.color
                whole = inside.sum() if thing.color == 'black' else (names == thing.color).sum()
                assert inside.mean() > 0.15, (seed, time_s, thing)
                assert inside.sum() > 0.9 * whole, (seed, time_s, thing)
                # The box is no larger than the thing: each of its sides is touched.
                drawn = np.abs(cut(frame, thing.box).astype(int) - 128).sum(axis=-1) > 60
                assert drawn[:3].any()
                assert drawn[:, :3].any()
                assert drawn[:, -3:].any()
                checked += 1
    assert checked > 50


def test_sizes_differ(streams):
    heights = {'small': [], 'big': []}
    for stream in streams[:60]:
        for thing in stream.objects_at(0.0):
            heights[thing.size].append(thing.box[3] - thing.box[1])
    assert max(heights['small']) < min(heights['big'])


def test_a_cover_hides_a_thing_from_frame_and_labels():
    for seed in range(40):
        stream = make_stream(seed, split='train', size=SIZE, plain=True, audible=False)
        for event in stream.events:
            if event.verb != 'is covered':
                continue
            before, after = event.time_s - 0.7, event.time_s
            box = next(
                o.box
                for o in stream.objects_at(before)
                if (o.shape, o.color) == (event.shape, event.color)
            )
            if event.color == 'black':  # as its cover's edge and shadow are
                continue
            shares = [
                (cut(nearest_colors(stream.frame_at(t)), box) == event.color).mean()
                for t in (before, after)
            ]
            assert shares[0] > 0.15
            assert shares[1] < 0.02
            assert (event.shape, event.color) not in {
                (o.shape, o.color) for o in stream.objects_at(after)
            }
            return
    raise AssertionError('nothing was covered')


def test_visible_share_is_that_of_a_thing_halfway_out():
    shares = []
    for seed in range(60):
        stream = make_stream(seed, split='train', plain=True, audible=False)
        for event in stream.events:
            if event.verb == 'enters':
                for back_s in np.linspace(0.0, 0.5, 12):
                    for thing in stream.objects_at(event.time_s - back_s):
                        left, _, right, _ = thing.box
                        is_cut = left == 0.0 or right == 1.0
                        if (thing.shape, thing.color) == (event.shape, event.color):
                            shares.append((thing.visible, is_cut))
    assert any(0.3 < visible < 0.7 for visible, _ in shares)
    assert all(is_cut for visible, is_cut in shares if visible < 0.9)


def test_boxes_follow_the_shake_of_the_camera():
    moved = 0
    for seed in range(12):
        still = make_stream(seed, split='train', plain=True, audible=False)
        shaken = make_stream(seed, split='train', audible=False)
        pairs = zip(still.objects_at(0.0), shaken.objects_at(0.0), strict=True)
        for one, other in pairs:
            assert (one.thing, one.shape, one.color) == (other.thing, other.shape, other.color)
            distance = np.abs(np.subtract(one.box, other.box)).max()
            assert distance < 0.02
            moved += distance > 0
    assert moved


def test_frames_are_the_same_in_any_order():
    first, second = (make_stream(5, split='train', audible=False) for _ in range(2))
    times = [i / 2 for i in range(32)]
    forward = {t: first.frame_at(t) for t in times}
    backward = {t: second.frame_at(t) for t in reversed(times)}
    for t in times:
        np.testing.assert_array_equal(forward[t], backward[t])


@pytest.mark.parametrize('size', [(160, 120), (320, 240), (640, 480)])
def test_frames_have_the_size_asked_for(size):
    frame = make_stream(1, split='train', size=size, audible=False).frame_at(3.0)
    assert frame.shape == (size[1], size[0], 3)
    assert frame.dtype == np.uint8


@pytest.mark.parametrize('size', [(160, 100), (40, 30)])
def test_size_must_be_that_of_the_world(size):
    with pytest.raises(ValueError, match='expected 4:3, 80x60 or more'):
        make_stream(1, split='train', size=size, audible=False)


@pytest.mark.parametrize('shape', ['box', 'ball', 'cone', 'star', 'ring'])
def test_a_striped_thing_has_both_colors_and_its_outline(shape):
    def names(stripes):
        thing = Thing(0, shape, '' if stripes else 'red', 'big', stripes)
        path = Path(thing, Track(0.6), Track(0.5))
        renderer = Renderer(
            Scene(1, (path,), (), (), 0.9),
            np.random.default_rng(0),
            split='train',
            size=SIZE,
            plain=True,
        )
        return nearest_colors(renderer.frame_at(0.5))

    red = names(None) == 'red'
    striped = names(Stripes((RGB['red'], RGB['blue']), angle=0.4, width=0.4, phase=1.0))

    is_red, is_blue = striped == 'red', striped == 'blue'
    assert 0.2 < is_red.sum() / red.sum() < 0.8
    assert 0.2 < is_blue.sum() / red.sum() < 0.8
    assert not (is_red & ~red).any()
