// koi's store holds bytes; this keeps texts in it. What is set is on disk when set returns.

import * as state from "koi:service/state@0.2.0";
import { decode, encode } from "./text.js";

/** The text under `key`; null: there is none. */
export const get = (key) => {
  const bytes = state.get(key);
  return bytes === null || bytes === undefined ? null : decode(bytes);
};

/** Puts `text` under `key`. */
export const set = (key, text) => state.set(key, encode(text));

/** Forgets `key`; one that is not there is fine too. */
export const remove = (key) => state.delete(key);
