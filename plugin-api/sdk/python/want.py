"""What a handler wants of the node, each with a line for the operator who decides.

Texts may name keys of `[config]` in braces; a key without a value makes no want.
"""

from . import types


def exec(words: list[str], reason: str, *, user: str | None = None, keep: bool = False) -> types.Want:
    """To run a program: an absolute path, then a word for each argument. A `*` in a word stands for any text.

    It runs as `user`; with `keep` what it launches outlives the call.
    """
    return types.Want(types.Capability_Exec(types.Program(words, user, keep)), reason)


def exec_env(name: str, reason: str) -> types.Want:
    """To set this variable for the programs that it runs."""
    return types.Want(types.Capability_ExecEnv(name), reason)


def tcp(address: str, reason: str) -> types.Want:
    """To connect to "ip:port"."""
    return types.Want(types.Capability_Tcp(address), reason)


def http(address: str, reason: str) -> types.Want:
    """To send HTTP requests to "host:port"."""
    return types.Want(types.Capability_Http(address), reason)
