/** A number of 64 bits, as the engine takes it: the one without fetch takes a Number, the other one a BigInt. */
export const wide = typeof fetch === "undefined" ? Number : BigInt;
