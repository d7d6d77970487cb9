"""Tile order of tokens, and the tables that tell kernels where tiles lie."""

from li_env.kernels.tile_order.order import Cut, TileOrder, tile_order
from li_env.kernels.tile_order.tables import (
    LONGEST_TILE,
    RangeTable,
    TileLayout,
    TileTable,
    tile_layout,
    tile_table,
)

__all__ = [
    "LONGEST_TILE",
    "Cut",
    "RangeTable",
    "TileLayout",
    "TileOrder",
    "TileTable",
    "tile_layout",
    "tile_order",
    "tile_table",
]
