// The koi handler `@NAME@`.
//
// It runs nothing yet: it notes in koi's store what it was last asked to be, and `status` answers from that note. Put
// the start and stop of your own software where the notes are made, and a look at it where `status` reads them.
//
// A fresh instance of this file serves every call: a variable does not live until the next one, the store does.

import { epochCurrent, log } from "koi:service/host@0.1.0";
import { explained } from "./explained.js";
import { get, remove, set } from "./store.js";

export const metadata = {
  // What `koi plugins list` shows, and what koi checks a service.toml against.
  describe: () => ({
    name: "@NAME@",
    version: "0.1.0",
    description: "Notes what it was asked to be, and says so",
    // Hooks that are not named here are never called and count as done.
    hooks: { start: true, stop: true, promote: true, demote: true, status: true, failed: true },
    // What it wants of the node, such as { tag: "tcp-connect", val: "{address}" }.
    capabilities: [],
    config: [
      { name: "score", description: "Among the standbys the highest is promoted first", required: false, default: null },
    ],
  }),
};

// An exception that is not foreseen fails the hook; `explained` sees to it that people can read it.
export const lifecycle = explained({
  // A service that runs already is a success, so start may well be called twice. It leaves a standby, whatever a crash left.
  start(ctx) {
    promotionScore(ctx); // Wrong configuration is better said now than at the first status.
    set("role", "standby");
  },

  // As is one that does not run.
  stop() {
    remove("role");
  },

  // Called on one node only. The epoch grows with every mastership: a call that comes too late shows by it.
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

  // What it says is taken as the truth. It must not change anything.
  status(ctx) {
    const role = get("role");
    const epoch = get("epoch");
    return {
      state: role ?? "stopped", // ok, promoted, standby, live, stopped or failed
      message: role === null ? "not started" : `runs as ${role}`,
      promotionScore: promotionScore(ctx),
      details: epoch === null ? [] : [["last epoch", epoch]],
    };
  },

  // Comes before stop, so that it can still look at what is left.
  failed(ctx, cause) {
    log("warn", `${cause.hook} failed: ${cause.message}${cause.timedOut ? " (not in time)" : ""}`);
  },
});

// `score` of `[config]`; null: it does not say.
function promotionScore(ctx) {
  const text = new Map(ctx.config).get("score");
  if (text === undefined) return null;
  const score = Number(text);
  if (text.trim() === "" || score !== (score | 0)) {
    // misconfigured: pointless to try anywhere; fatal: not on this node; retry: later.
    throw { tag: "misconfigured", val: `score = "${text}" in [config] is not a whole number of 32 bits` };
  }
  return score;
}
