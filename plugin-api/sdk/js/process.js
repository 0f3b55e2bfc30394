// The processes that a service runs in, for `processes` of what status returns: koi watches them, and asks for the status at once when one ends.

/** A process by its id. */
export const pid = (number) => ({ tag: "pid", val: number });

/** A process by a file whose first line is its id, in a directory that [grants] lets the handler read. */
export const pidfile = (path) => ({ tag: "pidfile", val: path });
