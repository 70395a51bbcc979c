import { byId, el } from './dom.mjs';
import { complete } from './completion.mjs';
import { HELP } from './grammar.mjs';

const RECALLED_MAX = 100;

const does = (word) => HELP.find(([typed]) => typed.split(' ')[0] === word.trim())?.[1] ?? '';

// The field in which messages are written. Each talk keeps its own draft. `actions` has `send(line)`,
// which returns whether a line was taken (what was not stays in the field), `names()` and
// `announce(text)`.
export class Composer {
  #completion = null;
  #recalled = -1;

  constructor(actions) {
    Object.assign(this, actions);
    this.entry = byId('entry');
    this.entry.onkeydown = (event) => this.#key(event);
    this.entry.oninput = () => { this.talk.draft = this.entry.value; this.#show(null); };
    this.entry.onblur = () => this.#show(null);
    byId('composer').onsubmit = (event) => {
      event.preventDefault();
      this.#submit();
      this.entry.focus();
    };
  }

  show(talk) {
    this.talk = talk;
    this.#recalled = -1;
    this.#set(talk.draft);
  }

  #set(text) {
    this.entry.value = this.talk.draft = text;
    this.#show(null);
  }

  #submit() {
    const { talk } = this;
    const lines = this.entry.value.split('\n');
    while (lines.length && this.send(lines[0])) {
      const line = lines.shift();
      if (line.trim() && talk.sent.at(-1) !== line) talk.sent.push(line);
    }
    if (talk.sent.length > RECALLED_MAX) talk.sent.splice(0, talk.sent.length - RECALLED_MAX);
    talk.draft = lines.join('\n');
    this.show(this.talk);
    return true;
  }

  #key(event) {
    if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const take = {
      Enter: () => this.#submit(),
      Tab: () => this.#tab(),
      ArrowUp: () => this.#recall(1),
      ArrowDown: () => this.#recall(-1),
    }[event.key];
    if (take?.()) event.preventDefault();
  }

  // Completes the word before the caret; again, takes the next candidate. Without candidates Tab
  // moves the focus as everywhere.
  #tab() {
    const { entry } = this;
    if (!this.#completion) {
      const line = entry.value.slice(0, entry.selectionStart);
      const { start, words } = complete(line.slice(line.lastIndexOf('\n') + 1), this.names());
      if (!words.length) return false;
      this.#completion = { words, at: -1, start: line.lastIndexOf('\n') + 1 + start, rest: entry.value.slice(entry.selectionEnd) };
    }
    const { words, start, rest } = this.#completion;
    const at = (this.#completion.at + 1) % words.length;
    this.#completion.at = at;
    entry.value = entry.value.slice(0, start) + words[at] + rest;
    entry.selectionStart = entry.selectionEnd = start + words[at].length;
    this.talk.draft = entry.value;
    this.#show(this.#completion);
    return true;
  }

  #recall(step) {
    const { sent } = this.talk;
    const isWritten = this.entry.value && this.#recalled < 0;
    const next = this.#recalled + step;
    if (isWritten || next < -1 || next >= sent.length) return false;
    this.#set(next < 0 ? '' : sent.at(-1 - next));
    this.#recalled = next;
    return true;
  }

  #show(completion) {
    this.#completion = completion;
    if (!completion) this.#recalled = -1;
    const words = completion && completion.words.length > 1 ? completion.words : [];
    const first = Math.max(0, Math.min((completion?.at ?? 0) - 3, words.length - 8));
    byId('hints').replaceChildren(...words.slice(first, first + 8).map((word, i) => el('div', { className: first + i === completion.at ? 'on' : '' }, word, el('small', {}, does(word)))));
    if (words.length) this.announce(`${words[completion.at]}, ${completion.at + 1} of ${words.length}`);
  }
}
