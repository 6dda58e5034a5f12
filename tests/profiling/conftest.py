from __future__ import annotations

from collections.abc import Iterator

import pytest

from adscale.request import MAX_IMAGE_MEGAPIXELS, Decoding


@pytest.fixture(autouse=True)
def nothing_stated_of_images() -> Iterator[None]:
    """What a test states of images holds for that test only."""
    yield
    from profiling.image_reading import decode_as, limit_images

    decode_as(Decoding())
    limit_images(MAX_IMAGE_MEGAPIXELS)
