"""The koi handler `@NAME@`.

It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put the
start and stop of your own software where the notes are made, and a look at it where `status` reads them.

A fresh instance of this module serves every call: a variable does not live until the next one, the store does.
"""

from koi import Context, Failure, HookSet, LogLevel, Metadata as AboutMe, ServiceState, StatusReport, exports, host, retry, state
@IF any@
from koi import config, want
@ELSE@
from koi import config
@END@
@IF exec@
from koi.exec import run
@END@
from koi.explained import explained
@IF http@
from koi import http
@END@
@IF tcp@
from koi.tcp import connect
@END@

@IF exec@
DF = "/usr/bin/df"
@END@
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
@IF none@
            wants=[],  # What it wants of the node, such as koi.want.tcp("{address}", "To ask it how it is").
@ELSE@
            # What it wants of the node. A key in braces that has no value makes no want.
            wants=[
@IF exec@
                want.exec([DF, "--output=pcent", "--", "{path}"], "To see how full the disk is"),
@END@
@IF tcp@
                want.tcp("{address}", "To see whether it answers"),
@END@
@IF http@
                want.http("{web}", "To see how the web server is"),
@END@
            ],
@END@
            config=[
                config.key("score", config.integer(-(2**31), 2**31 - 1), "Among the standbys the highest is promoted first"),
@IF exec@
                config.key("path", config.TEXT, "Whose file system is looked at"),
@END@
@IF tcp@
                config.key("address", config.ADDRESS, "Where it listens, as ip:port"),
@END@
@IF http@
                config.key("web", config.ADDRESS, "Which web server is asked, as host:port"),
@END@
@IF any@
                config.key("patience", config.DURATION, "How long a look may take", default="2s"),
@ELSE@
                # config.key("address", config.ADDRESS, "Where it listens", required=True),
                # config.key("patience", config.DURATION, "How long it may take", default="30s"),
@END@
                # config.key("password", config.SECRET, "Of the user koi"),
            ],
        )


class Lifecycle(exports.Lifecycle):
    """The hooks. An exception that is not foreseen fails the hook; `explained` sees to it that people can read it."""

    @explained
    def start(self, ctx: Context) -> None:
        """Makes it a standby, whatever a crash left. A service that runs already is a success: it may well be called twice."""
        # retry(text) is: later; fatal(text): not on this node; misconfigured(text): pointless anywhere before [config] is mended.
        state.set("role", b"standby")

    @explained
    def stop(self, ctx: Context) -> None:
        """Makes it not run. A service that does not run is a success."""
        state.delete("role")

    @explained
    def promote(self, ctx: Context) -> None:
        """Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it.

        What all nodes are to know, such as where the data is newest, goes into the group's attributes: `koi.attributes.set`.
        """
        if not host.epoch_current():
            raise retry(f"epoch {ctx.epoch} is over; another node is master by now")
        state.set("epoch", str(ctx.epoch).encode())
        state.set("role", b"promoted")

    @explained
    def demote(self, ctx: Context) -> None:
        """Makes it a standby again. The others wait for it: be quick, and let a second call succeed too."""
        if note("role") == "promoted":
            state.set("role", b"standby")

    @explained
    def status(self, ctx: Context) -> StatusReport:
        """Says how it is. What it says is taken as the truth. It must not change anything.

        Of a service that runs in processes of this node put `koi.pidfile(…)` or `koi.pid(…)` into `processes`: koi asks for its status at
        once when one ends.
        """
        role, epoch = note("role"), note("epoch")
        details = [("last epoch", epoch)] if epoch else []
@IF any@
        if role:
            details += look(config.Config(ctx))
@END@
        return StatusReport(
            state=STATES.get(role, ServiceState.STOPPED),
            message=f"runs as {role}" if role else "not started",
            promotion_score=config.Config(ctx).integer("score"),
            details=details,
        )

    @explained
    def failed(self, ctx: Context, cause: Failure) -> None:
        """Comes before `stop`, so that it can still look at what is left."""
        late = " (not in time)" if cause.timed_out else ""
        host.log(LogLevel.WARN, f"{cause.hook.name.lower()} failed: {cause.message}{late}")


def note(key: str) -> str | None:
    """What the store has under `key`."""
    value = state.get(key)
    return None if value is None else value.decode()
@IF any@


def look(values: config.Config) -> list[tuple[str, str]]:
    """Looks at what is configured. What it sees is told in the details; what is wrong fails the status."""
    patience, details = values.duration("patience"), []
@IF exec@
    if path := values.text("path"):
        # A heading, and the number below it.
        details.append((path, run(DF, ["--output=pcent", "--", path], patience).split()[-1]))
@END@
@IF tcp@
    if address := values.text("address"):
        with connect(address, patience):  # Its `send` and `line` would speak with it.
            details.append((address, "answers"))
@END@
@IF http@
    if web := values.text("web"):
        details.append((web, str(http.get(f"http://{web}/", patience).status)))
@END@
    return details
@END@
