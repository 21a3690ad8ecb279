// All tabs of a browser agree.
import assert from 'node:assert/strict';
import { covered, eventually, heading, recorded, scene, visible } from './browser.mjs';

const all = async (tabs, holds) => (await Promise.all(tabs.map(holds))).every(Boolean);
const three = async open => [await open(), await open(), await open()];
// Counts the messages of other tabs to a page.
const listening = page => page.evaluate(() => {
  window.messages = 0;
  addEventListener('storage', ({ newValue }) => { if (newValue) window.messages++; });
});
const messages = (page, times) => eventually(() => page.evaluate(times => window.messages === times, times), `${times} messages`);
const broadcast = (page, answer) => page.evaluate(answer => {
  localStorage['/session'] = JSON.stringify({ answer, age: 0 });
  delete localStorage['/session'];
}, answer);
const AT_ONCE = () => { Math.random = () => 0.5; };
const WITHOUT_LOCKS = () => { delete Navigator.prototype.locks; };

scene('s109 t82 an extension in one tab closes the warning in all', {}, async ({ world, open, pass }) => {
  const tabs = await three(open);
  await recorded(tabs[2]);
  await pass(180);
  await eventually(() => all(tabs, visible));
  await tabs[0].getByRole('button', { name: 'Stay signed in' }).click();
  await eventually(() => all(tabs, async tab => !await visible(tab)));
  assert.equal(world.extensions, 1);
  assert.deepEqual(await tabs[2].evaluate(() => window.received), ['warning', 'extended']);
});

scene('s109 signing out in one tab covers all', {}, async ({ open, pass }) => {
  const tabs = await three(open);
  await pass(180);
  await tabs[1].getByRole('button', { name: 'Sign out now' }).click();
  await eventually(() => all(tabs, covered));
});

scene('s109 signing out by a form in one tab covers the others, with any redirection', {
  content: '<form method="post" action="/sign-out"><button>Leave</button></form>',
}, async ({ world, open, pass }) => {
  const tabs = await three(open);
  await tabs[0].getByRole('button', { name: 'Leave' }).click();
  await tabs[0].waitForURL('**/signed-out');
  assert.equal(await tabs[0].locator('portcullis-timeout').count(), 0);
  const { polls } = world;
  await pass(2);
  await eventually(() => all(tabs.slice(1), covered));
  assert.ok(world.polls - polls <= 2);
});

const LEAVE = { content: '<form method="post" action="/sign-out"><button>Leave</button></form>' };
// Holds back the answer to a form.
function slowly(world) {
  let answer;
  world.slow = new Promise(resolve => { answer = resolve; });
  return answer;
}

scene('s109 signing out by a form that takes its time makes the others ask once more when it is done', LEAVE, async ({ world, open, pass }) => {
  const [page, other] = [await open(), await open()];
  await listening(other);
  const answer = slowly(world);
  await page.getByRole('button', { name: 'Leave' }).click({ noWaitAfter: true });
  await messages(other, 1);
  answer();
  await page.waitForURL('**/signed-out');
  await messages(other, 2);
  await pass(2);
  await eventually(() => covered(other));
});

scene('s109 signing out by a script is noticed in every tab within twice the time that it takes', {
  ...LEAVE,
  script: () => addEventListener('submit', event => {
    event.preventDefault();
    const request = new XMLHttpRequest(); // `pass` would wait for a `fetch`
    request.open('POST', '/sign-out');
    request.send();
  }),
}, async ({ world, open, pass }) => {
  const tabs = await three(open);
  const answer = slowly(world);
  await tabs[0].getByRole('button', { name: 'Leave' }).click();
  await pass(8);
  answer();
  await eventually(() => world.session === null);
  await pass(10);
  await eventually(() => all(tabs, covered));
});

scene('s109 an end that one tab learns of covers all', {}, async ({ world, open }) => {
  const tabs = await three(open);
  world.end('revoked_by_operator');
  await tabs[2].evaluate(() => document.querySelector('portcullis-timeout').check());
  await eventually(() => all(tabs, covered));
  assert.equal(world.polls, 4);
});

for (const [how, script] of [['by a lock', AT_ONCE], ['by messages, where there are no locks', WITHOUT_LOCKS]]) {
  scene(`s109 one tab asks for all: ${how}`, { idle: 3600, absolute: 7200, script }, async ({ world, open, pass }) => {
    await three(open);
    const { polls } = world;
    await pass(300);
    const asked = world.polls - polls;
    assert.ok(asked >= 4 && asked <= 9, `${asked} polls in five periods`);
  });
}

scene('a hidden tab sends no requests', { idle: 3600, absolute: 7200, script: () => {
  Object.defineProperty(document, 'hidden', { value: true });
} }, async ({ world, open, pass }) => {
  await open();
  await pass(180);
  assert.equal(world.polls, 0);
});

scene('nothing of the session is left in storage', {}, async ({ open, pass }) => {
  const page = await open();
  await pass(180);
  assert.deepEqual(await page.evaluate(() => ({ ...localStorage })), {});
});

scene('an answer that was overtaken by an extension is ignored', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  await recorded(page);
  await pass(180);
  const release = await askSlowly(world, page);
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  await page.waitForFunction(() => window.received.includes('extended'));
  release();
  await settle();
  await pass(1);
  assert.equal(await visible(page), false);
});

scene('an older message of another tab does not undo a newer one', {}, async ({ world, open, pass }) => {
  const [page, other] = [await open(), await open()];
  const old = { now: world.now, ends_at: world.now + 300_000, extends_to: world.now + 300_000, authenticated: true, user_fingerprint: 'ada' };
  await pass(180);
  world.slide();
  await page.evaluate(() => document.querySelector('portcullis-timeout').check());
  await eventually(async () => !await visible(page));
  await other.evaluate(answer => localStorage.setItem('/session', JSON.stringify({ status: 200, answer, age: 0 })), { ...old, ends_at: old.now + 5000 });
  await pass(3);
  assert.equal(await visible(page), false);
  assert.equal(await heading(page).isVisible(), true);
});

scene('s109 an end from before a sign-in does not cover the page that has signed in, and one from after it does', {}, async ({ world, open }) => {
  const other = await open();
  world.now += 1000;
  world.signIn();
  const page = await open();
  await listening(page);
  const end = { status: 401, reason: 'idle_timeout', detail: 'Too long.' };
  await broadcast(other, { ...end, now: world.now - 1 });
  await messages(page, 1);
  assert.equal(await covered(page), false);
  await broadcast(other, { ...end, now: world.now + 1 });
  await eventually(() => covered(page));
});

const extend = page => page.evaluate(() => document.querySelector('portcullis-timeout').extend());

// Has a page ask, and holds the answer back: it describes the state at the time of the request.
async function askSlowly(world, page) {
  let release;
  world.hold = new Promise(resolve => { release = resolve; });
  world.stale = true;
  const { polls } = world;
  await page.evaluate(() => document.querySelector('portcullis-timeout').check());
  await eventually(() => world.polls > polls, 'the server is asked');
  world.hold = null;
  world.stale = false;
  return release;
}

for (const [who, end] of [
  ['the user signed out in another tab', (world, other) => other.getByRole('button', { name: 'Sign out now' }).click()],
  ['another tab reports the end', (world, other) => {
    world.end('revoked_by_user');
    return extend(other);
  }],
]) {
  scene(`s109 an answer from before the end uncovers no tab once ${who}`, {}, async ({ world, open, pass, settle }) => {
    const tabs = [await open(), await open()];
    await pass(180);
    const release = await askSlowly(world, tabs[0]);
    world.now += 1000;
    await end(world, tabs[1]);
    await eventually(() => all(tabs, covered));
    release();
    await settle();
    await pass(2);
    assert.equal(await all(tabs, covered), true);
  });
}

scene('s109 an extension that was overtaken by signing out in another tab uncovers none', {}, async ({ world, open, pass, settle }) => {
  const tabs = [await open(), await open()];
  await pass(180);
  const answered = await tabs[0].evaluate(() => fetch('/session/extend', { method: 'POST' }).then(reply => reply.text()));
  world.now += 1000;
  await tabs[0].route('**/session/extend', async route => {
    await tabs[1].getByRole('button', { name: 'Sign out now' }).click();
    await eventually(() => all(tabs, covered));
    await route.fulfill({ json: JSON.parse(answered) });
  });
  await extend(tabs[0]);
  await settle();
  await pass(2);
  assert.equal(await all(tabs, covered), true);
});

scene('s109 an end from before a sign-in in another tab covers none, though its answer comes after', {}, async ({ world, open, settle, pass }) => {
  const tabs = [await open(), await open()];
  await listening(tabs[0]);
  world.end('idle_timeout');
  const release = await askSlowly(world, tabs[0]);
  world.now += 1000;
  world.signIn();
  await extend(tabs[1]);
  await messages(tabs[0], 1);
  release();
  await settle();
  await pass(2);
  assert.deepEqual(await Promise.all(tabs.map(covered)), [false, false]);
});

scene('of two simultaneous messages between tabs, the later state holds in both', {}, async ({ world, open }) => {
  const tabs = [await open(), await open()];
  const lives = { now: world.now, ends_at: world.now + 300_000, extends_to: world.now + 300_000, authenticated: true, user_fingerprint: 'ada' };
  const ended = { status: 401, reason: 'signed_out', detail: 'You signed out.', now: world.now + 1 };
  for (const page of tabs) await listening(page);
  for (const answer of [ended, lives]) {
    for (const page of tabs) await broadcast(page, answer);
  }
  for (const page of tabs) await messages(page, 2);
  assert.equal(await all(tabs, covered), true);
});

scene('an answer counts also when the clock of the server was set back', {}, async ({ world, open, settle }) => {
  const page = await open();
  world.now -= 60_000;
  world.end('revoked_by_user');
  await page.evaluate(() => document.querySelector('portcullis-timeout').check());
  await settle();
  assert.equal(await covered(page), true);
});
