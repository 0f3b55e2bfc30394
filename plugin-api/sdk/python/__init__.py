"""For koi handlers in Python: the interface with koi, `wit/koi-service.wit`, and what most of them need besides.

The types and functions are made by componentize-py when the handler is built (`./build.sh bindings` writes them to target/bindings).
"""

from dataclasses import dataclass, field

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import attributes, host, state

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
Process_Pid = types.Process_Pid
Process_Pidfile = types.Process_Pidfile

DescribesItself = exports.Metadata
Handler = exports.Lifecycle


@dataclass
class StatusReport(types.StatusReport):
    """What `status` answers. All but the state may be left out."""

    state: ServiceState
    message: str = ""
    promotion_score: int | None = None
    details: list[tuple[str, str]] = field(default_factory=list)
    processes: list = field(default_factory=list)


def pid(number: int) -> Process_Pid:
    """For `processes` of a report, which koi watches: a process that the service runs in, by its id."""
    return Process_Pid(number)


def pidfile(path: str) -> Process_Pidfile:
    """The same by a file whose first line is the id, in a directory that `[grants]` lets the handler read."""
    return Process_Pidfile(path)


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
