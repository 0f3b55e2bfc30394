// koi's store holds bytes; this keeps texts in it. What is set is on disk when set returns.

import * as state from "koi:service/state@0.1.0";

/** The text under `key`; null: there is none. */
export const get = (key) => {
  const bytes = state.get(key);
  return bytes === null ? null : decodeURIComponent(escape(String.fromCharCode(...bytes)));
};

/** Puts `text` under `key`. */
export const set = (key, text) => {
  state.set(key, Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0)));
};

/** Forgets `key`; one that is not there is fine too. */
export const remove = (key) => state.delete(key);
