"""The smallest network of a person's own, for tests."""

from torch import Tensor, nn


class Own(nn.Module):
    def __init__(self, num_classes: int = 2) -> None:
        super().__init__()
        self.layer = nn.Linear(3, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layer(x.mean((2, 3)))
        return logits


# The same in a file of its own, as a person writes it.
OWN_CLASS = """
class Own(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(3, num_classes)
    def forward(self, x):
        return self.layer(x.mean((2, 3)))
"""
OWN_CODE = f"\nfrom torch import nn{OWN_CLASS}"
