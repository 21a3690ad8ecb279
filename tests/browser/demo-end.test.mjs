// Ends from another device, and machines that sleep.
import assert from 'node:assert/strict';
import { dialog, eventually, visible } from './browser.mjs';
import { at, confirm, covered, fillIn, scene, signIn } from './demo.mjs';

const ENDS = { refused: { '/session/status': 401 } };
const line = page => page.locator('#windows').filter({ hasText: 'this one' }).waitFor();
const over = page => dialog(page).getByRole('heading', { name: 'You are signed out' });

// Ends all other sessions, from "Your devices", where the password is confirmed. Returns the moment
// of the click.
async function endOthers(browse) {
  const page = await (await browse()).newPage();
  await signIn(page, 'ada', '/account/devices');
  await page.getByRole('link', { name: 'Enter your password' }).click();
  await confirm(page);
  await at(page, '/account/devices');
  const pressed = performance.now();
  await page.getByRole('button', { name: 'End this session' }).click();
  return { page, pressed };
}

scene('s063 s065 a device that is ended from another notices within two seconds, and shows the reason', ENDS, async ({ context, browse }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await line(page);
  const { page: other, pressed } = await endOthers(browse);
  await over(page).waitFor();
  assert.ok(performance.now() - pressed < 2000, `${performance.now() - pressed} ms`);
  assert.deepEqual(await page.evaluate(() => window.closings), [4401]);
  assert.match(await dialog(page).innerText(), /from another of your devices/);
  assert.equal(await covered(page), true);
  await other.getByText('The session has been ended.').waitFor();
  await other.getByText('You are signed in nowhere else.').waitFor();
});

for (const [who, outcome, expected] of [
  ['ada', 'is back when the same user signs in again', 'Dear shop'],
  ['grace', 'is not there when another user signs in', ''],
]) {
  scene(`s110 a letter that was being written ${outcome}`, ENDS, async ({ context, browse }) => {
    const page = await context.newPage();
    await signIn(page, 'ada', '/account/letter');
    await line(page);
    await page.getByLabel('Your letter').fill('Dear shop');
    await endOthers(browse);
    await over(page).waitFor();
    await dialog(page).getByRole('link', { name: 'Sign in again' }).click();
    await fillIn(page, who);
    await at(page, '/account/letter');
    const note = page.getByText('What you had written is back.');
    if (expected) await note.waitFor();
    // The script that keeps letters removes those of another user once it knows the user.
    else await page.waitForFunction(() => !sessionStorage.length);
    assert.equal(await page.getByLabel('Your letter').inputValue(), expected);
    assert.equal(await note.count(), expected ? 1 : 0);
  });
}

// Holds back answers about the session until `answer` is called. `asked` waits for a request, for a
// bounded time.
async function hold(page) {
  let answer;
  const go = new Promise(resolve => { answer = resolve; });
  await page.route('**/session/status', async route => {
    await go;
    await route.continue();
  });
  return { asked: () => page.waitForRequest('**/session/status'), answer };
}

scene('s111 a laptop that slept past the deadline by its own clock asks the server before it shows anything', {}, async ({ context }) => {
  const page = await context.newPage();
  await page.clock.install();
  await signIn(page);
  await eventually(() => page.evaluate(() => document.querySelector('portcullis-timeout').shadowRoot));
  const { asked, answer } = await hold(page);
  // Two hours by the laptop; none by the server.
  await Promise.all([asked(), page.clock.fastForward(7_200_000)]);
  assert.equal(await over(page).count(), 0);
  await eventually(() => covered(page)); // a window that asked a moment ago asks again within a second
  assert.match(await dialog(page).innerText(), /Checking your session/);
  answer();
  await eventually(async () => !await visible(page));
  assert.equal(await page.getByRole('heading', { name: 'Hello, ada' }).isVisible(), true);
});

scene('s111 a page that stood still while its session ended asks the server before it shows the end', ENDS, async ({ context, browse }) => {
  const page = await context.newPage();
  await signIn(page);
  await line(page);
  const { asked, answer } = await hold(page);
  const tools = await context.newCDPSession(page);
  await tools.send('Debugger.enable');
  const stopped = new Promise(resolve => tools.once('Debugger.paused', resolve));
  await tools.send('Debugger.pause');
  await stopped; // by its own timer, a second later at the most
  await endOthers(browse);
  await Promise.all([asked(), tools.send('Debugger.resume')]);
  assert.equal(await over(page).count(), 0);
  answer();
  await over(page).waitFor();
  assert.equal(await covered(page), true);
});
