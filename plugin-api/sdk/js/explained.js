// Makes a failure that people can read of an exception that nobody foresaw.

import { log } from "koi:service/host@0.2.0";

const FORESEEN = ["retry", "fatal", "misconfigured", "unsupported"];

/** The same hooks; what they throw is one of the errors of koi:service, or becomes `retry`, with the stack in koi's log. */
export const explained = (hooks) =>
  Object.fromEntries(Object.entries(hooks).map(([name, hook]) => [name, (...args) => {
    try {
      const result = hook(...args);
      // An async hook throws later.
      return typeof result?.then === "function" ? result.catch((error) => explain(name, error)) : result;
    } catch (error) {
      return explain(name, error);
    }
  }]));

const explain = (name, error) => {
  if (FORESEEN.includes(error?.tag)) throw error;
  // A Trouble of this library says all there is to say.
  if (error?.isTrouble) throw { tag: error.isConfig ? "misconfigured" : "retry", val: error.message };
  // What koi itself refused, such as a value too large for the store, is in `payload`.
  const text = error?.payload ? `koi refused: ${JSON.stringify(error.payload)}` : String(error);
  const stack = error?.stack ?? "";
  log("error", `${name}: ${text}\n${stack}`);
  const place = stack.match(/[^\s(/]+:\d+:\d+/); // The innermost: handler.js:35:12
  throw { tag: "retry", val: place ? `${text} (${place[0]})` : text };
};
