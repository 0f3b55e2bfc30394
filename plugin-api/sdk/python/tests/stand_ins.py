"""Stands in for the modules that componentize-py makes of the interface, for tests: only what the library touches."""

import dataclasses
import enum
import sys
import types as python_types


class Err(Exception):
    def __init__(self, value):
        super().__init__(value)
        self.value = value


class Ok:
    def __init__(self, value):
        self.value = value


def record(name: str, *fields: str, base: type = object) -> type:
    return dataclasses.make_dataclass(name, fields, bases=(base,))


def module(name: str, **content) -> python_types.ModuleType:
    made = python_types.ModuleType(name)
    made.__dict__.update(content)
    sys.modules[name] = made
    return made


class HookError:
    pass


class LogLevel(enum.Enum):
    ERROR = 4


logged: list = []
ran: list = []
program = None


def run(command):
    ran.append(command)
    return program(command)


types = module(
    "wit_world.imports.types",
    HookError=HookError,
    **{f"HookError_{case}": record(f"HookError_{case}", "value", base=HookError) for case in ("Retry", "Fatal", "Misconfigured")},
    **{f"ConfigType_{case}": record(f"ConfigType_{case}") for case in ("Text", "Boolean", "Duration", "Address", "Ip", "Secret")},
    **{f"ConfigType_{case}": record(f"ConfigType_{case}", "value") for case in ("Integer", "OneOf")},
    **{f"Capability_{case}": record(f"Capability_{case}", "value") for case in ("Exec", "ExecEnv", "Tcp", "Http")},
    **{name: object for name in ("ConfigType", "Failure", "Hook", "HookSet", "Metadata", "Role", "ServiceState", "StatusReport")},
    **{f"Process_{case}": record(f"Process_{case}", "value") for case in ("Pid", "Pidfile")},
    ConfigKey=record("ConfigKey", "name", "description", "kind", "many", "required", "default"),
    Context=record("Context", "config"),
    IntegerRange=record("IntegerRange", "least", "most"),
    Program=record("Program", "words", "user", "keep"),
    Want=record("Want", "capability", "reason"),
)
exec_module = module(
    "wit_world.imports.exec",
    Command=record("Command", "program", "args", "env", "stdin", "timeout_ms"),
    Output=record("Output", "code", "stdout", "stderr"),
    ExecError=object,
    **{f"ExecError_{case}": record(f"ExecError_{case}") for case in ("Denied", "NotFound", "TimedOut")},
    ExecError_Io=record("ExecError_Io", "value"),
    run=run,
)
host = module("wit_world.imports.host", LogLevel=LogLevel, log=lambda level, text: logged.append((level, text)))
state = module("wit_world.imports.state")
attributes = module("wit_world.imports.attributes")
exports = module("wit_world.exports", Metadata=object, Lifecycle=object)
imports = module("wit_world.imports", types=types, exec=exec_module, host=host, state=state, attributes=attributes)
module("wit_world", imports=imports, exports=exports)
module("componentize_py_types", Err=Err, Ok=Ok)
