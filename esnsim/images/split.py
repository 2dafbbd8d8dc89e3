"""Images that calibrate are not those that are scored."""

from esnsim.errors import UsageError
from esnsim.images.sets import ImageSet

OF_SCORED = 256  # images that calibrate where no others are given, at most


def split(
    images: ImageSet, most: int, calibration: ImageSet | None = None
) -> tuple[ImageSet, ImageSet]:
    """The images that calibrate, at most so many, and those that are scored.

    Where no others are given the first calibrate, and at most half of them. A single image does
    both. Labels of those that calibrate are not looked at.
    """
    if calibration is not None:
        return calibration.first(most), images
    few = calibrating(images.count, most)
    return images.first(few), images.after(few) if images.count > 1 else images


def first_of(images: ImageSet, count: int) -> ImageSet:
    """The first images. Raises UsageError where there are not as many."""
    if count > images.count:
        raise UsageError(
            f"--images {count:,}, but '{images.name}' has {images.count:,} to run: give no more"
        )
    return images.first(count)


def calibrating(count: int, most: int) -> int:
    """How many of `count` images calibrate, at most `most`, where there are no others."""
    return max(1, min(most, count // 2))
