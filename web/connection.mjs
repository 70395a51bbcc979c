import { parseJson } from './json.mjs';

const RETRY_MS = 500;
const RETRY_MS_MAX = 20_000;
const ANSWER_MS = 10_000;
// What is sent after such a silence may go nowhere.
const SILENCE_MS = 30_000;
const POLICY = 1008;

// A WebSocket that is opened again when it ends.
//
//   closed → connecting → greeting → online → waiting → connecting …
//
// `greet` returns the first message, `isWelcome` whether an event accepts it. A connection that the
// server ends for good (close code 1008), or that `stop` ends, stays closed.
export class Connection {
  #socket = null;
  #timer = null;
  #probe = null;
  #attempts = 0;

  // `options` has `url`, `protocol`, `greet`, `isWelcome`, `probe`, `onEvent` and `onState`.
  constructor(options) {
    Object.assign(this, { env: globalThis, state: 'closed', retryAt: 0, receivedAt: 0 }, options);
  }

  start() {
    this.env.clearTimeout(this.#timer);
    const socket = new this.env.WebSocket(this.url, this.protocol);
    this.#socket = socket;
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#become('greeting');
      this.send(this.greet());
    };
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#receive(data); };
    socket.onclose = ({ code, reason }) => { if (socket === this.#socket) this.#lost(code, reason); };
    this.#expectAnswer();
    this.#become('connecting');
  }

  // Returns whether the message was handed to the socket.
  send(message) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(message));
    if (this.env.Date.now() - this.receivedAt > SILENCE_MS) this.check();
    return true;
  }

  // Ends the connection for good, after what was sent.
  stop(reason = '') {
    this.#drop();
    this.#become('closed', reason);
  }

  // Connects at once instead of waiting.
  retryNow() {
    if (this.state === 'waiting') this.start();
  }

  // Asks for any answer, by `probe` if events do not come anyway; without one, the connection is
  // taken for lost and opened again. A browser notices by itself only after minutes that the other
  // end is gone.
  check() {
    if (this.state !== 'online' || this.#probe) return;
    this.#expectAnswer();
    if (this.probe) this.send(this.probe);
  }

  #expectAnswer() {
    this.#probe = this.env.setTimeout(() => this.#lost(0, 'no answer'), ANSWER_MS);
  }

  #receive(data) {
    this.env.clearTimeout(this.#probe);
    this.#probe = null;
    this.receivedAt = this.env.Date.now();
    const event = parseJson(data);
    const isWelcome = this.state === 'greeting' && this.isWelcome(event);
    if (isWelcome) {
      this.#attempts = 0;
      this.#become('online');
    }
    this.onEvent(event);
  }

  #lost(code, reason) {
    this.#drop();
    if (code === POLICY) return this.#become('closed', reason);
    const ceiling = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** this.#attempts);
    const delay = ceiling * (0.5 + this.env.Math.random() / 2);
    this.#attempts += 1;
    this.retryAt = this.env.Date.now() + delay;
    this.#timer = this.env.setTimeout(() => this.start(), delay);
    this.#become('waiting', reason);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.env.clearTimeout(this.#timer);
    this.env.clearTimeout(this.#probe);
    this.#probe = null;
    socket?.close();
  }

  #become(state, reason = '') {
    this.state = state;
    this.onState(state, reason);
  }
}

// Returns the address of a WebSocket of this origin.
export const socketUrl = (path, location) => `${location.protocol.replace('http', 'ws')}//${location.host}${path}`;
