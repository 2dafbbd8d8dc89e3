"""What a process has to know to evaluate any candidate, and what all points depend on."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from esnsim.compression.allocate.targets import Target, read_targets
from esnsim.compression.policies import find_policy
from esnsim.compression.round.methods import COMPENSATED, NEAREST
from esnsim.compression.workspace import CALIBRATION
from esnsim.errors import UsageError
from esnsim.evaluate.outputs import GUESS, Scoring
from esnsim.images.sets import ImageSet, Preparation, embedded, embedded_training
from esnsim.images.sets import load as load_images
from esnsim.images.split import OF_SCORED, calibrating, first_of
from esnsim.machines.named.aim import AT

#: Models: the name that each goes by, and where it lies.
Files = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Where images come from: a file or folder, or images in memory; None is the embedded ones.

    Those are the test images, or those of `training` without labels. The first `skipped` are left
    out, and of the rest `count` taken.
    """

    source: Path | ImageSet | None = None
    labels: Path | None = None
    preparation: Preparation = field(default_factory=Preparation)
    count: int | None = None
    skipped: int = 0
    training: bool = False

    def open(self) -> ImageSet:
        """The images. Raises DataError."""
        found = self.source
        if found is None:
            found = embedded_training() if self.training else embedded()
        if isinstance(found, Path):
            found = load_images(found, self.preparation, self.labels)
        found = found.after(self.skipped) if self.skipped else found
        return found if self.count is None else found.first(self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Models, images and options that all points share.

    `files` are the models, each the name that it goes by and where it lies. `targets` is the file
    of ESNa that the policy `esna-targets` takes. `threads` run the operators of a model. `metric`
    is that of the sweep, which points need where it is a machine's.
    """

    files: Files
    images: Pictures
    calibration: Pictures
    correct: bool = True
    rounding: str = COMPENSATED
    criterion: str = "norm"
    scope: str = "layer"
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    values: tuple[tuple[str, float], ...] = ()
    targets: Path | None = None
    threads: int = 0
    scoring: Scoring = GUESS
    metric: str = "esn_d_tilde"

    @property
    def calibrating(self) -> ImageSet:
        """The images that calibrate."""
        return self.calibration.open().first(CALIBRATION)

    @property
    def target(self) -> tuple[Target, ...] | None:
        """The ESNa of each layer in training."""
        return None if self.targets is None else read_targets(self.targets)

    @property
    def described(self) -> str:
        """The images in words."""
        images = self.images.open()
        text = f"{images.count:,} images of {images.name}"
        if not self.correct:
            return f"{text}; statistics not corrected"
        used = self.calibrating
        own = f"{used.count:,} images of {used.name}"
        if self.images.skipped:
            own = f"the {used.count:,} before them, labels unseen"
        return f"{text}; statistics corrected with {own}"

    @property
    def binding(self) -> dict[str, Any]:
        """What all points depend on, for the results file: images and options."""
        target = self.target
        return {
            "images": self.images.open().fingerprint(),
            "options": {
                "correct": self.correct,
                "calibration": self.calibrating.fingerprint(),
                "criterion": self.criterion,
                "scope": self.scope,
                "input_shapes": {name: list(shape) for name, shape in self.shapes},
                **({"input_values": dict(self.values)} if self.values else {}),
                **({} if self.rounding == NEAREST else {"rounding": self.rounding}),
                **({} if self.scoring == GUESS else {"scoring": asdict(self.scoring)}),
                **({"metric": self.metric} if AT in self.metric else {}),
                "targets": None if target is None else sha256(repr(target).encode()),
            },
        }


def checked(
    files: Files,
    policies: Sequence[str],
    targets: Path | None,
    images: ImageSet | Pictures | None,
    calibration: ImageSet | Pictures | None,
    jobs: int,
    scheduler: str | None,
) -> tuple[Pictures, Pictures | None]:
    """The images of a sweep that can be made. Raises UsageError for what does not go together."""
    if scheduler is not None and jobs > 1:
        raise UsageError("--jobs and --scheduler exclude each other: give one")
    if (targets is not None) != any(find_policy(name).needs_targets for name in policies):
        raise UsageError("--policy esna-targets and --targets go together: give both, or none")
    scored, used = (
        Pictures(source=x) if isinstance(x, ImageSet) else x for x in (images, calibration)
    )
    embedded = all(file.startswith("builtin:") for _, file in files)
    if (scored is None or scored.source is None) and not embedded:
        raise UsageError("accuracy needs images: give --data")
    here = [x for x in (scored, used) if x is not None and isinstance(x.source, ImageSet)]
    if here and (scheduler is not None or jobs > 1):
        raise UsageError("images in memory stay in this process: give jobs=1, or a file")
    return scored or Pictures(), used


def split_pictures(
    images: Pictures, calibration: Pictures | None = None, count: int | None = None
) -> tuple[Pictures, Pictures]:
    """Those that are scored, `count` of them where given, and those that calibrate.

    Where no others are given embedded training images calibrate those that are embedded, else the
    first ones, which are then not scored. Raises UsageError where
    there are not as many.
    """
    if calibration is None and images.source is None:
        calibration = Pictures(training=True)
    if calibration is None:
        whole = images.open().count
        few = calibrating(whole, OF_SCORED)
        calibration = replace(images, count=few)
        images = replace(images, count=whole - few, skipped=few) if whole > 1 else images
    if count is not None:
        images = replace(images, count=first_of(images.open(), count).count)
    return images, calibration


def sha256(*parts: bytes) -> str:
    """The digest of parts one after the other."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()
