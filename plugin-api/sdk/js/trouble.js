// What goes wrong outside of the handler: its message is one line for people, and what to do.

/** Thrown in a hook that is `explained`, it becomes `retry`; or `misconfigured`, where [config] is wrong. */
export class Trouble extends Error {
  isTrouble = true;

  constructor(message, isConfig = false) {
    super(message);
    this.isConfig = isConfig;
  }
}
