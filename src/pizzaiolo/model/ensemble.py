"""Several backbones that look at the same pictures, as one: their embeddings stand in a row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import UsageError

JOIN = "+"
Statistics = Sequence[float]  # a number per channel, of values in 0..1


def members_of(name: str) -> list[str]:
    """The architectures of a model name: one, or those of `a+b`."""
    names = [part.strip() for part in name.split(JOIN)]
    if not all(names):
        raise UsageError(f"the ensemble {name!r} has an empty member", hint="expected NAME+NAME")
    if len(names) > 1 and "cnn" in names:
        raise UsageError(
            f"the ensemble {name!r} has the member 'cnn', which starts without weights",
            hint="members are timm's names: pizzaiolo models",
        )
    return names


class Member(nn.Module):
    """A backbone that is fed pictures resized and normalised for another: [N, 3, H, W] -> [N, D].

    The sides are in pixels. (x s + m - m') / s'  =  x (s / s') + (m - m') / s', with the other's
    mean m and deviation s. Resizing a square is a product with one matrix from each side, which
    every runtime has, where antialiasing is left out of many.
    """

    scale: Tensor
    shift: Tensor
    shrink: Tensor

    def __init__(
        self,
        network: nn.Module,
        side: int,
        own: list[Statistics],
        given_side: int,
        given: list[Statistics],
    ) -> None:
        super().__init__()
        self.network, self.side, self.resized = network, side, side != given_side
        (mean, std), (given_mean, given_std) = map(torch.tensor, own), map(torch.tensor, given)
        # [1, 3, 1, 1]; part of the state, so that a model file does not lean on timm's statistics
        self.register_buffer("scale", (given_std / std).view(1, 3, 1, 1))
        self.register_buffer("shift", ((given_mean - mean) / std).view(1, 3, 1, 1))
        if self.resized:
            self.register_buffer("shrink", resizing(given_side, side))

    def forward(self, pictures: Tensor) -> Tensor:
        """Float pictures [N, 3, H, W] -> embedding [N, D]."""
        if self.resized:
            pictures = self.shrink @ pictures @ self.shrink.T
        embedding: Tensor = self.network(pictures * self.scale + self.shift)
        return embedding

    @property
    def simplest(self) -> nn.Module:
        """What gives the same embedding: the network alone, where it is fed its own pictures."""
        as_given = bool((self.scale == 1).all() and (self.shift == 0).all())
        return self.network if as_given and not self.resized else self


def resizing(given: int, side: int) -> Tensor:
    """The matrix [side, given] of bicubic resizing with antialiasing along one axis."""
    lines = torch.eye(given)[None, None]  # each column is a picture of one pixel's line
    made = functional.interpolate(lines, (side, given), mode="bicubic", antialias=True)
    return made[0, 0]


class Ensemble(nn.Module):
    """Float pictures [N, 3, H, W] -> the members' embeddings side by side, [N, D1 + D2 + ...].

    `leader` is the member whose preprocessing holds for all.
    """

    def __init__(self, members: Sequence[Member], leader: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.leader = leader

    @property
    def sides(self) -> list[int]:
        """The sides at which the members look, in pixels."""
        return [member.side for member in self.members if isinstance(member, Member)]

    @property
    def networks(self) -> list[nn.Module]:
        """The backbones themselves."""
        return [member.network for member in self.members if isinstance(member, Member)]

    def forward(self, pictures: Tensor) -> Tensor:
        """Float pictures [N, 3, H, W] -> embedding [N, D1 + D2 + ...]."""
        return torch.cat([member(pictures) for member in self.members], dim=1)
