// Every page of the demo: for everybody, in the light and in the dark, on a phone and on a desk, and without a mouse.
import assert from 'node:assert/strict';
import { COVERED, axeViolations, dialog } from './browser.mjs';
import { at, confirm, fillIn, ready, scene, signIn } from './demo.mjs';

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
    found.push(...violations.map(what => `${page.url()}, ${colorScheme}, ${width}: ${what}`));
  }
  return found;
};

scene('s108 axe objects to nothing on the pages of a visitor', { refused }, async ({ context }) => {
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

scene('s108 axe objects to nothing on the pages of an account', { refused }, async ({ context, browse }) => {
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

scene('s108 axe objects to nothing in the warning', { timeouts: '26,600,60' }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await dialog(page).waitFor({ timeout: 10_000 });
  assert.deepEqual(await objections(page), []);
});

scene('s108 axe objects to nothing at the end, and where a letter is back', { refused }, async ({ context, browse }) => {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await page.getByLabel('Your letter').fill('Dear shop');
  const other = await (await browse()).newPage();
  await signIn(other, 'ada', '/confirm');
  await confirm(other);
  await at(other, '/account');
  await other.goto('/account/devices');
  await other.getByRole('button', { name: 'End all others' }).click();
  await dialog(page).getByRole('heading', { name: 'You are signed out' }).waitFor();
  const found = await objections(page, COVERED);
  await dialog(page).getByRole('link').click();
  await fillIn(page, 'ada');
  await page.getByText('What you had written is back.').waitFor();
  found.push(...await objections(page));
  assert.deepEqual(found, []);
});

// Tab by tab to what has this name, as a person who uses no mouse.
async function tabTo(page, name) {
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    const focus = await page.evaluate(() => {
      const { activeElement: here } = document;
      // A ring that can be seen.
      return { name: here.labels?.[0]?.innerText ?? here.innerText, ring: getComputedStyle(here).outlineStyle !== 'none' };
    });
    if (focus.name?.trim() === name) return assert.equal(focus.ring, true, `no ring around ${name}`);
  }
  throw new Error(`no way to ${name} by the Tab key`);
}

scene('s108 signing in, confirming, ending a device and signing out need no mouse', { refused: { '/session/status': 401 } }, async ({ context, browse }) => {
  await signIn(await (await browse()).newPage());
  const page = await context.newPage();
  const press = async (name, path) => {
    await tabTo(page, name);
    await Promise.all([at(page, path), page.keyboard.press('Enter')]);
  };
  await page.goto('/');
  await press('Account', '/sign-in');
  await tabTo(page, 'Name');
  await page.keyboard.type('ada');
  await tabTo(page, 'Password');
  await page.keyboard.type('analytical engine');
  await press('Sign in', '/account');
  await press('See your devices', '/account/devices');
  await press('Enter your password to end any', '/confirm');
  await tabTo(page, 'Password');
  await page.keyboard.type('analytical engine');
  await press('Confirm', '/account/devices');
  await tabTo(page, 'End this session');
  await page.keyboard.press('Enter');
  await page.getByText('That session is ended.').waitFor();
  await ready(page);
  await press('Sign out', '/signed-out');
});
