"""Makes a failure that people can read of an exception that nobody foresaw."""

import functools
import traceback

from . import Err, HookError, LogLevel, Trouble, host, retry


def explained(hook):
    """The same hook; what it raises is one of the errors of koi:service, or becomes `retry`, with the traceback in koi's log."""

    @functools.wraps(hook)
    def call(*args):
        try:
            return hook(*args)
        except Trouble as trouble:
            raise retry(str(trouble)) from trouble
        except Exception as error:
            # An Err may also be one of the store's or of exec, which koi does not take as a hook's.
            if isinstance(error, Err) and isinstance(error.value, HookError):
                raise
            host.log(LogLevel.ERROR, traceback.format_exc())
            raise retry(f"{type(error).__name__}: {error} ({_place(error)})") from error

    return call


def _place(error: Exception) -> str:
    """Where it was raised: a place of the handler says more than one within Python's library, or within this one."""
    places = traceback.extract_tb(error.__traceback__)
    # /0 is src.
    own = [place for place in places if place.filename.startswith("/0/") and not place.filename.startswith("/0/koi/")]
    place = (own or places)[-1]
    return f"{place.filename.rpartition('/')[2]}:{place.lineno}"
