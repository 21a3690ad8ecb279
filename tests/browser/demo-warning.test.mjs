// The warning and the end by the server's own clock, in real time.
import assert from 'node:assert/strict';
import { dialog, eventually, visible } from './browser.mjs';
import { at, covered, fillIn, ready, scene, signIn } from './demo.mjs';

// The warning comes 21 seconds before the end, which is 5 seconds after the last activity.
const timeouts = '26,600,60';
const warned = page => dialog(page).getByRole('heading', { name: 'Stay signed in?' }).waitFor({ timeout: 15_000 });
const shownAt = page => page.evaluate(() => fetch('/session/status').then(reply => reply.json()).then(({ idle_deadline: deadline }) => deadline));

scene('s107 s109 one click in one tab extends, and closes the warning in both', { timeouts }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page);
  const other = await context.newPage();
  await other.goto('/account/letter');
  await ready(other);
  await Promise.all([warned(page), warned(other)]);
  const before = await shownAt(page);
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  await eventually(async () => !await visible(page) && !await visible(other));
  assert.ok(await shownAt(other) >= before + 4000);
});

scene('s108 the warning is answered by the keyboard alone, and the focus returns to the text', { timeouts }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await page.getByLabel('Your letter').focus();
  await page.keyboard.type('Dear');
  await warned(page);
  const before = await shownAt(page);
  await page.keyboard.press('Enter');
  await eventually(async () => !await visible(page));
  assert.ok(await shownAt(page) >= before + 4000);
  await page.keyboard.type(' shop');
  assert.equal(await page.getByLabel('Your letter').inputValue(), 'Dear shop');
});

scene('s110 s111 at the idle deadline the page is covered, shows the reason, and the text is back after the sign-in', {
  timeouts: '22,600,60', refused: { '/session/status': 401 },
}, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await page.getByLabel('Your letter').fill('Dear shop, the firefly did not arrive.');
  await dialog(page).getByRole('heading', { name: 'You are signed out' }).waitFor({ timeout: 30_000 });
  assert.match(await dialog(page).innerText(), /time without activity/);
  assert.equal(await covered(page), true);
  assert.doesNotMatch(await page.locator('body').ariaSnapshot(), /firefly|Write to us|Public handle/);
  await page.keyboard.press('Enter');
  await at(page, '/sign-in');
  await fillIn(page, 'ada');
  await at(page, '/account/letter');
  await page.getByText('What you had written is back.').waitFor();
  assert.equal(await page.getByLabel('Your letter').inputValue(), 'Dear shop, the firefly did not arrive.');
});
