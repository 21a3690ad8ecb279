// All tabs of a browser say the same.
import assert from 'node:assert/strict';
import { covered, eventually, heading, recorded, scene, visible } from './browser.mjs';

const all = async (tabs, holds) => (await Promise.all(tabs.map(holds))).every(Boolean);
const three = async open => [await open(), await open(), await open()];
const WITHOUT_LOCKS = () => { delete Navigator.prototype.locks; };

scene('s109 t82 an extension in one tab closes the warning in all', {}, async ({ world, open, pass }) => {
  const tabs = await three(open);
  await recorded(tabs[2]);
  await pass(180);
  await eventually(() => all(tabs, visible));
  await tabs[0].getByRole('button', { name: 'Stay signed in' }).click();
  await eventually(() => all(tabs, async tab => !await visible(tab)));
  assert.equal(world.extensions, 1);
  assert.deepEqual(await tabs[2].evaluate(() => window.told), ['warning', 'extended']);
});

scene('s109 signing out in one tab covers all', {}, async ({ open, pass }) => {
  const tabs = await three(open);
  await pass(180);
  await tabs[1].getByRole('button', { name: 'Sign out now' }).click();
  await eventually(() => all(tabs, covered));
});

scene('s109 signing out by a form in one tab covers the others', {
  content: '<form method="post" action="/sign-out"><button>Leave</button></form>',
}, async ({ open, context }) => {
  const tabs = await three(open);
  await tabs[0].getByRole('button', { name: 'Leave' }).click();
  await eventually(() => all(tabs.slice(1), covered));
});

scene('s109 an end that one tab hears of covers all', {}, async ({ world, open }) => {
  const tabs = await three(open);
  world.end('revoked_by_operator');
  await tabs[2].evaluate(() => document.querySelector('portcullis-timeout').check());
  await eventually(() => all(tabs, covered));
  assert.equal(world.polls, 4);
});

for (const [how, script] of [['by a lock', undefined], ['by what they told each other, where there are no locks', WITHOUT_LOCKS]]) {
  scene(`s109 one tab asks for all: ${how}`, { idle: 3600, absolute: 7200, script }, async ({ world, open, pass }) => {
    await three(open);
    const { polls } = world;
    await pass(300);
    const asked = world.polls - polls;
    assert.ok(asked >= 4 && asked <= 9, `${asked} polls in five periods`);
  });
}

scene('a tab that is not seen asks for nothing', { idle: 3600, absolute: 7200, script: () => {
  Object.defineProperty(document, 'hidden', { value: true });
} }, async ({ world, open, pass }) => {
  await open();
  await pass(180);
  assert.equal(world.polls, 0);
});

scene('an older word of another tab does not undo a newer one', {}, async ({ world, open, pass }) => {
  const [page, other] = [await open(), await open()];
  const old = { now: world.now, ends_at: world.now + 300_000, extends_to: world.now + 300_000, authenticated: true, person: 'ada' };
  await pass(180);
  world.slide();
  await page.evaluate(() => document.querySelector('portcullis-timeout').check());
  await eventually(async () => !await visible(page));
  await other.evaluate(answer => localStorage.setItem('/session', JSON.stringify({ status: 200, answer, age: 0 })), { ...old, ends_at: old.now + 5000 });
  await pass(3);
  assert.equal(await visible(page), false);
  assert.equal(await heading(page).isVisible(), true);
});
