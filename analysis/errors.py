"""Errors that are meant for the person who gave the input.

The message of every `InputError` names what was wrong (file, key or value), what was expected and
what to do about it. The command line prints it as one line and exits with code 2; the dashboard
shows it in place. Anything else that escapes is a bug and keeps its traceback.
"""

MAX_MESSAGE = 4000
"""Characters; names and values in a message come from files, and can be of any length."""


class InputError(Exception):
    """A file, flag, key or value that the user can correct."""

    def __str__(self) -> str:
        """Return one line of printable text, whatever names and values it quotes."""
        text = super().__str__()
        if len(text) > MAX_MESSAGE:
            text = f"{text[: MAX_MESSAGE // 2]} ... {text[-MAX_MESSAGE // 2 :]}"
        return to_printable(text)


class ConfigError(InputError):
    """A training config, a flag or a path that cannot be used as it is."""


class ImageError(InputError):
    """An image list or an image file that cannot be used."""


class CheckpointError(InputError):
    """A weights file that cannot be read or does not fit the backbone."""


class AdapterError(InputError):
    """A head file whose adapter cannot be read or does not fit the backbone."""


class PayloadError(InputError):
    """A payload file that cannot be read, or does not hold what the specification says."""


class PartAbsentError(InputError):
    """A view needs an optional part of a payload that this one does not hold."""


class DeviceError(InputError):
    """A compute device that is not there, or too small for what was asked."""


class StatisticsError(InputError):
    """Measurements from which no statistic can be made."""


def to_printable(text: str) -> str:
    """Escape what is not printable: line ends, half surrogate pairs, marks that turn the order."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
