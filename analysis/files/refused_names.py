"""Say what a refused pickle holds beside tensors, and what to save in its place."""

from __future__ import annotations

import re
from collections.abc import Collection
from pickle import UnpicklingError

from analysis.language import _

_MOST_NAMES = 5
_GLOBAL = re.compile(rb"c([\w.]{1,100})\n([\w.]{1,100})\n")
_BUILTIN = "__builtin__."

_INSTEAD = (
    ("argparse.Namespace", "vars(args) in place of the arguments of the training script"),
    ("pathlib.", "str(path) in place of a path"),
    ("numpy.", "x.item() in place of a number of numpy, torch.from_numpy(x) in place of an array"),
    ("collections.defaultdict", "dict(x) in place of a defaultdict"),
    ("frozenset", "list(x) in place of a frozenset"),
    ("omegaconf.", "OmegaConf.to_container(config) in place of a config of OmegaConf"),
    ("datetime.", "str(x) in place of a date"),
    ("peft.", "config.to_dict() in place of a config of peft"),
    ("torch.nn.", "module.state_dict() in place of a module"),
    ("torch.distributed.", "tensor.full_tensor() in place of a distributed tensor"),
    ("torch._utils._rebuild_device_tensor", "tensor.cpu() in place of a tensor of a TPU"),
)
"""Start of a name that training runs leave in their files, and what to save instead."""


class RefusedNameError(UnpicklingError):
    """A pickle names a class or function that is not allowed.

    Args:
        name: As it stands in the file.
        pickled: The pickle, which is searched for more of the names that have an own advice.
        allowed: Names that are no reason to refuse it.
    """

    def __init__(self, name: str, pickled: bytes, allowed: Collection[str] = ()) -> None:
        super().__init__(f"{name} is not allowed")
        self.name = name.removeprefix(_BUILTIN)
        self.pickled = pickled
        self.allowed = allowed

    def describe(self) -> str:
        """Return what the file does, that it is refused, and what to do."""
        names = {self.name: None}
        for module, own in _GLOBAL.findall(self.pickled):
            name = f"{module.decode(errors='replace')}.{own.decode(errors='replace')}"
            if name not in self.allowed and _advise(name := name.removeprefix(_BUILTIN)):
                names[name] = None
        advice = list(dict.fromkeys(filter(None, map(_advise, names))))
        listed = ", ".join(list(names)[:_MOST_NAMES])
        instead = (
            _(
                " with {advice}. The tensors alone are enough too: "
                "torch.save(checkpoint['model'], 'clean.pt'), with the key that holds them."
            ).format(advice="; ".join(advice))
            if advice
            else _(", keeping tensors and plain types only.")
        )
        return _(
            "asks to run {names}, which is refused: only tensors and plain types (dict, list, "
            "str, numbers) are opened. If you trust it, load it where it was made and save it "
            "again by torch.save{instead}"
        ).format(names=listed, instead=instead)


def _advise(name: str) -> str | None:
    return next((advice for start, advice in _INSTEAD if name.startswith(start)), None)
