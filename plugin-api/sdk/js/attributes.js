// The attributes of the service's group, which the whole cluster shares: its master writes them, every node reads them. A function that fails
// throws { payload: { tag, val } }: not-master, invalid and unavailable have written nothing; nobody knows of unknown.

import * as attributes from "koi:service/attributes@0.2.0";

/** All of them as this node acts on them; with `true` as the leader knows them, which is asked for that: { version, values }. */
export const read = (fresh = false) => {
  const { version, values } = attributes.read(fresh);
  return { version, values: Object.fromEntries(values) };
};

/** Writes one. When it returns a quorum has it on disk, and this node acts on it. */
export const set = (key, value) => attributes.set(key, value);

/** Removes one; one that is not there is fine too. */
export const remove = (key) => attributes.remove(key);
