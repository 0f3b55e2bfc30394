"""disk-space: healthy while the file system of a path has room.

WASI cannot ask how full a file system is, so this handler has the node's `df` do it: the world is `handler-exec`, and
service.toml grants that one command.
"""

from koi import Context, Failure, HookSet, Metadata as AboutMe, ServiceState, StatusReport, config, exports, misconfigured, want
from koi.exec import run
from koi.explained import explained

DF = "/usr/bin/df"
OPTIONS = ["--block-size=1", "--output=used,avail", "--"]
UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]


class Metadata(exports.Metadata):
    def describe(self) -> AboutMe:
        return AboutMe(
            name="disk-space",
            version="0.2.0",
            description="Healthy while the file system of a path has room",
            hooks=HookSet.STATUS,
            wants=[want.exec([DF, *OPTIONS, "{path}"], "To ask how full the file system is")],
            config=[
                config.key("path", config.TEXT, "A path on the file system to watch", default="/"),
                config.key("limit", config.integer(0, 100), "Fails when more than this is used, in percent", default="90"),
            ],
        )


class Lifecycle(exports.Lifecycle):
    @explained
    def status(self, ctx: Context) -> StatusReport:
        values = config.Config(ctx)
        path, limit = values.text("path"), values.integer("limit")
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
    # A line of headings, then one of numbers; "-" where a file system does not say.
    numbers = run(DF, [*OPTIONS, path]).split()[2:]
    if len(numbers) != 2 or not all(number.isdigit() for number in numbers) or numbers == ["0", "0"]:
        raise misconfigured(f"[config]: the file system of {path} does not say how full it is")
    return int(numbers[0]), int(numbers[1])


def readable(size: int) -> str:
    """Bytes in a unit that fits."""
    unit = min((max(size, 1).bit_length() - 1) // 10, len(UNITS) - 1)
    return f"{size / 1024**unit:.{0 if unit == 0 else 1}f} {UNITS[unit]}"
