// A letter is not lost, for any text and any result of its request.
import assert from 'node:assert/strict';
import { dialog } from './browser.mjs';
import { at, endOthersFromElsewhere, fillIn, scene, signIn } from './demo.mjs';

const field = page => page.getByLabel('Your letter');
const send = page => page.getByRole('button', { name: 'Send it' }).click();
async function write(context, text) {
  const page = await context.newPage();
  await signIn(page, 'ada', '/account/letter');
  await field(page).fill(text);
  return page;
}

for (const [what, text] of [
  ['of many lines', `${'a line\n'.repeat(100)}${'x'.repeat(1250)}`],
  ['in Chinese', '信'.repeat(2000)],
]) {
  scene(`a letter ${what} that fits into its field is accepted`, {}, async ({ context }) => {
    const page = await write(context, text);
    assert.equal((await field(page).inputValue()).length, text.length);
    await send(page);
    await at(page, '/account');
    await page.getByText('Your letter is on its way.').waitFor();
  });
}

scene('a letter that was refused is back after the session has ended', {
  refused: { '/account/letter': 422, '/session/status': 401 },
}, async ({ context, browse }) => {
  const page = await write(context, '');
  const text = 'too long '.repeat(300).trim();
  await field(page).evaluate(field => field.removeAttribute('maxlength'));
  await field(page).fill(text);
  await send(page);
  await page.getByText('This is too long.').waitFor();
  await page.waitForFunction(() => document.querySelector('#windows').textContent === 'this one');
  await endOthersFromElsewhere(browse);
  await dialog(page).getByRole('link', { name: 'Sign in again' }).click();
  await fillIn(page, 'ada');
  await at(page, '/account/letter');
  await page.getByText('What you had written is back.').waitFor();
  assert.equal(await field(page).inputValue(), text);
});
