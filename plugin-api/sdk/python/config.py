"""Keys of `[config]`: what a handler says of them, and their values.

koid has looked at what service.toml says: a value has the form of its key's type.
"""

from collections.abc import Iterable

from . import ConfigKey, Context, misconfigured, types

TEXT = types.ConfigType_Text()
BOOLEAN = types.ConfigType_Boolean()
DURATION = types.ConfigType_Duration()
ADDRESS = types.ConfigType_Address()
IP = types.ConfigType_Ip()
SECRET = types.ConfigType_Secret()


def integer(least: int, most: int) -> types.ConfigType:
    """Whole numbers from `least` to `most`."""
    return types.ConfigType_Integer(types.IntegerRange(least, most))


def one_of(*texts: str) -> types.ConfigType:
    """One of these texts."""
    return types.ConfigType_OneOf(list(texts))


def key(name: str, kind, description: str, *, default: Iterable[str] = (), many=False, required=False) -> ConfigKey:
    """A key. Its default is as service.toml would have it: more than one text only where it may have many."""
    default = [default] if isinstance(default, str) else list(default)
    return ConfigKey(name=name, description=description, kind=kind, many=many, required=required, default=default)


class Config:
    """The values of `[config]` in the types of the language; None: the key has no value."""

    def __init__(self, ctx: Context):
        self._pairs = ctx.config

    def texts(self, key: str) -> list[str]:
        """All texts of a key that may have many."""
        return [value for name, value in self._pairs if name == key]

    def text(self, key: str) -> str | None:
        """A text."""
        return next(iter(self.texts(key)), None)

    def integer(self, key: str) -> int | None:
        """A whole number."""
        return self._parsed(key, "a whole number", int)

    def boolean(self, key: str) -> bool | None:
        """True or false."""
        return self._parsed(key, "true or false", {"true": True, "false": False}.__getitem__)

    def duration(self, key: str) -> float | None:
        """In seconds, as Python's library takes it."""
        return self._parsed(key, "a number of milliseconds", lambda text: int(text) / 1000)

    def _parsed(self, key, what, parse):
        text = self.text(key)
        try:
            return None if text is None else parse(text)
        except (KeyError, ValueError):
            # It may be a secret: it is not shown.
            raise misconfigured(f"{key} in [config] is not {what}") from None
