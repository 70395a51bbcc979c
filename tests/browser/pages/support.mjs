// Servers and clients of the real program, and pages in Chromium. Everything waits on conditions.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';

const TIMEOUT_MS = 20_000;
const root = join(import.meta.dirname, '../../..');
const require = createRequire(`${process.env.CRC_BROWSER_MODULES ?? join(root, 'target/browser')}/`);
const { chromium } = require('playwright-core');
const crc = process.env.CRC_TESTS_BIN ?? join(root, 'target/debug/crc');
const browsers = [process.env.CRC_CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = browsers.find((path) => path && existsSync(path));

// Why no page can be tested here; false if it can.
export const skip = !executablePath ? 'no Chromium: install it, or name it in CRC_CHROMIUM'
  : !existsSync(crc) && `no ${crc}: run cargo build, or name the program in CRC_TESTS_BIN`;

export async function launch() {
  // A page that is not served by the server itself counts as one from outside this machine.
  const access = process.env.CRC_WEB_FOLDER ? ['--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets'] : [];
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage', ...access] });
}

// Returns the first value of `condition` that is true, tried until the deadline.
export async function eventually(what, condition) {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert.ok(Date.now() < deadline, `never: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 5); }); // interval between checks
  }
}

// A program with lines on its standard output.
class Program {
  constructor(args) {
    this.lines = [];
    this.log = '';
    this.child = spawn(crc, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    createInterface({ input: this.child.stdout }).on('line', (line) => this.lines.push(line));
    this.child.stderr.on('data', (data) => { this.log += data; });
    this.exit = new Promise((resolve) => { this.child.on('exit', (code, signal) => { this.hasExited = true; resolve({ code, signal }); }); });
  }

  async end(signal = 'SIGKILL') {
    this.child.kill(signal);
    return this.exit;
  }
}

export class Server extends Program {
  // `listen` has the addresses of each wire; without a port, any free one.
  static async start(options = [], { crc: crcPort = 0, http: httpPort = 0 } = {}) {
    const listen = [`crc://127.0.0.1:${crcPort}`, `http://127.0.0.1:${httpPort}`].flatMap((uri) => ['--listen', uri]);
    const server = new Server(['server', ...listen, ...options]);
    server.options = options;
    const port = (wire) => Number(server.lines.find((line) => line.startsWith(`listening ${wire} `))?.split(':')[1]);
    await eventually(`a server listens\n${server.log}`, () => {
      assert.ok(!server.hasExited, `the server has ended:\n${server.log}`);
      return port('crc') && port('http');
    });
    server.ports = { crc: port('crc'), http: port('http') };
    server.url = `http://127.0.0.1:${server.ports.http}`;
    return server;
  }

  // Starts it again with the same options and ports, after it has ended.
  again() {
    return Server.start(this.options, this.ports);
  }
}

// `crc client --json`.
export class TerminalClient extends Program {
  constructor(server, name, id) {
    super(['client', `crc://127.0.0.1:${server.ports.crc}`, '--name', name, '--id', `${id}`, '--json']);
  }

  type(line) {
    this.child.stdin.write(`${line}\n`);
  }

  // Waits for an event with these values.
  sees(expected) {
    const wanted = Object.entries(expected);
    return eventually(`an event ${JSON.stringify(expected)} among\n${this.lines.join('\n')}`, () => this.lines.some((line) => {
      const event = JSON.parse(line);
      return wanted.every(([key, value]) => event[key] === value);
    }));
  }
}

export class Folder {
  path = mkdtempSync(join(tmpdir(), 'crc-browser-'));

  write(name, text) {
    writeFileSync(join(this.path, name), text, { mode: 0o600 });
    return join(this.path, name);
  }

  remove() {
    rmSync(this.path, { recursive: true });
  }
}

const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

// Serves the files as they are now, with the headers of the server, which embeds those of its build.
async function serveFromFolder(route) {
  const { origin, pathname } = new URL(route.request().url());
  const name = { '/': 'index.html', '/operator': 'operator.html' }[pathname] ?? pathname.slice(1);
  const path = join(process.env.CRC_WEB_FOLDER, name);
  const { [extname(name)]: contentType } = { '.html': 'text/html', '.mjs': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
  if (!contentType || !existsSync(path)) return route.continue();
  const original = await route.fetch({ url: `${origin}${name === 'operator.html' ? '/operator' : '/'}` });
  const policy = original.headers()['content-security-policy'];
  if (!policy || !original.ok()) return route.continue(); // not a server of ours, or not there
  return route.fulfill({ path, contentType, headers: { 'content-security-policy': policy } });
}

// Opens a page, in a context of its own. Errors in its scripts fail the test at its end.
export async function open(browser, t, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 760 }, bypassCSP: false, ...options });
  context.setDefaultTimeout(TIMEOUT_MS);
  if (process.env.CRC_WEB_FOLDER) await context.route('**', serveFromFolder);
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.stack));
  page.on('console', (message) => { if (message.text().includes('Content Security Policy')) errors.push(message.text()); });
  t.after(async () => {
    await context.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(url);
  return page;
}

export async function signIn(page, name) {
  await page.fill('#name', name);
  await page.press('#name', 'Enter');
  await page.waitForSelector('#app:not([hidden])');
}

export async function type(page, line) {
  await page.fill('#entry', line);
  await page.press('#entry', 'Enter');
}

// Waits until an element has a text.
export async function has(page, selector, text) {
  await page.locator(selector).filter({ hasText: text }).first().waitFor();
}

// Fails on what axe-core finds to be in the way of people with disabilities.
export async function checkAccess(page, what) {
  // Colours that are still changing have another contrast than those that stay.
  await page.evaluate(() => Promise.all(document.getAnimations().filter((a) => a.effect.getComputedTiming().iterations === 1).map((a) => a.finished)));
  const session = await page.context().newCDPSession(page);
  await session.send('Runtime.evaluate', { expression: axe });
  const violations = await page.evaluate(async () => (await globalThis.axe.run()).violations.map(({ impact, id, nodes }) => ({ impact, id, nodes: nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`) })));
  assert.deepEqual(violations, [], what);
}
