// What a handler wants of the node, each with a line for the operator who decides. Texts may name keys of [config] in braces; a key
// without a value makes no want.

/** To run a program: an absolute path, then a word for each argument. A `*` in a word stands for any text. It runs as
 * `user`; with `keep` what it launches outlives the call. */
export const exec = (words, reason, { user = undefined, keep = false } = {}) =>
  ({ capability: { tag: "exec", val: { words, user, keep } }, reason });

/** To set this variable for the programs that it runs. */
export const execEnv = (name, reason) => ({ capability: { tag: "exec-env", val: name }, reason });

/** To connect to "ip:port". */
export const tcp = (address, reason) => ({ capability: { tag: "tcp", val: address }, reason });

/** To send HTTP requests to "host:port". */
export const http = (address, reason) => ({ capability: { tag: "http", val: address }, reason });
