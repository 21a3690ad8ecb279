// Accessible, small, and compatible with a strict Content-Security-Policy.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COVERED, axeViolations, dialog, loaded, moving, scene } from './browser.mjs';
import { script } from './stand-in.mjs';

const check = page => page.evaluate(() => document.querySelector('portcullis-timeout').check());
const FORM = '<form id="letter" data-portcullis-keep><label>Text <textarea name="text"></textarea></label></form>';

for (const colorScheme of ['light', 'dark']) {
  for (const width of [390, 1280]) {
    const context = { colorScheme, reducedMotion: 'reduce', viewport: { width, height: 700 } };
    scene(`s108 axe finds no violation and nothing moves, in ${colorScheme} at ${width} px`, { context, absolute: 600 }, async ({ world, open, pass, settle }) => {
      const page = await open();
      const fits = async rules => {
        assert.deepEqual(await moving(page), []);
        const box = await dialog(page).boundingBox();
        assert.ok(box.x >= 0 && box.x + box.width <= width && box.height < 700, JSON.stringify(box));
        for (const button of await dialog(page).getByRole('button').all()) assert.ok((await button.boundingBox()).height >= 24);
        await page.clock.resume(); // axe needs timers
        assert.deepEqual(await axeViolations(page, rules), []);
        await page.clock.pauseAt(await page.evaluate(() => Date.now()) + 1000);
      };
      await pass(180);
      await fits();
      world.outage = [503, {}];
      await pass(130);
      await fits(COVERED);
      world.outage = null;
      await pass(6);
      await fits(COVERED);
    });
  }
}

scene('s112 nothing violates a strict policy in any state', { content: FORM }, async ({ world, open, pass, settle }) => {
  const page = await open();
  await loaded(page);
  await page.getByLabel('Text').fill('Dear Grace');
  await pass(181);
  await dialog(page).waitFor();
  world.end('idle_timeout', '<img src=x onerror=alert(1)>');
  await check(page);
  await settle();
  assert.match(await dialog(page).innerText(), /<img src=x/);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
  world.now += 1000;
  world.signIn();
  await page.reload();
  await loaded(page);
  await pass(2);
  await page.getByText('What you had written').waitFor();
  assert.deepEqual(await page.evaluate(() => window.violations), []);
});

test('the component is below 8 kB as it is served, and what keeps forms below 4 more', async () => {
  assert.ok((await script('/session/timeout.js')).length < 8000);
  assert.ok((await script('/session/keep.js')).length < 4000);
});
