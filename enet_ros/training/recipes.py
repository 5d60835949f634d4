"""Recipes of a training run, and its progress."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a run trains, apart from its data and its length.

    Attributes:
        lr: Peak learning rate.
        weight_decay: Weight decay of the optimizer.
        optimizer: 'adam' adds the weight decay to the gradient, as the paper does; 'adamw'
            applies it to the weights.
        class_weight_c: The constant of :func:`enet_ros.training.losses.class_weights`.
        jaccard: Factor of the soft Jaccard loss.
        warmup: Number of steps over which the learning rate rises.
        decay: Whether the learning rate falls to zero along a cosine after the warm-up.
        average: Greatest decay of the average of weights; 0 keeps no average.
        encoder_part: Fraction of the run that trains the encoder alone, on labels at one eighth.
        crops_part: Fraction of the run that trains on crops; whole frames follow.
        strength: Factor of the chances of the photometric changes.
        balance: Whether the last layer's biases are moved at the end for the best IoU.
    """

    lr: float
    weight_decay: float
    optimizer: str
    class_weight_c: float
    jaccard: float = 0.0
    warmup: int = 0
    decay: bool = False
    average: float = 0.0
    encoder_part: float = 0.0
    crops_part: float = 0.0
    strength: float = 0.0
    balance: bool = False


#: 'paper' is section 5.2 of the paper (docs/training.md says what differs), and 'modern' is the
#: recipe of the weights that ship.
RECIPES = {
    'paper': Recipe(lr=5e-4, weight_decay=2e-4, optimizer='adam', class_weight_c=1.02,
                    encoder_part=0.5),
    'modern': Recipe(lr=1e-3, weight_decay=1e-2, optimizer='adamw', class_weight_c=1.05,
                     jaccard=1.0, warmup=100, decay=True, average=0.998, crops_part=0.8,
                     strength=1.0, balance=True),
}


@dataclass
class Progress:
    """Progress of a run, by steps, or by time where no number of steps is given.

    Attributes:
        steps: Number of steps of the whole run, or None.
        hours: Time in hours after which a start of the run stops; without ``steps``, after which
            the run is over. Or None.
        elapsed_sec: Time spent in training before the last start, in seconds. A resumed run
            brings the time of its earlier stretches.
    """

    steps: int | None = None
    hours: float | None = None
    elapsed_sec: float = 0.0
    _started_at: float | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start counting the time."""
        self._started_at = time.monotonic()

    def seconds(self) -> float:
        """Return the time spent in training so far, in seconds."""
        return self.elapsed_sec + self._seconds_since_start()

    def _seconds_since_start(self) -> float:
        return time.monotonic() - self._started_at if self._started_at is not None else 0.0

    def time_is_up(self) -> bool:
        """Return whether the hours of this start are spent, or without steps those of the run."""
        if self.hours is None:
            return False
        spent = self.seconds() if self.steps is None else self._seconds_since_start()
        return spent >= self.hours * 3600

    def fraction(self, step: int) -> float:
        """Return the fraction of the run, in [0, 1], that is done after ``step`` steps."""
        if self.steps is not None:
            return min(1.0, step / self.steps)
        return min(1.0, self.seconds() / (self.hours * 3600))
