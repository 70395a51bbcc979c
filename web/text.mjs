// What others wrote, made safe to show.

const UNSAFE = /[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]/gu;
const LINK = /\bhttps?:\/\/[^\s<>"`]+/giu;

// Escapes characters that are invisible or change the direction of what follows.
export const printable = (text) => text.replace(UNSAFE, (c) => (c === '\n' || c === '\t' ? c : `\\u{${c.codePointAt(0).toString(16)}}`));

// Returns where the name appears as a word of its own.
function mentions(text, name) {
  if (!name) return [];
  const escaped = name.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  return [...text.matchAll(new RegExp(`(?<![\\p{L}\\p{N}_])${escaped}(?![\\p{L}\\p{N}_])`, 'giu'))];
}

export const isMention = (text, name) => mentions(text, name).length > 0;

// Returns the length of a link without the punctuation that follows it in a sentence.
function linkLength(link) {
  let end = link.length;
  while (/[.,;:!?'*_~)\]}…]/.test(link[end - 1])) {
    const close = link[end - 1];
    const open = { ')': '(', ']': '[', '}': '{' }[close];
    const body = link.slice(0, end);
    if (open && body.split(open).length >= body.split(close).length) break;
    end -= 1;
  }
  return end;
}

// Splits a text into `{ kind: 'text' | 'link' | 'mention', text }`.
export function segments(text, ownName) {
  text = printable(text);
  const found = [...text.matchAll(LINK)].map((m) => ({ kind: 'link', at: m.index, end: m.index + linkLength(m[0]) }));
  for (const m of mentions(text, ownName)) {
    const [at, end] = [m.index, m.index + m[0].length];
    if (!found.some((link) => link.kind === 'link' && at < link.end && end > link.at)) found.push({ kind: 'mention', at, end });
  }
  const result = [];
  let done = 0;
  for (const { kind, at, end } of found.sort((a, b) => a.at - b.at)) {
    if (at > done) result.push({ kind: 'text', text: text.slice(done, at) });
    result.push({ kind, text: text.slice(at, end) });
    done = end;
  }
  if (done < text.length) result.push({ kind: 'text', text: text.slice(done) });
  return result;
}
