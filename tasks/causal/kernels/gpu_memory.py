"""How much of a problem a device holds at once, decided before anything is put there."""

from dataclasses import dataclass

from schemas.errors import TectumError

LANES, SUMS_BYTES = 64, 5 * 8 + 2 * 8 + 4
"""Targets in a tile; bytes of a pair's sums, of what becomes of two of them at once, of a skill."""
PANEL, MOST_LIBRARIES = 1024, 64
_USED = 0.85
"""Of the free memory: the rest is what the allocator cannot join together."""


@dataclass(frozen=True)
class DeviceShape:
    """What decides the memory that a block takes.

    padded, rows : length of the padded axis, rows predicted
    searches : dimensions searched at once
    listed : neighbours kept of each row; neighbours : of a simplex
    draws : random libraries at once, the full one included
    tiles : of targets; tile_item : bytes of a stored value
    """

    padded: int
    rows: int
    searches: int
    listed: int
    neighbours: int
    draws: int
    tiles: int
    tile_item: int = 4

    @property
    def tile_bytes(self) -> int:
        """Bytes of one tile of targets."""
        return self.padded * LANES * self.tile_item

    @property
    def library_bytes(self) -> int:
        """Bytes that the neighbours of one library take, while they are found and used.

        Keys of all panels and those sorted, what they mean, tables with weights; twice what the
        steps between hold.
        """
        room = list_room(self.listed) * -(-self.padded // PANEL)
        keys = self.rows * self.searches * (room + 4 * self.listed) * 8
        tables = self.rows * self.draws * self.neighbours * 40 * self.searches
        return keys + tables + self.padded * 32


@dataclass(frozen=True)
class DeviceBlocks:
    """Libraries and tiles of targets that are on the device at once."""

    libraries: int
    tiles: int


def list_room(count: int) -> int:
    """Return how many keys a panel's list has room for, of which `count` must be the nearest."""
    return max(32, 1 << (count + count // 2 - 1).bit_length())


def plan_device(shape: DeviceShape, free_bytes: int) -> DeviceBlocks:
    """Choose blocks that fit: all targets if they leave half of the memory, else as many as do.

    Raises
    ------
    TectumError
        Not even one library and one tile fit; says what they need.
    """
    budget = int(_USED * free_bytes)
    tiles = min(shape.tiles, budget // 2 // shape.tile_bytes)
    left = budget - tiles * shape.tile_bytes
    each = shape.library_bytes + tiles * LANES * SUMS_BYTES * shape.draws
    libraries = min(left // each, MOST_LIBRARIES)
    if libraries < 1 or tiles < min(shape.tiles, 1):
        needed = shape.library_bytes + 2 * shape.tile_bytes
        raise TectumError(
            f"Cross mapping {shape.rows:,} samples on this GPU needs at least "
            f"{needed / 2**30:,.2f} GiB of its memory; {free_bytes / 2**30:,.2f} GiB are free.",
            remedy="Free the GPU, use fewer library_samples, or causal.backend 'cpu'.",
        )
    return DeviceBlocks(libraries, tiles)
