"""What a training config (`train.yaml`) says about data, backbone and output, typed and checked.

Relative paths in a config resolve against the project dir, paths typed on a command line against
the current folder. Keys that are not needed here are ignored and stay in `Settings.config`.
Nothing is looked up on disk except the config itself and the place of `data.train_csv`: missing
images and weights are named where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from analysis.collect.backbone.variants import get_variant
from analysis.collect.plan.config_file import load_config_file
from analysis.collect.plan.config_values import (
    ConfigKeys,
    to_count,
    to_device,
    to_flag,
    to_folder_name,
    to_image_size,
    to_integers,
    to_one_of,
    to_path_text,
    to_positive,
    to_positive_triple,
    to_share,
    to_text,
    to_texts,
    to_triple,
)
from analysis.collect.plan.folds import Folds, read_folds
from analysis.collect.plan.mixed_sets import MixedSet, read_mixed_sets
from analysis.errors import ConfigError
from analysis.files.atomic import is_folder, is_regular
from analysis.language import _
from analysis.payload.tapped import choose_tapped
from analysis.vocabulary import FEATURE_STATS_DIR, PAYLOAD_NAME

SPLITS = ("train", "val", "all")
PRECISIONS = ("auto", "fp32", "tf32", "bf16")
DEFAULT_CONFIG = Path("configs", "train.yaml")
NO_HEAD = "none"
DEFAULT_LOG_DIR = "outputs"
DEFAULT_SEED = 42
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Settings:
    """One training config, as far as the extraction needs it."""

    project_dir: Path
    """Absolute."""
    config_path: Path
    """Absolute."""
    config: dict[str, Any]
    """The whole YAML as parsed; dates are text."""
    version: str | None
    """Folder name made of `version`; None where the config names none."""
    backbone_name: str
    weights_path: Path | None
    """`model.weights_path`, absolute; need not exist on this machine."""
    image_size: tuple[int, int]
    """Width and height in pixels."""
    mean: tuple[float, float, float]
    """Per RGB channel, of values in 0..1."""
    std: tuple[float, float, float]
    data_root: Path
    train_csv: Path | None
    """None: every image below `data_root`."""
    batch_size: int | None
    """`data.batch_size`; None where it is no number."""
    val_split: float | None
    """Share of images held out for validation; None where the config does not say."""
    seed: int
    target_order: tuple[str, ...]
    train_all: bool
    log_dir: Path
    tapped_layers: tuple[int, ...]
    """Blocks that the training head reads (`model.backbone_layers`); empty where disabled."""
    analysis: Mapping[str, str | int]
    """`group_by`, and defaults for flags, by flag name with underscores; paths are absolute."""
    folds: Folds | None = None
    """The section `kfold`."""
    fold: int | None = None
    """The fold that a run asked for, from 0."""
    mixed_sets: tuple[MixedSet, ...] = ()
    """Further data sets that training appends."""
    notices: tuple[str, ...] = ()
    """What a person should know about how the config was read."""

    @property
    def run_folders(self) -> tuple[Path, ...]:
        """Where a training run of this config leaves its files."""
        return (*([self.log_dir / self.version] if self.version else []), self.log_dir)

    @property
    def default_output(self) -> Path:
        """Where the payload goes when no output is named, by the specification's rule."""
        folder = self.log_dir / self.version if self.version else self.log_dir
        if self.fold is not None:
            folder /= f"fold_{self.fold}"
        elif self.train_all:
            folder /= "train_all"
        return folder / FEATURE_STATS_DIR / PAYLOAD_NAME


def load_settings(project_dir: Path, config: Path | None = None) -> Settings:
    """Read and check a training config.

    Args:
        project_dir: Folder that relative paths of the config refer to.
        config: The YAML file, relative to the current folder; by default
            `configs/train.yaml` of the project dir.

    Raises:
        ConfigError: If a folder or file is missing, the YAML is malformed, or a key is missing
            or has a value of the wrong kind; the message names the file, the dotted key, the
            value and what was expected.
    """
    try:
        project_dir = project_dir.expanduser().resolve()
        config = project_dir / DEFAULT_CONFIG if config is None else config.expanduser()
        config_path = config.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            _("{config} is not a usable path: {error}").format(
                config=config or project_dir, error=error
            )
        ) from error
    if not is_folder(project_dir):
        raise ConfigError(
            _("Project dir {project_dir} is not a folder; name it with --project-dir").format(
                project_dir=project_dir
            )
        )
    if not is_regular(config_path):
        raise ConfigError(_missing_config(project_dir, config_path))
    file = load_config_file(config_path)
    keys = ConfigKeys(file)

    def resolve(text: str) -> Path:
        return project_dir / text

    data_root = resolve(keys.read("data.root", to_path_text))
    version, version_notice = _read_version(keys)
    train_csv = keys.read("data.train_csv", to_path_text, None)
    weights_path = keys.read("model.weights_path", to_path_text, None)
    normalized = keys.find("data.normalization") is not None
    backbone = keys.read("model.backbone", _to_backbone_name)
    tapped, tapped_notice = _read_tapped(keys, backbone)
    mixed_sets, mixed_notices = read_mixed_sets(keys, data_root, resolve)
    return Settings(
        project_dir=project_dir,
        config_path=config_path,
        config=file.values,
        version=version,
        backbone_name=backbone,
        weights_path=None if weights_path is None else resolve(weights_path),
        image_size=keys.read("data.image_size", to_image_size),
        mean=keys.read("data.normalization.mean", to_triple) if normalized else IMAGENET_MEAN,
        std=keys.read("data.normalization.std", to_positive_triple) if normalized else IMAGENET_STD,
        data_root=data_root,
        train_csv=None if train_csv is None else _place_csv(train_csv, data_root, project_dir),
        batch_size=_read_batch_size(keys),
        val_split=keys.read("data.val_split", to_share, None),
        seed=keys.read("seed", to_count, DEFAULT_SEED),
        target_order=keys.read("data.target_order", to_texts, ()),
        train_all=keys.read("train_all.enabled", to_flag, False),
        log_dir=resolve(keys.read("logging.log_dir", to_path_text, DEFAULT_LOG_DIR)),
        tapped_layers=tapped,
        analysis=_read_analysis(keys, resolve),
        folds=read_folds(keys),
        mixed_sets=mixed_sets,
        notices=(*filter(None, (version_notice, tapped_notice)), *mixed_notices),
    )


def _read_batch_size(keys: ConfigKeys) -> int | None:
    """Return the batch size of the training; a default here, so another value is no error."""
    value = keys.find("data.batch_size")
    return value if type(value) is int and value > 0 else None


def _read_version(keys: ConfigKeys) -> tuple[str | None, str | None]:
    """Return the version as a folder name, and a notice where YAML read it as another text."""
    version = keys.read("version", to_folder_name, None)
    written = keys.file.written.get("version")
    is_number = isinstance(keys.find("version"), int | float)
    if not is_number or written is None or written == version:
        return version or None, None
    return version, (
        _(
            "version: {written} in {name} was read by YAML as the number "
            '{version}; write it in quotes ("{written}") if the text is meant'
        ).format(written=written, name=keys.file.path.name, version=version)
    )


def _read_tapped(keys: ConfigKeys, backbone: str) -> tuple[tuple[int, ...], str | None]:
    """Return the blocks that the head reads, and a notice where it should but none is named."""
    key = "model.backbone_layers"
    if not keys.read(f"{key}.enabled", to_flag, False):
        return (), None
    names = (str(keys.find("model.backbone")), backbone)
    indices = choose_tapped(keys.find(key), names)
    if not indices:
        return (), (
            _(
                "{key} is enabled, but neither indices nor indices_by_backbone "
                "names layers of {backbone}: no tapped layer is marked"
            ).format(key=key, backbone=backbone)
        )
    try:
        return to_integers(indices), None
    except ValueError as error:
        keys.refuse(f"{key}.indices", indices, str(error))


def _read_analysis(keys: ConfigKeys, resolve: Callable[[str], Path]) -> Mapping[str, str | int]:
    section = keys.find("analysis")
    if section is None:
        return MappingProxyType({})
    if not isinstance(section, dict):
        keys.refuse("analysis", section, _("a mapping of command-line defaults"))
    unknown = ", ".join(f"analysis.{key}" for key in section if key not in _ANALYSIS)
    if unknown:
        raise ConfigError(
            _("{path}: unknown key {unknown}; the section analysis knows ").format(
                path=keys.file.path, unknown=unknown
            )
            + ", ".join(_ANALYSIS)
        )
    values = {
        key: keys.read(f"analysis.{key}", convert)
        for key, convert in _ANALYSIS.items()
        if section.get(key) is not None
    }
    for key in ("dino_weights_pt", "head_weights"):
        if key in values:
            is_none = key == "head_weights" and values[key].lower() == NO_HEAD
            values[key] = NO_HEAD if is_none else str(resolve(values[key]))
    return MappingProxyType(values)


def _to_backbone_name(value: Any) -> str:
    try:
        return get_variant(str(value)).name
    except ConfigError as error:
        raise ValueError(f"a backbone that can be measured ({error})") from error


def _place_csv(train_csv: str, data_root: Path, project_dir: Path) -> Path:
    """Take a relative CSV below `data.root`; where it is only below the project dir, there."""
    below_root, below_project = data_root / train_csv, project_dir / train_csv
    return below_project if below_project.is_file() and not below_root.is_file() else below_root


def _missing_config(project_dir: Path, config_path: Path) -> str:
    folder = project_dir / DEFAULT_CONFIG.parent
    names = sorted(path.name for path in folder.glob("*.y*ml")) if is_folder(folder) else []
    there = ", ".join(names[:10]) if names else _("no YAML file")
    return _(
        "Config {config_path} is not a file; {folder} holds {there}. Name "
        "another with --config, or another folder with --project-dir"
    ).format(config_path=config_path, folder=folder, there=there)


_ANALYSIS: dict[str, Callable[[Any], Any]] = {
    "dino_weights_pt": to_path_text,
    "head_weights": to_path_text,
    "precision": to_one_of(*PRECISIONS),
    "batch_size": to_positive,
    "num_workers": to_count,
    "split": to_one_of(*SPLITS),
    "max_images": to_count,
    "device": to_device,
    "group_by": to_text,
}
