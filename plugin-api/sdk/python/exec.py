"""Programs of the node. `exec` of `[grants]` says which, with which arguments."""

from wit_world.imports import exec as programs

from . import Err, Trouble

SHOWN = 200
"""Characters of arguments in an error."""


def run(
    program: str,
    args: list[str],
    seconds: float | None = None,
    *,
    stdin: str | bytes = b"",
    env: dict[str, str] | None = None,
) -> str:
    """Runs the program at an absolute path with these arguments, to its end; what it wrote to its standard output.

    It may take so many seconds, and without that as long as the call has. What does not exit with 0 raises `Trouble`.

    `stdin` is what it reads. A secret goes there: arguments are seen by everybody on the node. `env` has variables by their names;
    `exec-env` of `[grants]` says which may be set.
    """
    timeout_ms = None if seconds is None else round(seconds * 1000)
    given = stdin.encode() if isinstance(stdin, str) else stdin
    variables = list((env or {}).items())
    try:
        output = programs.run(programs.Command(program, args, env=variables, stdin=given, timeout_ms=timeout_ms))
    except Err as error:
        raise Trouble(f"{program}{_why(error.value, args)}") from error
    if output.code == 0:
        return output.stdout.decode(errors="replace")
    said = output.stderr.decode(errors="replace").strip().split("\n")[0]
    if said:
        raise Trouble(f"{program}: {said}")
    raise Trouble(f"{program} was killed by a signal" if output.code is None else f"{program} exited with {output.code} and said nothing")


def _shown(args: list[str]) -> str:
    """Arguments in a line. A long one is left out whole, with all that follows: koi hides secrets, and does not know a part of one."""
    words, length = [], 0
    for arg in args:
        length += len(arg) + 1
        if length > SHOWN:
            words.append("…")
            break
        words.append(arg if arg.split() == [arg] else f'"{arg}"')
    return " ".join(words)


def _why(error: programs.ExecError, args: list[str]) -> str:
    match error:
        case programs.ExecError_Denied():
            which = f"with these arguments: {_shown(args)}" if args else "without arguments"
            return f" is not granted {which}; koid's log has the line for [grants]"
        case programs.ExecError_NotFound():
            return " is not there; install it, or name the place where it is"
        case programs.ExecError_TimedOut():
            return " did not end in time"
        case programs.ExecError_Io(value=words):
            return f": {words}"
