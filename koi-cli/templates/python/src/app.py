"""The koi handler `@NAME@`.

It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put the
start and stop of your own software where the notes are made, and a look at it where `status` reads them.

A fresh instance of this module serves every call: a variable does not live until the next one, the store does. The
types and functions are those of wit/koi-service.wit; componentize-py makes the packages that are imported here of it
(`./build.sh bindings` writes them to target/bindings, for an editor to look into).
"""

from componentize_py_types import Err
from explained import explained
from wit_world import exports
from wit_world.imports import host, state
from wit_world.imports.types import (
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

STATES = {"standby": ServiceState.STANDBY, "promoted": ServiceState.PROMOTED}


class Metadata(exports.Metadata):
    """What `koi plugins list` shows, and what koi checks a service.toml against."""

    def describe(self) -> AboutMe:
        return AboutMe(
            name="@NAME@",
            version="0.1.0",
            description="Notes what it was asked to be, and says so",
            # Hooks that are not in the set are never called and count as done.
            hooks=HookSet.START | HookSet.STOP | HookSet.PROMOTE | HookSet.DEMOTE | HookSet.STATUS | HookSet.FAILED,
            # What it wants of the node, such as Capability_TcpConnect("{address}").
            capabilities=[],
            config=[ConfigKey("score", "Among the standbys the highest is promoted first", False, None)],
        )


class Lifecycle(exports.Lifecycle):
    """The hooks. An exception that is not foreseen fails the hook; `explained` sees to it that people can read it."""

    @explained
    def start(self, ctx: Context) -> None:
        """Makes it a standby, whatever a crash left. A service that runs already is a success: it may well be called twice."""
        promotion_score(ctx)  # Wrong configuration is better said now than at the first status.
        state.set("role", b"standby")

    @explained
    def stop(self, ctx: Context) -> None:
        """Makes it not run. A service that does not run is a success."""
        state.delete("role")

    @explained
    def promote(self, ctx: Context) -> None:
        """Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it."""
        if not host.epoch_current():
            raise Err(HookError_Retry(f"epoch {ctx.epoch} is over; another node is master by now"))
        state.set("epoch", str(ctx.epoch).encode())
        state.set("role", b"promoted")

    @explained
    def demote(self, ctx: Context) -> None:
        """Makes it a standby again. The others wait for it: be quick, and let a second call succeed too."""
        if note("role") == "promoted":
            state.set("role", b"standby")

    @explained
    def status(self, ctx: Context) -> StatusReport:
        """Says how it is. What it says is taken as the truth. It must not change anything."""
        role, epoch = note("role"), note("epoch")
        return StatusReport(
            state=STATES.get(role, ServiceState.STOPPED),
            message=f"runs as {role}" if role else "not started",
            promotion_score=promotion_score(ctx),
            details=[("last epoch", epoch)] if epoch else [],
        )

    @explained
    def failed(self, ctx: Context, cause: Failure) -> None:
        """Comes before `stop`, so that it can still look at what is left."""
        late = " (not in time)" if cause.timed_out else ""
        host.log(host.LogLevel.WARN, f"{cause.hook.name.lower()} failed: {cause.message}{late}")


def note(key: str) -> str | None:
    """What the store has under `key`."""
    value = state.get(key)
    return None if value is None else value.decode()


def promotion_score(ctx: Context) -> int | None:
    """`score` of `[config]`; None: it does not say."""
    text = dict(ctx.config).get("score")
    if text is None:
        return None
    try:
        score = int(text)
    except ValueError:
        score = None
    if score is None or not -(2**31) <= score < 2**31:
        # Misconfigured: pointless to try anywhere; Fatal: not on this node; Retry: later.
        raise Err(HookError_Misconfigured(f'score = "{text}" in [config] is not a whole number of 32 bits'))
    return score
