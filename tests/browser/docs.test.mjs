// The scripts of the guide do what it promises.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { scene } from './browser.mjs';

const GUIDE = await readFile(new URL('../../crates/portcullis/docs/browser.md', import.meta.url), 'utf8');
const [snippet, keepOpen] = [...GUIDE.matchAll(/```js\n(.*?)```/gs)].map(([, script]) => script);

async function shows(page) {
  const message = page.waitForEvent('console', entry => entry.type() === 'log');
  await page.evaluate(`(async () => {${snippet}})()`);
  return (await message).text();
}

scene('the guide\'s program for single-page applications distinguishes a session, an end and an outage', {}, async ({ world, context }) => {
  const page = await context.newPage();
  await page.goto('/plain');
  assert.equal(await shows(page), 'signed in for 300000 ms more');
  world.end('replaced');
  assert.equal(await shows(page), 'the state is unknown');
  world.end('idle_timeout');
  assert.equal(await shows(page), 'signed out: Because of idle_timeout.');
  world.outage = [503, { 'retry-after': '7' }];
  assert.equal(await shows(page), 'the state is unknown');
  await page.route('**/session/status', route => route.fulfill({ status: 502, body: '<h1>Bad gateway</h1>' }));
  assert.equal(await shows(page), 'the state is unknown');
});

// A page with a stream that gets `answers` one after the other: a status, or the events before the
// stream ends.
async function listening(context, answers) {
  const page = await context.newPage();
  const line = { page, asked: 0 };
  await page.route('**/news', route => {
    const answer = answers[line.asked++];
    if (answer === undefined) return; // connected, and nothing happens
    const fields = { headers: { 'content-type': 'text/event-stream' } };
    return route.fulfill(typeof answer === 'number' ? { status: answer } : { ...fields, body: `retry: 10\n${answer}\n\n` });
  });
  await page.goto('/plain');
  await page.evaluate(`(() => {
    window.heard = [];
    window.checks = 0;
    document.addEventListener('portcullis-check', () => window.checks++);
    ${keepOpen}
    keepOpen('/news', line => {
      window.line = line;
      line.onmessage = ({ data }) => window.heard.push(data);
    });
  })()`);
  // The browser connects by its own clock, which no test moves.
  const until = (holds, what) => page.waitForFunction(holds, what, { timeout: 20_000 });
  line.heard = text => until(text => window.heard.includes(text), text);
  line.closed = () => until(() => window.line.readyState === EventSource.CLOSED);
  line.checks = () => page.evaluate(() => window.checks);
  return line;
}
const ENDED = reason => `event: session-ended\ndata: {"reason":"${reason}"}`;

scene('t67 a stream that met an outage is given up by the browser, and opened again by the guide\'s script once the session can be verified', {}, async ({ world, context, pass }) => {
  world.outage = [503, { 'retry-after': '5' }];
  const line = await listening(context, ['data: before', 503, 'data: after']);
  await line.heard('before');
  await line.closed();
  await pass(30);
  assert.ok(world.polls > 1, 'it asks more than once');
  assert.ok(world.polls < 7, `it asks ${world.polls} times in half a minute, more often than Retry-After allows`);
  assert.equal(line.asked, 2);
  world.outage = null;
  await pass(40); // whatever the pause has grown to
  await line.heard('after');
  assert.equal(await line.checks(), 0);
});

scene('t67 a stream that ends because the session could not be verified is opened again as well', {}, async ({ context, pass }) => {
  const line = await listening(context, [ENDED('unverifiable'), 'data: after']);
  await line.closed();
  assert.equal(line.asked, 1);
  await pass(2);
  await line.heard('after');
});

scene('s065 a stream that ends with its session stays closed, and the element checks', {}, async ({ world, context, pass }) => {
  const line = await listening(context, [ENDED('revoked_by_user')]);
  await line.closed();
  assert.equal(await line.checks(), 1);
  await pass(10);
  assert.deepEqual([line.asked, world.polls], [1, 0]);
});

scene('a stream that is refused because the session ended stays closed, and one refused for a replaced identifier is opened again', {}, async ({ world, context, pass }) => {
  world.end('idle_timeout');
  const over = await listening(context, [401]);
  await over.closed();
  await pass(2);
  assert.deepEqual([over.asked, await over.checks()], [1, 1]);
  await over.page.close();

  world.end('replaced');
  const replaced = await listening(context, [401, 'data: after']);
  await replaced.closed();
  await pass(2);
  assert.equal(replaced.asked, 1);
  world.signIn();
  await pass(8);
  await replaced.heard('after');
  assert.equal(await replaced.checks(), 0);
});

scene('the demo\'s stream is kept open by the script of the guide', {}, async () => {
  const demo = await readFile(new URL('../../examples/demo/news.js', import.meta.url), 'utf8');
  const bare = script => script.replaceAll(/^\s+/gm, '');
  assert.ok(bare(demo).includes(bare(keepOpen)));
});
