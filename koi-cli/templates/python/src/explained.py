"""Makes a failure that people can read of an exception that nobody foresaw."""

import functools
import traceback

from componentize_py_types import Err
from wit_world.imports import host
from wit_world.imports.types import HookError, HookError_Retry


def explained(hook):
    """The same hook; what it raises is one of the errors of koi:service, or becomes `retry`, with the traceback in koi's log."""

    @functools.wraps(hook)
    def call(*args):
        try:
            return hook(*args)
        except Exception as error:
            # An Err may also be one of the store's or of exec, which koi does not take as a hook's.
            if isinstance(error, Err) and isinstance(error.value, HookError):
                raise
            host.log(host.LogLevel.ERROR, traceback.format_exc())
            places = traceback.extract_tb(error.__traceback__)
            # /0 is src; a place of our own says more than one within Python's library.
            place = [place for place in places if place.filename.startswith("/0/")][-1]
            what = f"{type(error).__name__}: {error} ({place.filename.rpartition('/')[2]}:{place.lineno})"
            raise Err(HookError_Retry(what)) from error

    return call
