"""Somebody who claps: drawn pictures of two hands, and the sound, on one clock."""

import numpy as np

RATE_HZ = 48_000
WIDTH, HEIGHT = 96, 72
#: How long hands come together, stay so, and go apart again [s].
COMING_S, HELD_S, GOING_S = 0.15, 0.4, 0.5


def clap_times(num_claps, *, every_s=1.9, seed=0):
    """Return when the hands meet [s]: never in step with the pictures."""
    jitter = np.random.default_rng(seed).uniform(-0.15, 0.15, num_claps)
    return 1.5 + every_s * np.arange(num_claps) + jitter


def draw(time_s, claps_s, *, rebound=False):
    """Return the picture at a time, uint8 RGB: two hands, 40 px apart at rest."""
    apart = 1.0
    for clap_s in claps_s[np.abs(claps_s - time_s) < 1]:
        since = time_s - clap_s
        if -COMING_S <= since < 0:
            apart = min(apart, (since / -COMING_S) ** 0.8)  # faster at the end
        elif rebound and since >= 0:
            apart = min(apart, since / COMING_S)
        elif 0 <= since < HELD_S:
            apart = 0.0
        elif HELD_S <= since < HELD_S + GOING_S:
            apart = min(apart, (since - HELD_S) / GOING_S)
    image = np.full((HEIGHT, WIDTH, 3), 70, np.uint8)
    for side in (-1, 1):
        middle = WIDTH / 2 + side * (7 + 20 * apart)
        # Edges between two pixels are half of each, as a camera sees them.
        columns = np.clip(7.5 - np.abs(np.arange(WIDTH) + 0.5 - middle), 0, 1)
        image[20:52] = (image[20:52] * (1 - columns[:, None]) + 210 * columns[:, None]).astype(
            np.uint8
        )
    return image


def pictures(claps_s, *, fps=30.0, late_s=0.0, noise=2.0, seed=1, **how):
    """Yield stamp [ns] and image; the stamp is late, as a driver's may be."""
    rng = np.random.default_rng(seed)
    grain = rng.normal(0, noise, (8, HEIGHT, WIDTH, 3)).astype(np.float32)
    for index in range(int((claps_s[-1] + 1.5) * fps)):
        image = draw(index / fps, claps_s, **how) + grain[rng.integers(len(grain))]
        yield round((index / fps + late_s) * 1e9), np.clip(image, 0, 255).astype(np.uint8)


def sound(claps_s, *, late_s=0.0, noise=0.003, seed=2):
    """Return the stamp of the first sample [ns], and float32 ``[n, 1]`` at 48 kHz."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, noise, int((claps_s[-1] + 1.5) * RATE_HZ))
    ring = np.arange(int(0.2 * RATE_HZ)) / RATE_HZ
    for clap_s in claps_s:
        start = int(np.ceil(clap_s * RATE_HZ))
        bang = 0.6 * np.exp(-ring / 0.01) * rng.normal(0, 1, ring.size)
        bang[0] = 0.9
        samples[start : start + ring.size] += bang
    return round(late_s * 1e9), np.clip(samples, -1, 1).astype(np.float32)[:, None]
