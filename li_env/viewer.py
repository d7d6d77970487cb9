"""The window of render mode ``human``: every frame of a chunk at the world's frame rate. Needs the extra ``[play]``."""

from __future__ import annotations

import math

import numpy as np

from li_env.errors import MissingExtraError

MIN_HEIGHT = 480
"""Small frames are enlarged by a whole factor until they are at least this high, in pixels."""


class Window:
    """A pygame window.

    Args:
        size: (height, width) of a frame in pixels.
        fps: frames per second to show.
        title: caption.

    Raises:
        MissingExtraError: pygame is not installed.
    """

    def __init__(self, size: tuple[int, int], fps: float, title: str) -> None:
        try:
            import pygame
        except ImportError:
            raise MissingExtraError("pygame-ce", "play", "render_mode='human'") from None
        self._pygame = pygame
        self._fps = fps
        self._scale = max(1, math.ceil(MIN_HEIGHT / size[0]))
        pygame.display.init()
        self._screen = pygame.display.set_mode((size[1] * self._scale, size[0] * self._scale))
        pygame.display.set_caption(title)
        self._clock = pygame.time.Clock()

    def show(self, frames: np.ndarray) -> None:
        """Show uint8 [T, H, W, 3] one after the other; returns when the last one is on the screen."""
        pygame = self._pygame
        for frame in frames:
            surface = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
            pygame.transform.scale(surface, self._screen.get_size(), self._screen)
            pygame.event.pump()
            pygame.display.flip()
            self._clock.tick(self._fps)

    def shown(self) -> np.ndarray:
        """Return the picture in the window: uint8 [height, width, 3]."""
        return np.array(self._pygame.surfarray.array3d(self._screen).swapaxes(0, 1))

    def close(self) -> None:
        """Close the window. Other users of pygame in this process keep theirs."""
        self._pygame.display.quit()
