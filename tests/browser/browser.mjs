// A real Chromium, and tests in it whose clock stands still until they move it.
import { after, test } from 'node:test';
import { mkdir, readFile } from 'node:fs/promises';
import { setImmediate as breath } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { standIn } from './stand-in.mjs';

const FAILURES = new URL('../../target/browser-failures/', import.meta.url).pathname;
const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

let launched;
export function launch(options = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ARGUMENTS, ignoreDefaultArgs: ['--disable-back-forward-cache'], ...options,
  });
}
after(async () => (await launched)?.close());

// Waits for effects without an event, such as a message to another tab: two seconds on an idle
// machine, and longer only because a busy one delays every browser.
export async function eventually(holds, what = holds.toString()) {
  const end = performance.now() + 20_000;
  while (!await holds()) {
    if (performance.now() > end) throw new Error(`not within 20 seconds: ${what}`);
    await breath();
  }
}

export async function screenshots(name, pages) {
  await mkdir(FAILURES, { recursive: true });
  for (const [i, page] of pages.entries()) {
    await page.screenshot({ path: `${FAILURES}${name.replace(/\W+/g, '-').slice(0, 80)}-${i}.png` }).catch(() => {});
  }
}

// Counts the requests of a page whose responses it has not handled yet.
function countPending() {
  window.pending = 0;
  window.violations = [];
  addEventListener('securitypolicyviolation', event => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
  const { port1, port2 } = new MessageChannel();
  const later = [];
  port2.onmessage = () => later.shift()();
  const count = promise => {
    window.pending++;
    const done = () => {
      later.push(() => window.pending--);
      port1.postMessage(0);
    };
    promise.then(done, done);
    return promise;
  };
  const [fetch, request] = [window.fetch, navigator.locks?.request];
  window.fetch = (...given) => {
    const reply = fetch(...given);
    count(reply.then(reply => reply.clone().text()));
    return reply;
  };
  if (request) navigator.locks.request = (...given) => count(request.apply(navigator.locks, given));
}

const answered = page => eventually(() => page.evaluate(() => window.pending === 0), 'all answers are in');

// One test against the stand-in. `play` gets the world, the browser's context, `open` for a page of
// it, and `pass`.
export function scene(name, options, play) {
  test(name, { timeout: 60_000 }, async () => {
    const browser = await (launched ??= launch());
    const world = await standIn(options);
    const context = await browser.newContext({ baseURL: world.origin, ...options.context });
    context.setDefaultTimeout(5000);
    // A clock that stands still also hides how a page was loaded.
    if (!options.realTime) {
      await context.clock.install({ time: 1_600_000_000_000 });
      await context.clock.pauseAt(1_600_000_001_000);
    }
    await context.addInitScript(countPending);
    if (options.script) await context.addInitScript(options.script);
    const settle = async () => {
      for (const page of context.pages()) await answered(page);
    };
    const open = async (path = '/page?a=b') => {
      const page = await context.newPage();
      await page.goto(path);
      await page.waitForFunction(() => document.querySelector('portcullis-timeout')?.check);
      await settle();
      return page;
    };
    // Time passes for the server and for every tab, second by second, with all answers in.
    const pass = async seconds => {
      for (let second = 0; second < seconds; second++) {
        world.now += 1000;
        await context.clock.runFor(1000);
        await settle();
      }
    };
    try {
      await play({ world, context, open, pass, settle });
    } catch (error) {
      await screenshots(name, context.pages());
      throw error;
    } finally {
      await context.close();
      await world.close();
    }
  });
}

export const dialog = page => page.getByRole('alertdialog');
export const heading = page => page.getByRole('heading', { name: 'Secret heading' });
export const visible = page => dialog(page).isVisible();
// No part of the page can be seen, read out, or reached.
export const covered = async page => await page.locator('main').count() === 1 && await page.getByRole('main').count() === 0
  && !await page.locator('main').isVisible();

export const focused = page => page.evaluate(() => {
  const inner = document.activeElement.shadowRoot?.activeElement ?? document.activeElement;
  return inner.id || inner.tagName;
});
// Collects the events for the app.
export const recorded = page => page.evaluate(() => {
  window.received = [];
  for (const name of ['warning', 'extended', 'ended'])
    addEventListener(`portcullis-${name}`, ({ detail }) => window.received.push(detail.reason ? `${name} ${detail.reason}` : name));
});
// The component loads the script that keeps forms. This waits until it is loaded and has its first
// answer.
export async function loaded(page) {
  await page.evaluate(() => import('/session/keep.js').then(() => {}));
  await answered(page);
}

// A cover hides the landmarks of the page on purpose.
export const COVERED = { 'landmark-one-main': { enabled: false } };

// The violations that axe finds. The debugger runs it, so no policy of the page applies.
const axe = await readFile(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8');
export async function axeViolations(page, rules = {}) {
  if (!await page.evaluate(() => !!window.axe)) await page.evaluate(axe);
  const { violations } = await page.evaluate(rules => window.axe.run(document, {
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'], rules,
  }), rules);
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html)}`);
}

// Elements that would move, also within the component: an animation or transition that takes time,
// or smooth scrolling.
export const moving = page => page.evaluate(() => {
  const takesTime = durations => durations.split(',').some(duration => parseFloat(duration) > 0);
  const found = [];
  const collect = root => {
    for (const element of root.querySelectorAll('*')) {
      for (const part of [null, '::before', '::after', '::backdrop']) {
        const { animationDuration, transitionDuration, scrollBehavior } = getComputedStyle(element, part);
        if (takesTime(animationDuration) || takesTime(transitionDuration) || scrollBehavior === 'smooth') found.push(`${element.localName}${part ?? ''}`);
      }
      if (element.shadowRoot) collect(element.shadowRoot);
    }
  };
  collect(document);
  return found;
});
