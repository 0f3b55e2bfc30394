// Programs of the node. `exec` of [grants] says which, with which arguments.

import { run as rawRun } from "koi:service/exec@0.2.0";
import { Trouble } from "./trouble.js";
import { decode, encode } from "./text.js";
import { wide } from "./wide.js";

const SAID = {
  "not-found": "is not there; install it, or name the place where it is",
  "timed-out": "did not end in time",
};

/** Characters of arguments in an error. */
const SHOWN = 200;

/** Arguments in a line. A long one is left out whole, with all that follows: koi hides secrets, and does not know a part of one. */
const shown = (args) => {
  let line = "";
  for (const arg of args) {
    const blank = line && " ";
    if (line.length + arg.length > SHOWN) return `${line}${blank}…`;
    line += blank + (arg && !/\s/.test(arg) ? arg : `"${arg}"`);
  }
  return line;
};

const denied = (args) =>
  `is not granted ${args.length ? `with these arguments: ${shown(args)}` : "without arguments"}; koid's log has the line for [grants]`;

/**
 * Runs the program at an absolute path with these arguments, to its end; what it wrote to its standard output. It may take `ms`, and
 * without that as long as the call has. What does not exit with 0 throws a Trouble.
 *
 * `stdin` is what it reads: a text or bytes. A secret goes there: arguments are seen by everybody on the node. `env` has variables by
 * their names; `exec-env` of [grants] says which may be set.
 */
export const run = (program, args, ms, { stdin = "", env = {} } = {}) => {
  let output;
  try {
    output = rawRun({
      program,
      args,
      env: Object.entries(env),
      stdin: typeof stdin === "string" ? encode(stdin) : stdin,
      timeoutMs: ms === undefined ? undefined : wide(Math.round(ms)),
    });
  } catch (error) {
    const why = error?.payload?.tag ?? error?.payload;
    if (why === undefined) throw error;
    if (why === "denied") throw new Trouble(`${program} ${denied(args)}`);
    throw new Trouble(SAID[why] ? `${program} ${SAID[why]}` : `${program}: ${error.payload.val}`);
  }
  if (output.code === 0) return decode(output.stdout);
  const said = decode(output.stderr).trim().split("\n")[0];
  if (said) throw new Trouble(`${program}: ${said}`);
  const ended = typeof output.code === "number" ? `exited with ${output.code} and said nothing` : "was killed by a signal";
  throw new Trouble(`${program} ${ended}`);
};
