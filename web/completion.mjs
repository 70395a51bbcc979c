import { HELP } from './grammar.mjs';

const COMMANDS = HELP.map(([typed]) => typed.split(' ')).map(([word, ...more]) => (more.length ? `${word} ` : word));
const ROOM_COMMAND = /^\/(join|part|names) /i;
const MSG = /^\/msg /i;

// Returns a name as it is typed at the start of a line.
const recipient = (name) => (/[ ()]|^[/@#]|^\d+$/.test(name) ? `(${name}) ` : `${name} `);

const startsWith = (word, prefix) => word.slice(0, prefix.length).toLowerCase() === prefix.toLowerCase();

function matching(words, prefix) {
  const found = new Set();
  for (const word of words) {
    if (startsWith(word, prefix) || startsWith(word.replace(/^\(/, ''), prefix)) found.add(word);
    if (found.size === 50) break;
  }
  return [...found].sort((a, b) => a.localeCompare(b));
}

function* map(items, change) {
  for (const item of items) yield change(item);
}

// Returns what may replace `line.slice(start)`, the line ending at the caret. `users`, `members` (of
// the open talk) and `rooms` are iterables of names.
export function complete(line, { users, members, rooms }) {
  const roomWords = () => map(rooms, (room) => `${room} `);
  const rest = (head, words) => ({ start: head[0].length, words: matching(words, line.slice(head[0].length)) });
  const command = ROOM_COMMAND.exec(line);
  if (command) return rest(command, roomWords());
  const msg = MSG.exec(line);
  if (msg && !line.slice(msg[0].length).includes(' ')) return rest(msg, [...map(users, recipient), ...roomWords()]);
  if (line[0] === '/' && !line.includes(' ')) return { start: 0, words: matching(COMMANDS, line) };
  const start = line.search(/\S*$/);
  const word = line.slice(start);
  if (!word) return { start, words: [] };
  if (word[0] === '#') return { start, words: matching(roomWords(), word) };
  const first = matching(map(members, (name) => `${name} `), word);
  return { start, words: first.length ? first : matching(map(users, (name) => `${name} `), word) };
}
