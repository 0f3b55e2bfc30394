// What the library imports of koi and WASI, for tests: one service's log and store, programs, and one TCP peer.

export const world = { logged: [], kept: new Map(), ran: [], program: () => ({ code: 0, stdout: bytes(""), stderr: bytes("") }), peer: null };

export const bytes = (text) => new TextEncoder().encode(text);

/** What the tools throw for an error of an interface. */
export const refused = (payload) => Object.assign(new Error("refused"), { payload });

export const log = (level, message) => world.logged.push([level, message]);

export const get = (key) => world.kept.get(key) ?? null;
export const set = (key, value) => world.kept.set(key, value);
const remove = (key) => world.kept.delete(key);
export { remove as delete };

/** Of the attributes. */
export const read = (fresh) => ({ version: fresh ? "7.2" : "7.1", values: [["primary", "a"]] });

export const run = (command) => {
  world.ran.push(command);
  return world.program(command);
};

export const subscribeDuration = () => "deadline";
export const instanceNetwork = () => "network";
export const createTcpSocket = () => world.peer.socket();
/** Ready is what is not the deadline, until the peer is silent. */
export const poll = () => (world.peer.silent ? [1] : [0]);
