// Keys of [config]: what a handler says of them, and their values. koid has looked at what service.toml says: a value has the form
// of its key's type.

import { Trouble } from "./trouble.js";
import { wide } from "./wide.js";

/** What a value may be, for `key`: the types that need no more to be said, and two that do. */
export const TEXT = { tag: "text" };
export const BOOLEAN = { tag: "boolean" };
export const DURATION = { tag: "duration" };
export const ADDRESS = { tag: "address" };
export const IP = { tag: "ip" };
export const SECRET = { tag: "secret" };
export const integer = (least, most) => ({ tag: "integer", val: { least: wide(least), most: wide(most) } });
export const oneOf = (...texts) => ({ tag: "one-of", val: texts });

/** A key; `more` may have `required`, `many`, and `default`: a list of values, as service.toml would have them. */
export const key = (name, kind, description, more = {}) =>
  ({ name, description, kind, many: false, required: false, default: [], ...more });

/** The values of [config] in the types of the language; undefined: the key has no value. */
export const values = (ctx) => {
  const texts = (key) => ctx.config.filter(([name]) => name === key).map(([, value]) => value);
  const parsed = (key, what, parse) => {
    const [text] = texts(key);
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) throw new Trouble(`${key} in [config] is not ${what}`, true); // It may be a secret: it is not shown.
    return value;
  };
  return {
    /** A text. */
    text: (key) => texts(key)[0],
    /** All texts of a key that may have many. */
    texts,
    /** A Number, exact up to 2^53. */
    integer: (key) => parsed(key, "a whole number", (text) => (/^-?\d+$/.test(text) ? Number(text) : undefined)),
    boolean: (key) => parsed(key, "true or false", (text) => ({ true: true, false: false })[text]),
    /** In milliseconds, as timers take it. */
    duration: (key) => parsed(key, "a number of milliseconds", (text) => (/^\d+$/.test(text) ? Number(text) : undefined)),
  };
};
