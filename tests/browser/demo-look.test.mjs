// Every page of the demo: accessible, in light and dark colours, on a phone and on a desktop.
import assert from 'node:assert/strict';
import { COVERED, axeViolations, dialog, moving } from './browser.mjs';
import { at, confirm, endOthersFromElsewhere, fillIn, scene, signIn } from './demo.mjs';

const LOOKS = [['light', 390], ['light', 1280], ['dark', 390], ['dark', 1280]];

// Refusals are pages as well; a browser reports each as an error.
const refused = { '/session/status': 401, '/nowhere': 404, '/sign-in': 422, '/confirm': 422, '/cart/quantity': 422, '/account/letter': 422, '/account/password': 422 };

const objections = async (page, rules) => {
  const found = [];
  for (const [colorScheme, width] of LOOKS) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 800 });
    const violations = await axeViolations(page, rules);
    const wide = await page.evaluate(() =>
      [document.documentElement, document.querySelector('portcullis-timeout')?.shadowRoot?.querySelector('dialog[open]')]
        .some(box => box && (box.scrollWidth > innerWidth || box.getBoundingClientRect().right > innerWidth)));
    if (wide) violations.push('wider than the window');
    violations.push(...(await moving(page)).map(what => `${what} moves, though less motion is asked for`));
    found.push(...violations.map(what => `${page.url()}, ${colorScheme}, ${width}: ${what}`));
  }
  return found;
};

scene('s108 axe finds no violation on the pages of a visitor', { refused }, async ({ context }) => {
  const page = await context.newPage();
  const found = [];
  for (const path of ['/', '/cart', '/sign-in', '/signed-out', '/nowhere']) {
    await page.goto(path);
    found.push(...await objections(page));
  }
  await page.goto('/');
  await page.getByRole('button', { name: 'Add to cart' }).first().click();
  await at(page, '/cart');
  found.push(...await objections(page));
  await page.getByLabel('Quantity').fill('99');
  await page.getByRole('button', { name: 'Change' }).click();
  await page.getByText('Enter a whole number').waitFor();
  found.push(...await objections(page));
  await page.goto('/sign-in');
  await page.getByLabel('Name').fill('ada');
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('is not right').waitFor();
  found.push(...await objections(page));
  assert.deepEqual(found, []);
});

scene('s108 axe finds no violation on the pages of administrators', { refused }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'margaret', '/operations');
  const found = await objections(page);
  await page.goto('/operations/policy');
  await page.getByRole('button', { name: 'See what it would end' }).click();
  await page.getByText('live sessions would end now.').waitFor();
  found.push(...await objections(page));
  await page.getByRole('button', { name: 'Activate' }).click();
  await page.getByText('The document is active.').waitFor();
  found.push(...await objections(page));
  assert.deepEqual(found, []);
});

scene('s108 axe finds no violation on the pages of an account', { refused }, async ({ context, browse }) => {
  const page = await context.newPage();
  await signIn(page);
  await signIn(await (await browse()).newPage());
  const found = await objections(page);
  for (const path of ['/account/devices', '/account/activity', '/account/letter', '/confirm']) {
    await page.goto(path);
    found.push(...await objections(page));
  }
  await page.getByLabel('Password').fill('wrong');
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('not your password').waitFor();
  found.push(...await objections(page));
  await confirm(page);
  await at(page, '/account');
  for (const path of ['/account/devices', '/account/password']) {
    await page.goto(path);
    found.push(...await objections(page));
  }
  await page.getByRole('button', { name: 'Change the password' }).click();
  await page.getByText('too short').waitFor();
  found.push(...await objections(page));
  await page.goto('/account/letter');
  await page.getByRole('button', { name: 'Send it' }).click();
  await page.getByText('There is nothing in it yet').waitFor();
  found.push(...await objections(page));
  assert.deepEqual(found, []);
});

scene('s108 axe finds no violation in the warning', { timeouts: '26,600,60' }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await dialog(page).waitFor({ timeout: 10_000 });
  assert.deepEqual(await objections(page), []);
});

scene('s108 axe finds no violation at the end, and where a letter is back', { refused }, async ({ context, browse }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await page.getByLabel('Your letter').fill('Dear shop');
  await endOthersFromElsewhere(browse);
  await dialog(page).getByRole('heading', { name: 'You are signed out' }).waitFor();
  const found = await objections(page, COVERED);
  await dialog(page).getByRole('link').click();
  await fillIn(page, 'ada');
  await page.getByText('What you had written is back.').waitFor();
  found.push(...await objections(page));
  assert.deepEqual(found, []);
});

const inWindow = async (page, locator) => {
  const { x, y, width, height } = await locator.boundingBox();
  const window = page.viewportSize();
  return x >= 0 && y >= 0 && x + width <= window.width && y + height <= window.height;
};

scene('a phone shows the user, the button that signs out, and every event', {
  viewport: { width: 390, height: 800 },
}, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/activity');
  assert.equal(await inWindow(page, page.getByText('Signed in as ada')), true);
  assert.equal(await inWindow(page, page.getByRole('button', { name: 'Sign out' })), true);
  const row = page.getByRole('row').last();
  const cells = await row.getByRole('cell').all();
  assert.equal(cells.length, 4);
  for (const cell of cells) assert.equal(await inWindow(page, cell), true);
  assert.match(await row.innerText(), /^just now.*\s+Signed in\s+Chrome on .*\s+this one$/s);
});

scene('the open windows of a user are counted, and no others', {}, async ({ context, browse }) => {
  const page = await context.newPage();
  const shows = text => page.waitForFunction(text => document.querySelector('#windows').textContent === text, text);
  await signIn(page);
  await shows('this one');
  const other = await (await browse()).newPage();
  await signIn(other, 'grace');
  await other.locator('#windows').filter({ hasText: 'this one' }).waitFor();
  const second = await context.newPage();
  await second.goto('/account');
  await shows('2, including this one');
  await second.close();
  await shows('this one');
});
