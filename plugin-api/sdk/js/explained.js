// Makes a failure that people can read of an exception that nobody foresaw.

import { log } from "koi:service/host@0.2.0";
import { HOOKS, wrongReport } from "./shape.js";
import { wide } from "./wide.js";

const FORESEEN = ["retry", "fatal", "misconfigured", "unsupported"];

/**
 * The same hooks; what they throw is one of the errors of koi:service, or becomes `retry`, with the stack in koi's log. So does a hook
 * that is called and is not there, and a status of another shape than koi's. Of `changes` too: `export const changes = explained({ changed(ctx) { … } })`.
 */
export const explained = (hooks) =>
  Object.fromEntries(("changed" in hooks ? ["changed"] : HOOKS).map((name) => [name, (...args) => {
    if (typeof hooks[name] !== "function") {
      throw { tag: "retry", val: `the handler has no function ${name}; write one, or take it out of hooks in describe` };
    }
    try {
      const result = hooks[name](...args);
      // An async hook throws later.
      if (typeof result?.then !== "function") return checked(name, result);
      return result.then((value) => checked(name, value)).catch((error) => explain(name, error));
    } catch (error) {
      return explain(name, error);
    }
  }]));

const checked = (name, result) => {
  const wrong = name === "status" ? wrongReport(result) : undefined;
  if (wrong !== undefined) throw { tag: "retry", val: wrong };
  if (name !== "status") return result;
  const { promotionScore: score, processes = [] } = result;
  return { ...result, promotionScore: score === undefined || score === null ? undefined : wide(score), processes };
};

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
