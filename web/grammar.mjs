// Parses what is typed: the grammar of `crc client`, and lines without a command go to the open
// talk. `/msg` writes to any other.

export const HELP = [
  ['/join #lab', 'join the room, or make it'],
  ['/part [#lab] [text]', 'leave the room, or the open one'],
  ['/msg sam Hi there!', 'write to a user, by name or id, or to a room'],
  ['/msg (sam smith) Hi!', 'the same for a name with spaces'],
  ['/names [#lab]', 'show who is in the room'],
  ['/rooms', 'show all rooms'],
  ['/list', 'show who is online'],
  ['/quit [text]', 'sign out, with the text'],
  ['/help', 'show this table'],
];

export const KEYS = [
  ['Tab', 'complete a name, a room or a command'],
  ['↑ ↓', 'recall what was written before'],
  ['Shift Enter', 'start a new line, which is sent as a message of its own'],
  ['Alt ↑ ↓', 'open the next talk, or the one before'],
  ['Esc', 'go to the newest message'],
];

const COMMANDS = new Set(['msg', 'join', 'part', 'rooms', 'names', 'list', 'quit', 'help']);

const error = (text) => ({ error: text });

// Returns null for a blank line, `{ error }`, or a command: its name is in `do`. A line without a
// recipient is `{ do: 'here', text }` if `isTalk`; otherwise it must begin with one.
export function parse(line, isTalk) {
  line = line.replace(/[\r\n]+$/, '').trimStart();
  if (!line) return null;
  const space = line.indexOf(' ');
  const word = space < 0 ? line : line.slice(0, space);
  const rest = space < 0 ? '' : line.slice(space + 1);
  const name = word.slice(1).toLowerCase();
  const isCommand = (word[0] === '/' || word[0] === '@') && COMMANDS.has(name);
  if (isCommand) return parseCommand(word, name, rest);
  if (word[0] === '/') return error(`unknown command ${word}: see /help`);
  if (isTalk) return { do: 'here', text: line };
  if (word[0] === '@') return error(`unknown command ${word}: see /help`);
  return parseMessage(line);
}

function parseCommand(word, name, rest) {
  if (name === 'msg') return rest.trim() ? parseMessage(rest.trimStart()) : error('/msg needs an id or a name, and a text: see /help');
  if (name === 'quit') return { do: 'quit', text: rest };
  if (name === 'join' || name === 'part' || name === 'names') return parseRoomCommand(word, name, rest.trim());
  if (rest.trim()) return error(`${word} takes nothing after it: see /help`);
  return { do: name };
}

function parseRoomCommand(word, name, rest) {
  const [, room, text] = /^(\S*)\s*(.*)$/s.exec(rest);
  if (!room) return name === 'join' ? error(`${word} needs a room: write ${word} #ROOM`) : { do: name, text: '' };
  if (room[0] !== '#') return error(`${room} is not a room: their names begin with #, such as #lab`);
  if (text && name !== 'part') return error(`${word} takes one room: see /help`);
  const problem = roomProblem(room);
  return problem ? error(problem) : { do: name, room, text };
}

// Parses `RECIPIENT TEXT`.
function parseMessage(line) {
  const [, inside, bare, text] = /^(?:\((.*?)\)(?= |$)|(\S+)) ?(.*)$/s.exec(line) ?? [];
  const to = inside ?? bare;
  if (!to) return error('write (NAME) TEXT, or see /help');
  if (!text) return error(`nothing to send to ${to}: write an id or a name, a space and a text, or see /help`);
  return bare?.[0] === '#' ? { do: 'room', room: to, text } : { do: 'user', to, text };
}

// Returns what is wrong with the name of a room, or ''.
export function roomProblem(room) {
  const bytes = new TextEncoder().encode(room).length - 1;
  if (room[0] !== '#' || bytes < 1) return 'the name of a room begins with # and has at least one more character';
  if (bytes > 63) return 'the name of a room has at most 63 bytes after the #';
  return /[\s,\p{Cc}]/u.test(room) ? 'the name of a room has no space and no comma' : '';
}
