// The built demo in a real Chromium: real clocks, real cookies, and no errors in the console.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { launch, screenshots } from './browser.mjs';

const PASSWORDS = { ada: 'analytical engine', grace: 'nanoseconds of wire', margaret: 'guidance software' };

// On a port that the system chooses, with its sessions in memory unless there is a Redis.
async function start(timeouts, redis) {
  const { DEMO, PATH } = process.env;
  assert.ok(DEMO, 'DEMO is the path of the program; tests/browser/run builds it and sets that');
  const env = { PATH, PORT: '0', RUST_LOG: 'error', ...timeouts && { DEMO_TIMEOUTS: timeouts }, ...redis && { REDIS_URL: redis.url } };
  const child = spawn(DEMO, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line'),
    exited.then(([code]) => { throw new Error(`the demo ended at its start with ${code}`); }),
  ]);
  const [origin] = line.match(/http:\S+/);
  const demo = {
    origin,
    left: null, // its exit code, if it ended before `stop`
    // Open requests are finished first. Returns the exit code.
    async askToStop() {
      child.kill('SIGTERM');
      const [code] = await exited;
      return code;
    },
    async stop() {
      child.kill('SIGKILL');
      await exited;
    },
  };
  exited.then(([code, signal]) => { demo.left = code ?? signal; });
  return demo;
}

let launched;
after(async () => (await launched)?.close());

// Records how sockets are closed, why streams of events end, and violations of the policy.
function instrument() {
  window.closings = [];
  window.streamEnds = [];
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener('close', ({ code }) => window.closings.push(code));
    }
  };
  window.EventSource = class extends EventSource {
    constructor(...given) {
      super(...given);
      this.addEventListener('session-ended', ({ data }) => window.streamEnds.push(JSON.parse(data).reason));
    }
  };
  addEventListener('securitypolicyviolation', event => console.error(`violates ${event.violatedDirective}: ${event.blockedURI}`));
}

// One test against a demo of its own. `browse` opens another browser, with a jar of its own.
// Whatever a console shows as an error or warning fails the test, and so does an exception, but for
// answers that are `refused`: a browser reports each 4xx and 5xx as an error of its own, so those
// that a test is about are named there by path and status.
export function scene(name, { timeouts, redis, refused = {}, ...options }, play) {
  test(name, { timeout: 80_000 }, async () => {
    const browser = await (launched ??= launch());
    const demo = await start(timeouts, redis);
    const [contexts, complaints] = [[], []];
    const expected = (text, url) => {
      const [, line] = text.match(/^WebSocket connection to '(\S+)' failed/) ?? []; // the text varies with the status
      if (line) return new URL(line).pathname in refused;
      const status = text.match(/^Failed to load resource: the server responded with a status of (\d+) /)?.[1];
      return status && [refused[new URL(url).pathname]].flat().includes(Number(status));
    };
    const browse = async more => {
      const context = await browser.newContext({ baseURL: demo.origin, ...options, ...more });
      contexts.push(context);
      context.setDefaultTimeout(5000);
      await context.addInitScript(instrument);
      context.on('weberror', error => complaints.push(`${error.error()}`));
      context.on('console', message => {
        const { url } = message.location();
        if (/^(error|warning)$/.test(message.type()) && !expected(message.text(), url)) complaints.push(`${message.text()} (${url})`);
      });
      return context;
    };
    try {
      await play({ demo, browser, browse, context: await browse() });
      assert.deepEqual(complaints, []);
    } catch (error) {
      if (demo.left !== null) error.message += ` (the demo ended with ${demo.left})`;
      await screenshots(name, contexts.flatMap(context => context.pages()));
      throw error;
    } finally {
      await Promise.all(contexts.map(context => context.close()));
      await demo.stop();
    }
  });
}

// The whole path: an address may have another one in its query.
export const at = (page, path) => page.waitForURL(url => url.pathname === path);

// The element is there.
export const ready = page => page.waitForFunction(() => document.querySelector('portcullis-timeout')?.check);

export async function fillIn(page, who) {
  await page.getByLabel('Name').fill(who);
  await page.getByLabel('Password').fill(PASSWORDS[who]);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
export async function signIn(page, who = 'ada', path = '/account') {
  await page.goto(`/sign-in?return_to=${path}`);
  await fillIn(page, who);
  await at(page, path);
  await ready(page);
}
export async function confirm(page, who = 'ada') {
  await page.getByLabel('Password').fill(PASSWORDS[who]);
  await page.getByRole('button', { name: 'Confirm' }).click();
}
// Another browser of Ada ends all her other sessions.
export async function endOthersFromElsewhere(browse) {
  const other = await (await browse()).newPage();
  await signIn(other, 'ada', '/confirm');
  await confirm(other);
  await at(other, '/account');
  await other.goto('/account/devices');
  await other.getByRole('button', { name: 'End all others' }).click();
}

export const signOut = page => page.getByRole('button', { name: 'Sign out', exact: true }).click();

// No part of the page is visible, or in the tree that screen readers read.
export const covered = async page => !await page.locator('h1').first().isVisible() && !/Public handle|heading "(Hello|Write)/.test(await page.locator('body').ariaSnapshot());
