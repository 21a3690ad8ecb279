// The page of administrators.
import assert from 'node:assert/strict';
import { at, confirm, scene, signIn } from './demo.mjs';

scene('an administrator sees which rule decides each deadline', {}, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'margaret');
  const panel = page.getByRole('complementary', { name: 'What your session knows' });
  for (const rule of ['15m, class.administrator.idle', '8h, class.administrator.absolute', '5m, class.administrator.privileged_idle']) {
    await panel.getByText(rule).waitFor();
  }
});

scene('ending all sessions of a user signs the user out in the other browser', { refused: { '/session/status': 401 } }, async ({ context, browse }) => {
  const ada = await (await browse()).newPage();
  await signIn(ada);
  const page = await context.newPage();
  await signIn(page, 'margaret');
  await page.getByRole('link', { name: 'Operations' }).click();
  await at(page, '/operations');
  await page.getByRole('button', { name: 'End all sessions of ada' }).click();
  await page.getByText('All sessions of the user have been ended.').waitFor();
  await ada.getByRole('heading', { name: 'You are signed out' }).waitFor();
});

scene('p08 the operations page asks for the password after its time, whatever else was used', { timeouts: '600,6000,4' }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'margaret', '/operations');
  const start = Date.now();
  while (Date.now() - start < 4500) await page.goto('/account');
  await page.getByRole('link', { name: 'Operations' }).click();
  await at(page, '/confirm');
  await confirm(page, 'margaret');
  await at(page, '/operations');
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Operations');
});

const LIMITS = `schema = 1
[limits]
idle = "2m"
[class.administrator]
idle = "15m"
[demand.operations]
max_auth_age = "10m"
`;

scene('a document that an administrator activates moves the deadline of a page that is open elsewhere', {}, async ({ context, browse }) => {
  const ada = await (await browse()).newPage();
  await signIn(ada);
  await ada.locator('#windows').getByText('this one').waitFor(); // its socket is open
  const page = await context.newPage();
  await signIn(page, 'margaret', '/operations');
  await page.getByRole('link', { name: 'The limits of sessions' }).click();
  await page.getByLabel('Document').fill(LIMITS);
  await page.getByLabel('Reason').fill('an incident');
  await page.getByRole('button', { name: 'See what it would end' }).click();
  await page.getByText('0 of 2 live sessions would end now.').waitFor();
  await page.getByRole('button', { name: 'Activate' }).click();
  await page.getByText('The document is active.').waitFor();
  // Two minutes before the end, a page warns.
  await ada.getByRole('heading', { name: 'Stay signed in?' }).waitFor();
  await ada.getByRole('button', { name: 'Stay signed in' }).click();
  await page.getByRole('cell', { name: 'margaret' }).getByText('an incident').waitFor();
});

scene('a document that is refused says where and why', { refused: { '/operations/policy/plan': 422 } }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'margaret', '/operations/policy');
  await page.getByLabel('Document').fill('schema = 1\n[limits]\nidle = "never"');
  await page.getByRole('button', { name: 'See what it would end' }).click();
  await page.getByRole('alert').getByText('limits.idle').waitFor();
  assert.match(await page.getByLabel('Document').inputValue(), /never/);
});

scene('the operations page does not exist for other users', { refused: { '/operations': 404 } }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page);
  assert.equal(await page.getByRole('link', { name: 'Operations' }).count(), 0);
  assert.equal((await page.goto('/operations')).status(), 404);
});
