"""The maps of one picture through one network: all layers, small enough to keep.

The tokens of the block outputs are kept in float16 in units of each channel's largest value; the
norms are affine per token and channel, so that `per_layer_ln` and `global_ln` are made on reading.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.files.atomic import replace_file
from analysis.files.writing import make_folder
from analysis.language import _
from analysis.payload.array_file import DAMAGED, ArrayFile
from analysis.vocabulary import Representation

MAX_KEPT_BYTES = 2 * 2**30
"""Of all results together; the least recently written go first."""

Floats = NDArray[np.float32]
REPRESENTATIONS = tuple(Representation)


@dataclass(frozen=True)
class TokenMaps:
    """All layers of one picture. ``T`` tokens: CLS, storage tokens, then patches row by row."""

    channels: NDArray[np.int32]
    """``[C]``: which channels are kept, ascending."""
    grid: NDArray[np.int32]
    """Rows and columns of patches."""
    tokens: NDArray[np.float16]
    """``[L, C, T]``: block outputs over `scale`."""
    scale: Floats
    """``[L, C]``: largest |x| of the channel."""
    center: Floats
    """``[L, T]``: mean over all channels of each token."""
    inverse_std: Floats
    """``[L, T]``: 1 / sqrt(variance over all channels + eps)."""
    gamma: Floats
    """``[2, C]``: of the output norm, for the tokens before the patches and for patches."""
    beta: Floats
    """``[2, C]``."""
    norms: Floats
    """``[3, L, T]``: L2 norm over all channels, by representation."""
    colors: NDArray[np.uint8]
    """``[3, L, rows, columns, 3]``: first three principal components of the patches as RGB."""
    explained: Floats
    """``[3, L, 3]``: share of the patches' variance in each component."""
    sources: NDArray[np.str_]
    """Digests of the weights and of the adapter; the latter empty without one."""

    @property
    def num_layers(self) -> int:
        """Number of layers."""
        return self.tokens.shape[0]

    @property
    def n_prefix(self) -> int:
        """Tokens before the first patch."""
        return self.tokens.shape[2] - int(self.grid.prod())

    def channel(self, representation: Representation, channel: int) -> Floats:
        """Return one channel of every token, ``[L, T]``.

        Raises:
            PayloadError: If the channel was not kept.
        """
        place = int(np.searchsorted(self.channels, channel))
        if place == len(self.channels) or self.channels[place] != channel:
            raise PayloadError(
                _("Channel {channel} was not kept; ask for the maps again with it.").format(
                    channel=channel
                )
            )
        values = self.tokens[:, place].astype(np.float32) * self.scale[:, place, None]
        if representation is Representation.PRE:
            return values
        values = (values - self.center) * self.inverse_std
        if representation is Representation.PER_LAYER_LN:
            return values
        role = (np.arange(self.tokens.shape[2]) >= self.n_prefix).astype(int)
        return values * self.gamma[role, place] + self.beta[role, place]

    def norm(self, representation: Representation) -> Floats:
        """Return the L2 norm of every token, ``[L, T]``."""
        return self.norms[REPRESENTATIONS.index(representation)]

    def patches(self, values: Floats) -> Floats:
        """Return values per token ``[L, T]`` as maps ``[L, rows, columns]``."""
        rows, columns = self.grid.tolist()
        return values[:, self.n_prefix :].reshape(-1, rows, columns)

    def components(self, representation: Representation) -> NDArray[np.uint8]:
        """Return the principal components as colours, ``[L, rows, columns, 3]``."""
        return self.colors[REPRESENTATIONS.index(representation)]

    def shares(self, representation: Representation) -> Floats:
        """Return the share of the patches' variance in each component, ``[L, 3]``."""
        return self.explained[REPRESENTATIONS.index(representation)]


def save_maps(path: Path, maps: TokenMaps) -> None:
    """Keep a result, and forget the oldest ones where all together take too much room."""
    make_folder(path.parent, 0o700)
    with replace_file(path) as file:
        np.savez(file, **{field.name: getattr(maps, field.name) for field in fields(maps)})
    forget_oldest(path.parent, "*.npz", MAX_KEPT_BYTES, keep=path)


def load_maps(path: Path) -> TokenMaps:
    """Read a result.

    Raises:
        PayloadError: If it is not there or damaged.
    """
    try:
        with ArrayFile(path) as stored:
            return TokenMaps(**{field.name: stored.read(field.name) for field in fields(TokenMaps)})
    except DAMAGED as error:
        with contextlib.suppress(OSError):
            path.unlink()  # to be computed anew
        raise PayloadError(
            _("{path}: the maps cannot be read ({error}). Ask again.").format(
                path=path, error=error
            )
        ) from error


def forget_oldest(folder: Path, pattern: str, max_bytes: int, *, keep: Path) -> None:
    """Delete the least recently written files of a folder beyond so many bytes in all."""
    states = []
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            state = path.stat()
            states.append((state.st_mtime_ns, state.st_size, path))
    total = 0
    for _unused, size, path in sorted(states, reverse=True):
        total += size
        if total > max_bytes and path != keep:
            with contextlib.suppress(OSError):
                path.unlink()
