"""The frame sizes that the network takes, known without importing torch."""

#: Width and height in pixels must be multiples of this. The network halves its input three times,
#: and undoes each halving exactly.
STRIDE = 8
