"""[auto_mixed_precision] of the configuration: the budget, and the accuracy on labelled samples."""

from __future__ import annotations

from pathlib import Path

from converter.config import Config
from converter.errors import ConfigError, UsageError
from converter.ir.graph import Model
from converter.quant import samples
from converter.quant.auto_mixed import Accuracy, Budget, Run

_SECTION = "auto_mixed_precision"
_LABELS = "labels"
_BITS = (4.0, 8.0)


def from_config(
    config: Config, model: Model, to_channels_last: bool, accuracy: Accuracy | None
) -> tuple[Budget | None, Accuracy | None]:
    """The budget, None where mixed precision is off, and how accuracy is measured where the budget is of that.

    Raises ConfigError, SourceFileError or UsageError.
    """
    if not config.get(_SECTION, "enable"):
        if config.values.get(_SECTION):
            raise ConfigError(f"config: [{_SECTION}] has settings, but not enable=true")
        return None, None
    min_snr, drop = config.get(_SECTION, "min_snr"), config.get(_SECTION, "max_accuracy_drop")
    if (min_snr == "") == (drop == ""):
        raise ConfigError(f"config: [{_SECTION}] needs a budget: min_snr or max_accuracy_drop, one of them")
    bits = tuple(config.get(_SECTION, "bit_widths") or _BITS)
    if any(b not in range(1, 17) for b in bits):
        raise ConfigError(f"config: [{_SECTION}] bit_widths: expected integers from 1 to 16, not {list(bits)}")
    budget = Budget(
        config.get(_SECTION, "objective"),
        None if min_snr == "" else min_snr,
        None if drop == "" else max(drop, 0.0) / 100,
        tuple(int(b) for b in bits),
    )
    path = config.get(_SECTION, "accuracy_data")
    if drop == "":
        return budget, None
    if accuracy is None and not path:
        raise ConfigError(
            f"config: [{_SECTION}] max_accuracy_drop needs accuracy_data, a .npz with the inputs and '{_LABELS}', or "
            "convert(accuracy=...)"
        )
    return budget, accuracy or _labelled(Path(path), model, to_channels_last)


def _labelled(path: Path, model: Model, to_channels_last: bool) -> Accuracy:
    """The part of samples whose largest value of the first output is at the label's place."""
    stored = samples.arrays_of(path)
    labels = stored.pop(_LABELS, None)
    if labels is None:
        raise UsageError(f"{path}: holds no array '{_LABELS}' (it has {', '.join(stored)})")
    inputs = model.main.inputs
    missing = [v.name for v in inputs if v.name not in stored]
    if missing:
        raise UsageError(f"{path}: holds no array for the input '{missing[0]}' (it has {', '.join(stored)})")
    rows = zip(*([row[None] for row in stored[v.name]] for v in inputs))
    given = samples.read([list(row) for row in rows], model, to_channels_last)
    if len(given) != len(labels):
        raise UsageError(f"{path}: {len(given)} samples, but {len(labels)} labels")

    def accuracy(run: Run) -> float:
        right = sum(int(run(sample)[0].argmax()) == int(label) for sample, label in zip(given, labels))
        return right / len(labels)

    return accuracy
