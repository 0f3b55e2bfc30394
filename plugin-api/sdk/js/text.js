// Bytes and texts. There is no TextEncoder in every engine.

/** The bytes of a text, in UTF-8. */
export const encode = (text) => Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));

/** The text of bytes in UTF-8; what is none of it becomes a question mark. */
export const decode = (bytes) => {
  let raw = "";
  for (const byte of bytes) raw += String.fromCharCode(byte);
  try {
    return decodeURIComponent(escape(raw));
  } catch {
    return raw.replace(/[^\x00-\x7f]/g, "?");
  }
};
