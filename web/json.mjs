// Ids have up to 64 bits. Those that a number cannot hold become strings; as a recipient, such a
// string is a name, and the name of these users is their id.
const STRING_OR_WIDE_INTEGER = /"(?:[^"\\]|\\.)*"|(?<![\d.])-?\d{16,}(?![\d.eE])/g;

export const parseJson = (text) => JSON.parse(
  text.replace(STRING_OR_WIDE_INTEGER, (token) => (token[0] === '"' ? token : `"${token}"`)),
);
