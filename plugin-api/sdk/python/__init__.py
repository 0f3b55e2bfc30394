"""For koi handlers in Python: the interface with koi, `wit/koi-service.wit`, and what most of them need besides.

The types and functions are made by componentize-py when the handler is built (`./build.sh bindings` writes them to target/bindings).
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host, state

# The name of the module depends on whether others have a module of types as well.
try:
    from wit_world.imports import koi_service_types as types
except ImportError:
    from wit_world.imports import types

ConfigKey = types.ConfigKey
Context = types.Context
Failure = types.Failure
Hook = types.Hook
HookError = types.HookError
HookSet = types.HookSet
LogLevel = host.LogLevel
Metadata = types.Metadata
Role = types.Role
ServiceState = types.ServiceState
StatusReport = types.StatusReport

DescribesItself = exports.Metadata
Handler = exports.Lifecycle


def retry(text: str) -> Err:
    """To be raised: try again here, after koi's back-off."""
    return Err(types.HookError_Retry(text))


def fatal(text: str) -> Err:
    """To be raised: not on this node, until an operator says so."""
    return Err(types.HookError_Fatal(text))


def misconfigured(text: str) -> Err:
    """To be raised: pointless anywhere before `[config]` is mended."""
    return Err(types.HookError_Misconfigured(text))


class Trouble(Exception):
    """What goes wrong outside of the handler, in a line for people. It becomes a `retry` in a hook that is `explained`."""
