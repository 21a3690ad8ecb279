// What the guide tells others to write does what it says.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { scene } from './browser.mjs';

const GUIDE = await readFile(new URL('../../crates/portcullis/docs/browser.md', import.meta.url), 'utf8');
const [, snippet] = GUIDE.match(/```js\n(.*?)```/s);

async function says(page) {
  const said = page.waitForEvent('console', message => message.type() === 'log');
  await page.evaluate(`(async () => {${snippet}})()`);
  return (await said).text();
}

scene('the guide\'s program for single-page applications tells a session, an end and an outage apart', {}, async ({ world, context }) => {
  const page = await context.newPage();
  await page.goto('/plain');
  assert.equal(await says(page), 'signed in for 300000 ms more');
  world.end('replaced');
  assert.equal(await says(page), 'nobody can say now');
  world.end('idle_timeout');
  assert.equal(await says(page), 'signed out: Because of idle_timeout.');
  world.outage = [503, { 'retry-after': '7' }];
  assert.equal(await says(page), 'nobody can say now');
  await page.route('**/session/status', route => route.fulfill({ status: 502, body: '<h1>Bad gateway</h1>' }));
  assert.equal(await says(page), 'nobody can say now');
});
