"""Sizes of the learned game: one row each. A size has a world, a config in configs/train and a folder of weights.

The networks are the same for all sizes: a token is a square of `PIXELS` pixels of the picture. So the weights of one
size can start the training of another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from li_env.validation import check_choice

PIXELS = 16
"""Pixels across a token, in both directions."""


@dataclass(frozen=True)
class Size:
    """What differs between sizes.

    Attributes:
        name: of the size.
        world: name of its world.
        frame_size: (height, width) of a frame in pixels.
        tile_shape: (latents, rows, columns) of one attention tile, at most 128 tokens.
        sparse_min_context: `WorldSpec.sparse_min_context` where nothing was measured.
        working_bytes: memory of one episode of a micro-batch while its chunk is generated: in float32, with the full
            context.
        folder: of what is shipped, below ``data``.
        variable: environment variable that names a folder of weights, of a world that comes without; empty for none.
    """

    name: str
    world: str
    frame_size: tuple[int, int]
    tile_shape: tuple[int, int, int]
    sparse_min_context: int
    working_bytes: int
    folder: str
    variable: str = ""

    @property
    def token_grid(self) -> tuple[int, int]:
        """(rows, columns) of tokens per latent."""
        return self.frame_size[0] // PIXELS, self.frame_size[1] // PIXELS

    @property
    def tokens(self) -> int:
        """Tokens per latent."""
        return self.token_grid[0] * self.token_grid[1]

    @property
    def feature_scale(self) -> int:
        """Enlargement of frames before a network takes features of them: it sees all sizes equally large."""
        return 2 * 96 // self.frame_size[0]

    @property
    def data(self) -> Path:
        """Folder of what is shipped: start frames, episodes, and the weights if there are any."""
        return Path(__file__).parent / "data" / self.folder


SMALL = Size("small", "freedoom", (96, 128), (4, 6, 4), 21, 216 * 2**20, "")
"""Made for laptops. Its ``sparse_min_context`` is one more than the largest context: block-sparse attention does not
pay in a world this small, so planners stay dense.

benchmarks/freedoom_sparse_crossover.json, two CPU cores: dense is faster with 8 and with 20 context latents at any
tile shape; sparse only with 32, which is beyond the budget.
"""

LARGE = Size("large", "freedoom_large", (192, 256), (4, 6, 4), 21, 864 * 2**20, "large", "LI_ENV_FREEDOOM_LARGE")
"""Made for GPUs. Until ``li-env calibrate attention`` has measured a device, planners stay dense there. Its tiles
are those of the small size until others are measured with trained weights.
"""

SIZES = {size.name: size for size in (SMALL, LARGE)}

WORLDS = {size.world: size for size in SIZES.values()}
"""Sizes by the names of their worlds."""


def named_size(name: str) -> Size:
    """Return a size by its name.

    Raises:
        ValueError: unknown; lists the names.
    """
    return SIZES[check_choice("size", name, SIZES)]
