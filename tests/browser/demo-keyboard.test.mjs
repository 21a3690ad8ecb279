// The demo without a mouse: Tab, Enter, Space and letters alone, and a ring around whatever has the
// focus.
import assert from 'node:assert/strict';
import { dialog } from './browser.mjs';
import { at, endOthersFromElsewhere, ready, scene, signIn } from './demo.mjs';

const refused = { '/session/status': 401, '/cart/quantity': 422, '/account/password': 422 };

// The element with the focus, also within the component, and whether a ring shows it.
const focus = page => page.evaluate(() => {
  let here = document.activeElement;
  while (here.shadowRoot?.activeElement) here = here.shadowRoot.activeElement;
  return { name: (here.labels?.[0] ?? here).innerText.replace(/\s+/g, ' ').trim(), ring: getComputedStyle(here).outlineStyle !== 'none' };
});

// The page, or the browser, has moved the focus there by itself.
async function isOn(page, name) {
  await page.waitForFunction(() => document.activeElement !== document.body);
  assert.deepEqual(await focus(page), { name, ring: true });
}

// Presses Tab until the element with this name has the focus, as a user without a mouse.
async function tabTo(page, name) {
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    const { name: here, ring } = await focus(page);
    if (here === name) return assert.equal(ring, true, `no ring around ${name}`);
  }
  throw new Error(`no way to ${name} by the Tab key`);
}

async function press(page, name, path, key = 'Enter') {
  await tabTo(page, name);
  await Promise.all([at(page, path), page.keyboard.press(key)]);
}

async function type(page, name, text) {
  await tabTo(page, name);
  await page.keyboard.type(text);
}

const shows = (page, text) => page.getByText(text).waitFor();

async function unlockDevices(page) {
  await press(page, 'Enter your password to end a session', '/confirm');
  await type(page, 'Password', 'analytical engine');
  await press(page, 'Confirm', '/account/devices');
}

// Replaces the text of the field.
async function retype(page, text) {
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text);
}

scene('s108 signing in, confirming, ending a device and signing out need no mouse', { refused }, async ({ context, browse }) => {
  await signIn(await (await browse()).newPage());
  const page = await context.newPage();
  await page.goto('/');
  await press(page, 'Account', '/sign-in');
  await type(page, 'Name', 'ada');
  await type(page, 'Password', 'analytical engine');
  await press(page, 'Sign in', '/account');
  await press(page, 'See your devices', '/account/devices');
  await unlockDevices(page);
  await tabTo(page, 'End this session');
  await page.keyboard.press('Enter');
  await shows(page, 'The session has been ended.');
  await ready(page);
  await press(page, 'Sign out', '/signed-out');
});

scene('s108 filling, changing and emptying a cart needs no mouse', { refused }, async ({ context }) => {
  const page = await context.newPage();
  await page.goto('/');
  await press(page, 'Add to cart Brass padlock', '/cart');
  await shows(page, 'Added to your cart.');
  await tabTo(page, 'Quantity of Brass padlock');
  await retype(page, '99');
  await press(page, 'Change quantity of Brass padlock', '/cart/quantity', 'Space');
  await shows(page, 'Enter a whole number');
  await isOn(page, 'Quantity of Brass padlock');
  await retype(page, '3');
  await press(page, 'Change quantity of Brass padlock', '/cart', 'Space');
  await shows(page, 'The quantity has been changed.');
  await tabTo(page, 'Remove Brass padlock');
  await page.keyboard.press('Space');
  await shows(page, 'Removed from your cart.');
});

scene('s108 changing a password needs no mouse', { refused }, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page);
  await press(page, 'Change your password', '/confirm');
  await type(page, 'Password', 'analytical engine');
  await press(page, 'Confirm', '/account/password', 'Space');
  await type(page, 'New password', 'short');
  await page.keyboard.press('Enter');
  await shows(page, 'This is too short');
  await isOn(page, 'New password');
  await retype(page, 'a much longer password');
  await type(page, 'New password, once more', 'a much longer password');
  await press(page, 'Change the password', '/account');
  await shows(page, 'Your password has been changed.');
});

scene('s108 ending all other sessions needs no mouse', { refused }, async ({ context, browse }) => {
  for (let i = 0; i < 2; i++) await signIn(await (await browse()).newPage());
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/devices');
  await unlockDevices(page);
  await tabTo(page, 'End all others');
  await page.keyboard.press('Space');
  await shows(page, 'All other sessions have been ended.');
  await shows(page, 'You are signed in nowhere else.');
});

// The session is ended elsewhere while a letter is written. Then the same user signs in again.
async function comeBackToLetter({ context, browse }) {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await type(page, 'Your letter', 'Dear shop');
  await endOthersFromElsewhere(browse);
  await dialog(page).getByRole('heading', { name: 'You are signed out' }).waitFor();
  await isOn(page, 'Sign in again');
  await Promise.all([at(page, '/sign-in'), page.keyboard.press('Enter')]);
  await type(page, 'Name', 'ada');
  await type(page, 'Password', 'analytical engine');
  await press(page, 'Sign in', '/account/letter');
  await shows(page, 'What you had written is back.');
  assert.equal(await page.getByLabel('Your letter').inputValue(), 'Dear shop');
  return page;
}

scene('s108 a letter that is back is finished and sent without a mouse', { refused }, async play => {
  const page = await comeBackToLetter(play);
  await tabTo(page, 'Your letter');
  await page.keyboard.press('Control+End');
  await page.keyboard.type(', thank you.');
  assert.equal(await page.getByLabel('Your letter').inputValue(), 'Dear shop, thank you.');
  await press(page, 'Send it', '/account', 'Space');
  await shows(page, 'Your letter is on its way.');
});

scene('s108 a letter that is back is discarded without a mouse, and the focus returns', { refused }, async play => {
  const page = await comeBackToLetter(play);
  await tabTo(page, 'Discard it');
  await page.keyboard.press('Space');
  await isOn(page, 'Your letter');
  assert.equal(await page.getByLabel('Your letter').inputValue(), '');
});
