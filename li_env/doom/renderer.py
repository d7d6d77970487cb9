"""Pictures of posed cameras in Doom maps, rendered by ViZDoom's software renderer without a display.

The camera is teleported, so a pose is reached exactly and at once. Facts and traps: docs/spec/platform.md, section 2.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import cv2
import numpy as np

from li_env.doom.engine_checks import EngineError, check_shared_memory, keep_descriptors
from li_env.doom.maps import map_name
from li_env.doom.watchdog import CONFIG_NAME, engines_of, forget_shared_memory, make_folder, remove_folder

FRAME_SIZE = (96, 128)
"""(height, width) of frames where nothing else is said."""
ANGLE_UNITS = 65536
"""Angles are whole 1/65536 turns."""

MAP_UNITS_PER_METRE = 32.0

# the engine's 8-bit depth, fitted to known wall distances (within 4 map units from 20 to 600)
_DEPTH_UNITS_PER_LEVEL, _DEPTH_OFFSET = 7.14, 8.5

_WARM_UP = 12  # the player ignores turns in the first tics of a map


class UnreachablePoseError(RuntimeError):
    """Pose that the engine cannot show, because no player can be there."""


def require_vizdoom() -> ModuleType:
    """Return the vizdoom package.

    Raises:
        ImportError: vizdoom is absent; the message names the extra to install.
    """
    try:
        import vizdoom
    except ImportError as error:
        raise ImportError('rendering Doom maps needs ViZDoom: pip install "li-env[doom]"') from error
    return vizdoom


def vizdoom_file(name: str) -> Path:
    """Return the path of a file that comes with the vizdoom package."""
    return Path(str(require_vizdoom().__file__)).parent / name


def angle_units(degrees: np.ndarray) -> np.ndarray:
    """Round Doom angles in degrees to whole 1/65536 turns, in [0, 65536)."""
    return np.round(np.asarray(degrees, dtype=np.float64) * (ANGLE_UNITS / 360.0)).astype(np.int64) % ANGLE_UNITS


def renderable_poses(poses: np.ndarray) -> np.ndarray:
    """Round poses [n, 3] (x, y, degrees) to what the game can show: whole map units and whole 1/65536 turns."""
    poses = np.asarray(poses, dtype=np.float64)
    return np.concatenate([np.round(poses[..., :2]), angle_units(poses[..., 2:]) * (360.0 / ANGLE_UNITS)], -1)


def _resolution(vizdoom: ModuleType, frame_size: tuple[int, int]) -> Any:
    """Return the engine's resolution for frames of a size."""
    height, width = frame_size
    found = getattr(vizdoom.ScreenResolution, f"RES_{2 * width}X{2 * height}", None)
    if found is None:
        raise ValueError(
            f"frame_size={list(frame_size)} is not allowed; the game has no {2 * width}x{2 * height} pixels"
        )
    return found


class DoomRenderer:
    """Game engine that shows the maps of one WAD file.

    Args:
        wad_path: a WAD with maps (`maps.write_wad`); None for the maps of freedoom2.wad itself.
        map_names: names of the maps by index; MAP01, MAP02, ... when left out.
        depth: whether `render` also gives depth.
        geometry: whether `geometry` may be called (costs time in every frame).
        frame_size: (height, width) of frames; the game draws four times as many pixels, which are averaged.

    Use as a context manager, or call `close`.
    """

    def __init__(
        self,
        wad_path: str | os.PathLike[str] | None,
        map_names: tuple[str, ...] | None = None,
        depth: bool = False,
        geometry: bool = False,
        frame_size: tuple[int, int] = FRAME_SIZE,
    ) -> None:
        vizdoom = require_vizdoom()
        resolution = _resolution(vizdoom, frame_size)
        path = None if wad_path is None else os.path.abspath(wad_path)
        if path is not None and not os.path.isfile(path):
            raise FileNotFoundError(f"no WAD file at {path}")
        check_shared_memory(geometry, 4 * frame_size[0] * frame_size[1])
        keep_descriptors()
        self._names = map_names
        self._map: str | None = None
        self._depth, self._frame_size = depth, frame_size
        self._angle = 0
        self._eyes: dict[str, float] = {}
        self._owner = os.getpid()
        self._game = game = vizdoom.DoomGame()
        self._folder = folder = make_folder()
        # Bound to no method of this object: it runs when the object is collected, and at the end of the program.
        self._stop = weakref.finalize(self, _stop, game, folder, self._owner)
        game.set_doom_game_path(str(vizdoom_file("freedoom2.wad")))
        if path is not None:
            game.set_doom_scenario_path(path)
        game.set_doom_config_path(os.path.join(folder, CONFIG_NAME))
        game.set_doom_map(self._name(0))
        game.set_screen_resolution(resolution)
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_depth_buffer_enabled(depth)
        game.set_sectors_info_enabled(geometry)
        game.set_objects_info_enabled(geometry)
        game.set_available_buttons([vizdoom.Button.TURN_LEFT_RIGHT_DELTA])
        game.set_button_max_value(vizdoom.Button.TURN_LEFT_RIGHT_DELTA, 0)
        names = ("CAMERA_POSITION_X", "CAMERA_POSITION_Y", "CAMERA_POSITION_Z", "CAMERA_ANGLE")
        game.set_available_game_variables([getattr(vizdoom.GameVariable, name) for name in names])
        hidden = ("hud", "weapon", "crosshair", "decals", "particles", "messages", "screen_flashes", "effects_sprites")
        for part in hidden:
            getattr(game, f"set_render_{part}")(False)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_mode(vizdoom.Mode.PLAYER)
        game.set_episode_timeout(0)
        # no monsters, and no text in the middle of the picture (such as on finding a secret)
        game.add_game_args("+sv_cheats 1 -nomonsters +cl_showsecretmessage 0")
        here = os.getcwd()
        _running.add(self)
        try:
            os.chdir(folder)  # the engine leaves files in the working directory
            try:
                game.init()
            finally:
                os.chdir(here)
        except _failures() as error:
            self.close()
            raise EngineError(f"the game engine does not start: {' '.join(str(error).split())[:200]}") from None
        except BaseException:
            self.close()
            raise
        # Both sides have the shared memory open; without its names nothing of it can be left over.
        for instance in engines_of([folder]).values():
            forget_shared_memory(instance)

    def _name(self, index: int) -> str:
        if self._names is None:
            return map_name(index)
        if not 0 <= index < len(self._names):
            raise ValueError(f"map_index {index} is not allowed; allowed: 0 .. {len(self._names) - 1}")
        return self._names[index]

    def enter(self, map_index: int) -> np.ndarray:
        """Load a map unless it is shown already; return the player's (x, y, eye height, degrees).

        All poses of a map must lie on one floor height: where `enter` first finds the player, or where `stand` put it.
        """
        name = self._name(map_index)
        if self._owner != os.getpid():
            raise EngineError("this game engine belongs to the process that forked this one: make another renderer")
        if not self._stop.alive:
            raise EngineError("this game engine has been closed")
        with _deaths_as_engine_errors():
            if name != self._map:
                self._game.set_doom_map(name)
                self._game.new_episode()
                self._game.send_game_command("god")
                self._game.advance_action(_WARM_UP)
                self._map = name
            state = np.array(self._game.get_state().game_variables)
        self._eyes.setdefault(name, float(state[2]))
        self._angle = int(angle_units(state[3]))
        return state

    def stand(self, map_index: int, x: int, y: int) -> float | None:
        """Put the player at (x, y) and expect that floor from then on.

        Returns:
            the eye height; None if no player can be there.
        """
        self.enter(map_index)
        state = self._show(x, y, self._angle)
        shown_x, shown_y, eye, _ = state.game_variables
        if (shown_x, shown_y) != (x, y):
            return None
        self._eyes[str(self._map)] = float(eye)
        return float(eye)

    def geometry(self, map_index: int) -> tuple[Any, Any]:
        """Return the sectors and objects of a map in vizdoom's own types; needs ``geometry=True``."""
        self.enter(map_index)
        state = self._game.get_state()
        return state.sectors, state.objects

    def render(self, map_index: int, poses: np.ndarray) -> Any:
        """Render poses [n, 3] (x, y in map units, degrees counter-clockwise from east).

        Poses must be renderable (`renderable_poses`). Returns uint8 [n, H, W, 3]; with ``depth`` also float32 [n, H, W]
        in metres along the viewing axis.

        Raises:
            ValueError: poses that are not renderable.
            UnreachablePoseError: the engine shows another pose than asked for.
            EngineError: the engine has died or is closed.
        """
        poses = np.asarray(poses, dtype=np.float64)
        if poses.ndim != 2 or poses.shape[1] != 3:
            raise ValueError(f"poses has shape {poses.shape}; allowed: [n, 3]")
        if np.abs(renderable_poses(poses) - poses).max(initial=0.0) % 360.0 > 1e-6:
            raise ValueError("poses are not renderable; allowed: whole map units and whole 1/65536 turns")
        self.enter(map_index)
        frames = np.empty((len(poses), *self._frame_size, 3), np.uint8)
        depths = np.empty((len(poses), *self._frame_size), np.float32) if self._depth else None
        for row, (x, y, degrees) in enumerate(poses):
            state = self._go(int(x), int(y), int(angle_units(degrees)))
            cv2.resize(state.screen_buffer, self._frame_size[::-1], dst=frames[row], interpolation=cv2.INTER_AREA)
            if depths is not None:
                units = state.depth_buffer[::2, ::2] * _DEPTH_UNITS_PER_LEVEL + _DEPTH_OFFSET
                depths[row] = units / MAP_UNITS_PER_METRE
        return frames if depths is None else (frames, depths)

    def _show(self, x: int, y: int, angle: int) -> Any:
        """Return the engine's state one tic after a teleport; its game_variables hold the true camera pose."""
        right = (self._angle - angle + ANGLE_UNITS // 2) % ANGLE_UNITS - ANGLE_UNITS // 2
        # the engine rounds degrees down to angle units, half a unit more makes that exact
        turn = (right + 0.5) * (360.0 / ANGLE_UNITS)
        with _deaths_as_engine_errors():
            self._game.send_game_command(f"warp {x} {y}")
            self._game.set_action([turn])
            self._game.advance_action(1, False)  # in the tic of a warp the eye is 4 units above the floor, not 41
            self._game.set_action([0.0])
            self._game.advance_action(1, True)
            state = self._game.get_state()
        if state is None:
            raise UnreachablePoseError(f"the game ended in map {self._map}")
        self._angle = int(angle_units(state.game_variables[3]))
        return state

    def _go(self, x: int, y: int, angle: int) -> Any:
        state = self._show(x, y, angle)
        shown = (*state.game_variables[:3], self._angle)
        wanted = (x, y, self._eyes[str(self._map)], angle)
        if shown != wanted:
            raise UnreachablePoseError(f"map {self._map}: asked for (x, y, eye height, angle) {wanted}, got {shown}")
        return state

    def close(self) -> None:
        """Stop the engine and remove its files; safe to call twice. In a forked child it does nothing."""
        self._stop()

    def __enter__(self) -> DoomRenderer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _stop(game: Any, folder: str, owner: int) -> None:
    if os.getpid() == owner:
        try:
            game.close()
        finally:
            remove_folder(folder)


def _failures() -> tuple[type[Exception], ...]:
    """List what ViZDoom raises when an engine fails; its exceptions have no base class of their own."""
    vizdoom = require_vizdoom()
    names = ("MessageQueue", "SharedMemory", "ViZDoomError", "ViZDoomIsNotRunning", "ViZDoomUnexpectedExit")
    return tuple(getattr(vizdoom, f"{name}Exception") for name in names)


@contextmanager
def _deaths_as_engine_errors() -> Iterator[None]:
    try:
        yield
    except _failures() as error:
        raise EngineError(f"a game engine has died: {' '.join(str(error).split())[:200]}") from None


_running: weakref.WeakSet[DoomRenderer] = weakref.WeakSet()


def _after_fork() -> None:
    """Keep the parent's games alive in a forked child: destroying them would stop their engines."""
    for renderer in list(_running):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(renderer._game))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
