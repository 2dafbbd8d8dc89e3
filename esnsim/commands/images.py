"""What commands share about images: where they are, and what is done to their pixels."""

import argparse
from typing import TYPE_CHECKING

from esnsim.commands import options
from esnsim.commands.parser import refuse
from esnsim.commands.paths import InputFile, image_files

if TYPE_CHECKING:
    from esnsim.evaluate.outputs import Scoring
    from esnsim.images.sets import ImageSet, Preparation

IMAGES = InputFile(files=image_files)


def add_images(group: "argparse._ArgumentGroup", otherwise: str) -> None:
    """Add the options; `otherwise` says what is taken without --data."""
    group.add_argument(
        "--data", type=IMAGES, metavar="FILE|FOLDER",
        help=".npz, .npy, idx or CIFAR .bin file, folder of these or of pictures, or of class "
        f"folders of pictures, pixels of 0 to 255 divided by 255; {otherwise}",
    )  # fmt: skip
    group.add_argument("--labels", type=InputFile(), metavar="FILE", help="an idx or .npy file")
    group.add_argument("--imagenet", action="store_true", help="resize 256, crop 224, mean, std")
    group.add_argument("--resize", type=options.at_least_one, default=0, metavar="N")
    group.add_argument("--crop", type=options.at_least_one, default=0, metavar="N")
    group.add_argument("--mean", type=options.numbers, metavar="A,B,C", help="default 0")
    group.add_argument("--std", type=options.numbers, metavar="A,B,C", help="default 1")


def add_scoring(group: "argparse._ArgumentGroup") -> None:
    """Add what is scored of a model's outputs, where that is not found out."""
    group.add_argument(
        "--score-output", metavar="NAME",
        help="the output that is scored (default the one of classes, or the first)",
    )  # fmt: skip
    group.add_argument(
        "--class-axis", type=options.axis, metavar="N|none",
        help="its axis along which classes lie, or none: SQNR alone (default found out)",
    )  # fmt: skip
    group.add_argument(
        "--batch-axis", type=int, metavar="N", help="its axis of the images (default found out)"
    )


def scoring_of(arguments: argparse.Namespace) -> "Scoring":
    """What the options say of the output that is scored."""
    from esnsim.evaluate.outputs import Scoring

    return Scoring(arguments.score_output, arguments.class_axis, arguments.batch_axis)


def add_evaluation(group: "argparse._ArgumentGroup") -> None:
    """Add images that candidates are evaluated on, and those that they are calibrated with."""
    from esnsim.compression.round.methods import ROUNDINGS

    add_images(group, "the embedded images are the default for embedded models")
    add_scoring(group)
    group.add_argument("--images", type=options.at_least_one, metavar="N", help="the first N")
    group.add_argument(
        "--correct", action=argparse.BooleanOptionalAction, default=True,
        help="statistics of BatchNormalization, or of filters, corrected with unlabelled images "
        "(default yes, where there are images)",
    )  # fmt: skip
    group.add_argument(
        "--rounding", choices=list(ROUNDINGS),
        help=f"{options.offered(ROUNDINGS)} (default compensated, where there are images)",
    )  # fmt: skip
    group.add_argument(
        "--calibration", type=IMAGES, metavar="FILE|FOLDER",
        help="images to correct with and to measure sensitivity with, 512 at most (with --effort "
        "thorough 2,048; to budgets with --prune auto 512 others judge); default the first 256 of "
        "--data (half, of fewer), which are then not scored, or 512 embedded training images",
    )  # fmt: skip


def preparation_of(arguments: argparse.Namespace) -> "Preparation":
    """What the options do to pixels."""
    from esnsim.images import sets as data

    start = data.IMAGENET if arguments.imagenet else data.Preparation()
    return data.Preparation(
        arguments.resize or start.resize, arguments.crop or start.crop,
        arguments.mean or start.mean, arguments.std or start.std,
    )  # fmt: skip


def check_used(arguments: argparse.Namespace, model: str) -> None:
    """Raise UsageError for options about images where none are read, or none of that kind."""
    from esnsim.images.files import holds_arrays

    builtin = model.startswith("builtin:")
    paths = (arguments.data, getattr(arguments, "calibration", None))
    read = [path for path in paths if path is not None]
    used = "the embedded images are used as they are" if builtin else "there are no images"
    about = [] if arguments.data else ["labels", *([] if builtin else ["images"])]
    about += [] if read else ["imagenet", "resize", "crop", "mean", "std"]
    refuse(arguments, about, f"is about the images of --data, but {used}: leave it out")
    if all(map(holds_arrays, read)):
        reason = "is about pictures, but the images are arrays, which are taken at their size"
        refuse(arguments, ["resize", "crop"], f"{reason}: leave it out")


def check_scored(arguments: argparse.Namespace, scored: bool, needs: str) -> None:
    """Raise UsageError for options about accuracy where there is none."""
    if not scored:
        names = ("labels", "score_output", "class_axis", "batch_axis")
        refuse(arguments, names, f"is about accuracy: give {needs} too")


def images_of(arguments: argparse.Namespace, model: str) -> "ImageSet | None":
    """The images of --data, or for an embedded model the embedded ones; else None."""
    from esnsim.images import sets as data

    check_used(arguments, model)
    if arguments.data is not None:
        return data.load(arguments.data, preparation_of(arguments), arguments.labels)
    return data.embedded() if model.startswith("builtin:") else None


def calibration_of(arguments: argparse.Namespace, pictures: "ImageSet | None") -> "ImageSet | None":
    """The images of --calibration, or those beside the embedded images; else None."""
    from esnsim.images import sets as data

    if arguments.calibration is not None:
        return data.load(arguments.calibration, preparation_of(arguments))
    return data.embedded_training() if pictures is not None and arguments.data is None else None
