"""disk-space: healthy while the file system of a path has room.

WASI cannot ask how full a file system is, so this handler has the node's `df` do it: the world is `handler-exec`, and
service.toml grants that one command.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import exec as programs
from wit_world.imports.types import (
    Capability_Exec,
    ConfigKey,
    Context,
    Failure,
    HookError_Misconfigured,
    HookError_Retry,
    HookSet,
    Metadata as AboutMe,
    ServiceState,
    StatusReport,
)

DF = "/usr/bin/df"
UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]


class Metadata(exports.Metadata):
    def describe(self) -> AboutMe:
        return AboutMe(
            name="disk-space",
            version="0.1.0",
            description="Healthy while the file system of a path has room",
            hooks=HookSet.STATUS,
            capabilities=[Capability_Exec(DF)],
            config=[
                ConfigKey("path", "A path on the file system to watch", False, "/"),
                ConfigKey("limit", "Fails when more than this is used, in percent", False, "90"),
            ],
        )


class Lifecycle(exports.Lifecycle):
    def status(self, ctx: Context) -> StatusReport:
        config = dict(ctx.config)
        path = config.get("path", "/")
        limit = percent(config.get("limit", "90"))
        used, free = space(path)
        # Of what its users may fill, as df counts: some of a file system is kept for root.
        share = round(100 * used / (used + free))
        full = share > limit
        return StatusReport(
            state=ServiceState.FAILED if full else ServiceState.OK,
            message=f"{path} is {share} % full" + (f", over the limit of {limit} %" if full else ""),
            promotion_score=100 - share,  # Among standbys the emptiest disk is promoted first.
            details=[("used", readable(used)), ("free", readable(free)), ("limit", f"{limit} %")],
        )

    # koi calls status only; the others are here because the interface has them.
    def start(self, ctx: Context) -> None: ...
    def stop(self, ctx: Context) -> None: ...
    def promote(self, ctx: Context) -> None: ...
    def demote(self, ctx: Context) -> None: ...
    def failed(self, ctx: Context, cause: Failure) -> None: ...


def space(path: str) -> tuple[int, int]:
    """The bytes used and free on the file system of `path`."""
    args = ["--block-size=1", "--output=used,avail", "--", path]
    try:
        output = programs.run(programs.Command(DF, args, env=[], stdin=b"", timeout_ms=None))
    except Err as error:
        raise Err(HookError_Retry(f"{DF} cannot be run: {reason(error.value)}")) from error
    if output.code != 0:
        raise Err(HookError_Retry(output.stderr.decode(errors="replace").strip() or f"{DF} failed"))
    # A line of headings, then one of numbers; "-" where a file system does not say.
    numbers = output.stdout.decode(errors="replace").split()[2:]
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers) or numbers == ["0", "0"]:
        raise Err(HookError_Misconfigured(f"[config]: the file system of {path} does not say how full it is"))
    return int(numbers[0]), int(numbers[1])


def reason(error: programs.ExecError) -> str:
    """Why a program was not run."""
    match error:
        case programs.ExecError_Denied():
            return "no `exec` of [grants] allows it with these arguments"
        case programs.ExecError_NotFound():
            return "there is no such program"
        case programs.ExecError_TimedOut():
            return "it did not end in time"
        case programs.ExecError_Io(value=text):
            return text


def percent(text: str) -> int:
    """The limit, checked."""
    if not text.isdecimal() or len(text) > 3 or int(text) > 100:
        raise Err(HookError_Misconfigured(f'[config]: limit = "{text}" is not a whole number from 0 to 100'))
    return int(text)


def readable(size: int) -> str:
    """Bytes in a unit that fits."""
    unit = min((max(size, 1).bit_length() - 1) // 10, len(UNITS) - 1)
    return f"{size / 1024**unit:.{0 if unit == 0 else 1}f} {UNITS[unit]}"
