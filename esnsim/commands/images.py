"""What commands share about images: where they are, and what is done to their pixels."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from esnsim.commands import options

if TYPE_CHECKING:
    from esnsim.images.sets import ImageSet, Preparation


def add_images(group: "argparse._ArgumentGroup", otherwise: str) -> None:
    """Add the options; `otherwise` says what is taken without --data."""
    group.add_argument(
        "--data", type=Path, metavar="FILE|FOLDER",
        help=".npz, .npy, idx or CIFAR .bin file, folder of these or of pictures, or of class "
        f"folders of pictures; {otherwise}",
    )  # fmt: skip
    group.add_argument("--labels", type=Path, metavar="FILE", help="an idx or .npy file")
    group.add_argument("--imagenet", action="store_true", help="resize 256, crop 224, mean, std")
    group.add_argument("--resize", type=options.at_least_one, default=0, metavar="N")
    group.add_argument("--crop", type=options.at_least_one, default=0, metavar="N")
    group.add_argument("--mean", type=options.numbers, metavar="A,B,C", help="default 0")
    group.add_argument("--std", type=options.numbers, metavar="A,B,C", help="default 1")


def add_evaluation(group: "argparse._ArgumentGroup") -> None:
    """Add images that candidates are evaluated on, and those that they are calibrated with."""
    add_images(group, "the embedded images are the default for embedded models")
    group.add_argument("--images", type=options.at_least_one, metavar="N", help="the first N")
    group.add_argument(
        "--correct", action=argparse.BooleanOptionalAction, default=True,
        help="statistics of BatchNormalization, or of filters, corrected with unlabelled images "
        "(default yes, where there are images)",
    )  # fmt: skip
    group.add_argument(
        "--calibration", type=Path, metavar="FILE|FOLDER",
        help="images to correct with and to measure sensitivity with; default the first of --data, "
        "whose labels are not looked at",
    )  # fmt: skip


def preparation_of(arguments: argparse.Namespace) -> "Preparation":
    """What the options do to pixels."""
    from esnsim.images import sets as data

    start = data.IMAGENET if arguments.imagenet else data.Preparation()
    return data.Preparation(
        arguments.resize or start.resize, arguments.crop or start.crop,
        arguments.mean or start.mean, arguments.std or start.std,
    )  # fmt: skip


def images_of(arguments: argparse.Namespace, model: str) -> "ImageSet | None":
    """The images of --data, or for an embedded model the embedded ones; else None."""
    from esnsim.images import sets as data

    if arguments.data is not None:
        return data.load(arguments.data, preparation_of(arguments), arguments.labels)
    return data.embedded() if model.startswith("builtin:") else None
