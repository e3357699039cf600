"""One of each kind of layer that multiplies and adds, and their operations written out."""

from torch import nn


class Layers(nn.Module):
    """A grouped convolution, a transposed one, a linear layer, a product of two activations."""

    def __init__(self):
        super().__init__()
        self.grouped = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.linear = nn.Linear(6 * 8 * 8, 5)

    def forward(self, x):
        maps = self.up(self.grouped(x))
        rows = maps.flatten(2)
        return self.linear(maps.flatten(1)), rows @ rows.transpose(1, 2)


TRANSPOSED = 2 * 8 * 4 * 4 * (6 * 4)
OPERATIONS = 2 * (8 * 4 * 4 * (2 * 9) + 6 * 8 * 8 * 5 + 6 * 6 * 64) + TRANSPOSED
