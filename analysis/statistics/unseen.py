"""What a mean of few images says nothing of: events too rare to have happened."""

from __future__ import annotations

UNSEEN_FACTOR = 10.0
"""How many times as long an image of an unseen event takes: garbage collection, another's burst."""


def unseen_share(images: int) -> float:
    """What events too rare to be seen could add to a mean, as a share of the median.

    Events that happened in none of n images have a rate below 3/n with 95 % (rule of three: Hanley
    and Lippman-Hand, JAMA 249, 1983, 0.95 ≈ 1 − e⁻³). Each of them is taken to last
    `UNSEEN_FACTOR` medians.

    Args:
        images: measured ones, at least one.
    """
    return min(1.0, 3 / images) * (UNSEEN_FACTOR - 1)


def unseen_words(images: int) -> str:
    """The same for readers; of so few images that it is more than the median, no number.

    Args:
        images: measured ones, at least one.
    """
    share = unseen_share(images)
    if share > 1:
        return f"{images} image{'' if images == 1 else 's'} cannot rule out rare slow ones"
    return f"unseen rare slow images may add {share:.0%}"
