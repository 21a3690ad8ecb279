// The events of the user's sessions appear at once, in a stream that ends with the session.
import assert from 'node:assert/strict';
import { dialog, eventually } from './browser.mjs';
import { confirm, endOthersFromElsewhere, scene, signIn } from './demo.mjs';

const NEWS = '/account/activity/news';

// The table of events, with an open stream for new ones, and the requests for the stream.
async function watch(context) {
  await context.addInitScript(() => {
    window.EventSource = class extends EventSource {
      constructor(...given) {
        super(...given);
        window.line = this;
      }
    };
  });
  const page = await context.newPage();
  const asked = [];
  page.on('request', request => { if (request.url().endsWith(NEWS)) asked.push(request); });
  const [line] = await Promise.all([page.waitForResponse(`**${NEWS}`), signIn(page, 'ada', '/account/activity')]);
  assert.equal(line.status(), 200);
  return { page, asked };
}
const newest = page => page.locator('tbody tr').first();
const elsewhere = async (browse, who) => {
  const page = await (await browse()).newPage();
  await signIn(page, who, '/confirm');
  return page;
};

scene('the events of the user\'s sessions appear at once, and no others', {}, async ({ context, browse }) => {
  const { page } = await watch(context);
  await elsewhere(browse, 'grace');
  await confirm(await elsewhere(browse, 'ada'));
  await newest(page).filter({ hasText: 'Password confirmed' }).waitFor();
  const what = await page.locator('tbody td:nth-child(2)').allInnerTexts();
  assert.deepEqual(what, ['Password confirmed, elevated mode', 'Signed in', 'Signed in']);
  assert.match(await newest(page).innerText(), /^just now\s.*Chrome on/);
});

scene('s065 the stream of events ends with the session, and is not opened again', { refused: { '/session/status': 401 } }, async ({ context, browse }) => {
  const { page, asked } = await watch(context);
  await endOthersFromElsewhere(browse);
  await dialog(page).getByText('from another of your devices').waitFor();
  // It stays closed. A browser would open it again after three seconds.
  await eventually(() => page.evaluate(() => window.line.readyState === EventSource.CLOSED), 'the line is closed');
  assert.equal(asked.length, 1);
});

scene('the demo stops on request, though a stream is open', {}, async ({ demo, context }) => {
  const { page } = await watch(context);
  const [{ name, value }] = await context.cookies();
  await page.close();
  const line = await fetch(demo.origin + NEWS, { headers: { cookie: `${name}=${value}` } });
  assert.equal(line.headers.get('content-type'), 'text/event-stream');
  assert.equal(await demo.askToStop(), 0);
  await line.body.cancel().catch(() => {});
});
