// The koi handler `@NAME@`.
//
// It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put
// the start and stop of your own software where the notes are made, and a look at it where `status` reads them.
//
// A fresh instance of this file serves every call: a variable does not live until the next one, the store does.

import { epochCurrent, log } from "koi:service/host@0.2.0";
import * as config from "./koi/config.js";
@IF exec@
import { run } from "./koi/exec.js";
@END@
import { explained } from "./koi/explained.js";
@IF http@
import * as http from "./koi/http.js";
@END@
import { get, remove, set } from "./koi/store.js";
@IF tcp@
import { connect } from "./koi/tcp.js";
@END@
@IF any@
import * as want from "./koi/want.js";
@END@

@IF exec@
const DF = "/usr/bin/df";

@END@
export const metadata = {
  // What `koi plugins list` shows, and what koi checks a service.toml against.
  describe: () => ({
    name: "@NAME@",
    version: "0.1.0",
    description: "Notes what it was asked to be, and says so",
    // Hooks that are not named here are never called and count as done.
    hooks: { start: true, stop: true, promote: true, demote: true, status: true, failed: true },
@IF none@
    wants: [], // What it wants of the node, such as tcp("{address}", "To ask it how it is") of koi/want.js.
@ELSE@
    // What it wants of the node. A key in braces that has no value makes no want.
    wants: [
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
    config: [
      config.key("score", config.integer(-(2 ** 31), 2 ** 31 - 1), "Among the standbys the highest is promoted first"),
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
      config.key("patience", config.DURATION, "How long a look may take", { default: ["2s"] }),
@ELSE@
      // config.key("address", config.ADDRESS, "Where it listens", { required: true }),
      // config.key("patience", config.DURATION, "How long it may take", { default: ["30s"] }),
@END@
      // config.key("password", config.SECRET, "Of the user koi"),
    ],
  }),
};

// An exception that is not foreseen fails the hook; `explained` sees to it that people can read it.
export const lifecycle = explained({
  // A service that runs already is a success, so start may well be called twice. It leaves a standby, whatever a crash left.
  start() {
    // To fail throw { tag: "retry", val: text }: later; "fatal": not on this node; "misconfigured": pointless before [config] is mended.
    set("role", "standby");
  },

  // As is one that does not run.
  stop() {
    remove("role");
  },

  // Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it. What all nodes are to know,
  // such as where the data is newest, goes into the group's attributes: koi/attributes.js.
  promote(ctx) {
    const epoch = BigInt.asUintN(64, BigInt(ctx.epoch)); // A u64 comes as a Number here; from 2^63 on it would be negative.
    if (!epochCurrent()) throw { tag: "retry", val: `epoch ${epoch} is over; another node is master by now` };
    set("epoch", String(epoch));
    set("role", "promoted");
  },

  // The others wait for this one: be quick, and let a second call succeed too.
  demote() {
    if (get("role") === "promoted") set("role", "standby");
  },

  // What it says is taken as the truth. It must not change anything. Of a service that runs in processes of this node add
  // processes: [pidfile(…), pid(…)] of koi/process.js: koi asks for its status at once when one ends.
@IF http@
  async status(ctx) {
@ELSE@
  status(ctx) {
@END@
    const role = get("role");
    const epoch = get("epoch");
    const details = epoch === null ? [] : [["last epoch", epoch]];
@IF http@
    if (role !== null) details.push(...await look(config.values(ctx)));
@ELSE@
@IF any@
    if (role !== null) details.push(...look(config.values(ctx)));
@END@
@END@
    return {
      state: role ?? "stopped", // ok, promoted, standby, live, stopped or failed
      message: role === null ? "not started" : `runs as ${role}`,
      promotionScore: config.values(ctx).integer("score"),
      details,
    };
  },

  // Comes before stop, so that it can still look at what is left.
  failed(ctx, cause) {
    log("warn", `${cause.hook} failed: ${cause.message}${cause.timedOut ? " (not in time)" : ""}`);
  },
});
@IF any@

// Looks at what is configured. What it sees is told in the details; what is wrong fails the status.
@IF http@
async function look(values) {
@ELSE@
function look(values) {
@END@
  const patience = values.duration("patience");
  const details = [];
@IF exec@
  const path = values.text("path");
  if (path !== undefined) {
    const [, used] = run(DF, ["--output=pcent", "--", path], patience).trim().split("\n"); // Below a heading.
    details.push([path, used.trim()]);
  }
@END@
@IF tcp@
  const address = values.text("address");
  if (address !== undefined) {
    connect(address, patience).close(); // Before that, `send` and `line` of the connection would speak with it.
    details.push([address, "answers"]);
  }
@END@
@IF http@
  const web = values.text("web");
  if (web !== undefined) {
    const { status } = await http.get(`http://${web}/`, patience);
    details.push([web, String(status)]);
  }
@END@
  return details;
}
@END@
