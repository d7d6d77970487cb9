"""Scripted walkers: each kind is a generator of commanded motions that reads the true state of its body.

A motion is (yaw degrees, right, forward): turn right by yaw, then move along the new axes, lengths in Doom map units.
Kinds: walk, out_and_back, turn_around, spin, square, detour, wall.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from li_env.doom.space import FreeSpace

Motion = tuple[float, float, float]
Explorer = Iterator[Motion]

STEP, TURN = 24.0, 15.0
"""The motion of a held key: map units and degrees per latent."""

_AROUND = np.arange(24) * TURN


@dataclass
class Body:
    """Walker. ``heading`` is a Doom angle in degrees; ``touching`` says that a wall cut the last step short.

    ``stride`` and ``turn`` are None for a walker that keeps to whole keys (`STEP`, `TURN`), otherwise ranges from
    which every step is drawn.
    """

    x: float
    y: float
    heading: float
    space: FreeSpace
    rng: np.random.Generator
    left: int
    touching: bool = False
    stride: tuple[float, float] | None = None
    turn: tuple[float, float] | None = None

    def step(self) -> float:
        """Draw the length of the next step."""
        return STEP if self.stride is None else float(self.rng.uniform(*self.stride))

    def angle(self) -> float:
        """Draw the size of the next turn."""
        return TURN if self.turn is None else float(self.rng.uniform(*self.turn))

    def clear(self, yaws: np.ndarray | list[float], limit: float = 400.0) -> np.ndarray:
        """Measure the clearance ahead after turning right by each of ``yaws`` degrees, up to ``limit``."""
        return self.space.clear_lengths((self.x, self.y), np.radians(self.heading - np.asarray(yaws)), limit)

    def chance(self, probability: float) -> bool:
        """Draw True with this probability."""
        return bool(self.rng.random() < probability)

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number in low .. high, both included."""
        return int(self.rng.integers(low, max(low, high) + 1))

    def side(self) -> int:
        """Draw -1 or 1."""
        return -1 if self.rng.random() < 0.5 else 1


def _rotate(body: Body, degrees: float) -> Explorer:
    """Turn by ``degrees`` in turns of the body's size; the last turn takes what is left."""
    rest = degrees
    while abs(rest) > 1e-3:
        size = min(abs(rest), body.angle())
        rest -= math.copysign(size, rest)
        yield math.copysign(size, degrees), 0.0, 0.0


def _replay(motions: list[Motion]) -> Explorer:
    yield from motions


def _choose_yaw(body: Body, need: float, tidy: float) -> float:
    """Draw a turn in whole keys towards clear space; a larger ``tidy`` prefers smaller turns."""
    clear = body.clear(_AROUND)
    turned = np.minimum(_AROUND, 360 - _AROUND)
    weights = np.where(clear >= need, np.minimum(clear, 320.0), 1e-3) * np.exp(-tidy * turned / 90)
    yaw = float(_AROUND[body.rng.choice(24, p=weights / weights.sum())])
    return yaw if yaw <= 180 else yaw - 360


def walk(body: Body) -> Explorer:
    """Walk mostly forward with turns; also strafe, walk backwards, look around, stand and touch walls."""
    while True:
        yaw = _choose_yaw(body, 48.0, 1.2)
        if body.turn is not None:
            yaw += float(body.rng.uniform(-7, 7))
        if body.chance(0.25) and abs(yaw) <= 90 and float(body.clear([0.0])[0]) > 100:  # a curve: turn while walking
            for motion in _rotate(body, yaw):
                yield motion[0], 0.0, body.step()
        else:
            yield from _rotate(body, yaw)
        room = float(body.clear([0.0])[0])
        steps = body.whole(1, max(1, int(room / STEP)))
        if body.chance(0.25):
            steps = int(room / STEP) + body.whole(1, 4)  # into the wall and along it
        for _ in range(min(steps, 14)):
            yield 0.0, 0.0, body.step()
        habit = body.rng.random()
        if habit < 0.14:
            side = body.side()
            slanted = body.chance(0.3)
            for _ in range(body.whole(2, 6)):
                yield 0.0, side * body.step() * (0.7 if slanted else 1.0), body.step() * 0.7 if slanted else 0.0
        elif habit < 0.24:
            for _ in range(body.whole(2, 7)):
                yield 0.0, 0.0, -body.step()
        elif habit < 0.28:
            for _ in range(body.whole(1, 3)):
                yield 0.0, 0.0, 0.0
        elif habit < 0.36:
            look = body.side() * TURN * body.whole(2, 6)
            yield from _rotate(body, look)
            yield from _rotate(body, -look)
        elif habit < 0.40:  # circle strafe
            side = body.side()
            for _ in range(body.whole(3, 10)):
                yield -side * body.angle(), side * body.step(), 0.0


def _leg(body: Body, length: int) -> Iterator[Motion]:
    """Make at most ``length`` pure turns and pure steps along clear space."""
    used = 0
    while used < length:
        yaw = _choose_yaw(body, 72.0, 1.5) if used or body.chance(0.5) else 0.0
        for motion in _rotate(body, yaw):
            if used >= length:
                return
            used += 1
            yield motion
        room = int((float(body.clear([0.0])[0]) - 8) / STEP)
        straight = body.chance(0.35)
        steps = room if straight else body.whole(min(1, room), min(room, 9))
        sideways = body.chance(0.1)
        if sideways:
            right = float(body.clear([90.0])[0])
            steps = min(body.whole(1, 4), int((right - 8) / STEP))
        for _ in range(max(0, steps)):
            if used >= length:
                return
            used += 1
            yield (0.0, body.step(), 0.0) if sideways else (0.0, 0.0, body.step())


def _leg_length(body: Body, spare: int) -> int:
    half = max(3, (body.left - spare) // 2)
    return half if body.chance(0.5) else body.whole(min(4, half), min(half, 24))


def out_and_back(body: Body) -> Explorer:
    """Go out along clear space and back over the same poses, either walking backwards or after turning round."""
    while True:
        backwards = body.chance(0.6)
        out: list[Motion] = []
        for motion in _leg(body, _leg_length(body, 0 if backwards else 12)):
            out.append(motion)
            yield motion
        if backwards:  # pure turns and pure steps, so undoing them one by one is exact
            yield from _replay([(-yaw, -right, -forward) for yaw, right, forward in reversed(out)])
        else:
            side = body.side()
            yield from _rotate(body, side * 180.0)
            yield from _replay([(-yaw, right, forward) for yaw, right, forward in reversed(out)])
            if body.chance(0.7):
                yield from _rotate(body, body.side() * 180.0)


def turn_around(body: Body) -> Explorer:
    """Go straight out, turn round and return beside the old line, so that known ground is seen from offset poses."""
    while True:
        yaw = _choose_yaw(body, 120.0, 0.7)
        yield from _rotate(body, yaw)
        room = int((float(body.clear([0.0])[0]) - 8) / STEP)
        steps = body.whole(min(2, max(room, 1)), max(1, min(room, 12)))
        for _ in range(steps):
            yield 0.0, 0.0, body.step()
        side = body.side()
        offset = body.whole(0, 3)
        if body.chance(0.5):
            yield from _rotate(body, side * (180.0 + float(body.rng.choice([-15, 0, 0, 15]))))
            for _ in range(offset):
                yield 0.0, side * body.step(), 0.0
            for _ in range(steps):
                yield 0.0, 0.0, body.step()
        else:
            for _ in range(offset):
                yield 0.0, side * body.step(), 0.0
            for _ in range(steps):
                yield 0.0, 0.0, -body.step()
            yield from _rotate(body, -side * TURN * body.whole(0, 4))
        if body.chance(0.5):
            yield from _rotate(body, body.side() * 180.0)


def spin(body: Body) -> Explorer:
    """Turn full circles in place, sometimes also back, then walk a little and repeat."""
    while True:
        side = body.side()
        turns = float(body.rng.choice([360.0, 360.0, 360.0, 720.0, 180.0]))
        yield from _rotate(body, side * turns)
        if body.chance(0.3):
            yield from _rotate(body, -side * float(body.rng.choice([90.0, 180.0, 360.0])))
        yield from _rotate(body, _choose_yaw(body, 48.0, 1.0))
        for _ in range(body.whole(0, 6)):
            yield 0.0, 0.0, body.step()


def square(body: Body) -> Explorer:
    """Walk rectangles that end where they began, turning at the corners or with a constant heading (strafing)."""
    while True:
        side, best, sizes = body.side(), 0.0, (STEP, STEP)
        yaw = 0.0
        ahead, across = body.clear(_AROUND), None
        for k in body.rng.permutation(24):
            across = float(ahead[(k + 6 * side) % 24])
            width, depth = min(float(ahead[k]), 288.0) - 8, min(across, 288.0) - 8
            if min(width, depth) > best:
                best, sizes, yaw = min(width, depth), (width, depth), float(_AROUND[k])
            if best >= 144:
                break
        yield from _rotate(body, yaw if yaw <= 180 else yaw - 360)
        first, second = (max(1, int(size / STEP)) for size in sizes)
        first, second = body.whole(min(2, first), first), body.whole(min(2, second), second)
        stride = body.step()
        if body.chance(0.3):
            for right, forward, count in ((0, 1, first), (side, 0, second), (0, -1, first), (-side, 0, second)):
                for _ in range(count):
                    yield 0.0, right * stride, forward * stride
        else:
            for _ in range(body.whole(1, 2)):
                for count in (first, second, first, second):
                    for _ in range(count):
                        yield 0.0, 0.0, stride
                    yield from _rotate(body, side * 90.0)
        if body.chance(0.4):
            yield from _rotate(body, body.side() * float(body.rng.choice([90.0, 180.0])))


def _go_to(body: Body, goal: tuple[float, float]) -> Explorer:
    """Walk a clear path to ``goal``: turn to each corner (last turn partial), last step partial."""
    for corner in body.space.route((body.x, body.y), goal):
        for _ in range(60):
            dx, dy = corner[0] - body.x, corner[1] - body.y
            distance = math.hypot(dx, dy)
            if distance < 1.0:
                break
            yaw = (body.heading - math.degrees(math.atan2(dy, dx)) + 180) % 360 - 180
            if abs(yaw) > 0.5:
                yield from _rotate(body, yaw)
            yield 0.0, 0.0, min(body.step(), distance)


def _far_position(body: Body, reach: float) -> tuple[float, float]:
    """Choose, from a few free positions, one at a walking distance of about ``reach``."""
    goals = sorted((body.space.sample(body.rng) for _ in range(12)), key=lambda goal: abs(_gap(body, goal) - reach))
    for goal in goals[:3]:
        path = [(body.x, body.y), *body.space.route((body.x, body.y), goal)]
        if 0.4 * reach < sum(math.dist(a, b) for a, b in pairwise(path)) < 1.4 * reach:
            return goal
    return min(goals, key=lambda goal: _gap(body, goal))


def _gap(body: Body, goal: tuple[float, float]) -> float:
    return math.dist((body.x, body.y), goal)


def detour(body: Body) -> Explorer:
    """Walk a long detour over one or two far positions and back to the first pose exactly."""
    body.turn = None  # slow turns would use up the walk before it is back
    while True:
        home, heading = (body.x, body.y), body.heading
        stops = body.whole(1, 2)
        # turns take more than half of the steps
        reach = 0.38 * body.left * (STEP if body.stride is None else sum(body.stride) / 2) / (stops + 1)
        for _ in range(stops):
            yield from _go_to(body, _far_position(body, reach))
        yield from _go_to(body, home)
        yield from _rotate(body, (body.heading - heading + 180) % 360 - 180)
        yield 0.0, 0.0, 0.0


def wall(body: Body) -> Explorer:
    """Walk straight into walls at all angles, push on, slide along them and step away again."""
    while True:
        clear = body.clear(_AROUND)
        near = np.flatnonzero(clear < 200)
        k = int(body.rng.choice(near)) if len(near) else int(clear.argmin())
        yaw = float(_AROUND[k]) + (0.0 if body.turn is None else float(body.rng.uniform(-7, 7)))
        yield from _rotate(body, yaw if yaw <= 180 else yaw - 360)
        for _ in range(16):
            yield 0.0, 0.0, body.step()
            if body.touching:
                break
        draw = body.rng.random()
        for _ in range(body.whole(1, 6)):  # pushing on slides along a wall that is not met head on
            if draw < 0.5:
                yield 0.0, 0.0, body.step()
            elif draw < 0.75:
                yield body.side() * body.angle(), 0.0, body.step()
            else:
                yield 0.0, body.side() * body.step(), body.step() * 0.5
        if body.chance(0.5):
            for _ in range(body.whole(1, 5)):
                yield 0.0, 0.0, -body.step()


EXPLORERS: dict[str, Callable[[Body], Explorer]] = {
    "walk": walk,
    "out_and_back": out_and_back,
    "turn_around": turn_around,
    "spin": spin,
    "square": square,
    "detour": detour,
    "wall": wall,
}

KINDS = tuple(EXPLORERS)
"""Names of the explorers; datasets store an index into this tuple."""
