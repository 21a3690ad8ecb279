// The warning before the end, and its buttons.
import assert from 'node:assert/strict';
import { covered, dialog, eventually, focused, heading, recorded, scene, visible } from './browser.mjs';

const stay = page => page.getByRole('button', { name: 'Stay signed in' });
const leave = page => page.getByRole('button', { name: 'Sign out now' });

scene('s106 the warning appears at its lead and not before', {}, async ({ open, pass }) => {
  const page = await open();
  await pass(178);
  assert.equal(await visible(page), false);
  await pass(2);
  assert.equal(await visible(page), true);
  assert.match(await dialog(page).innerText(), /signed out in 2 minutes\./);
  await pass(15);
  assert.match(await dialog(page).innerText(), /signed out in 1 minute, 45 seconds\./);
});

scene('s106 a lead below 20 seconds is raised to 20, with a warning in the console', { idle: 60, attributes: 'lead="5"' }, async ({ open, pass, context }) => {
  const warnings = [];
  context.on('console', message => message.type() === 'warning' && warnings.push(message.text()));
  const page = await open();
  assert.match(warnings.join(), /raised to 20 s/);
  await pass(38);
  assert.equal(await visible(page), false);
  await pass(2);
  assert.equal(await visible(page), true);
});

scene('s106 a short session is warned of at its half', { idle: 60 }, async ({ open, pass }) => {
  const page = await open();
  await pass(28);
  assert.equal(await visible(page), false);
  await pass(2);
  assert.equal(await visible(page), true);
});

scene('s106 answers that take three seconds leave 20 seconds to act', { attributes: 'lead="20"' }, async ({ world, context, open, pass, settle }) => {
  const page = await open();
  await pass(276);
  let answer;
  world.hold = new Promise(resolve => { answer = resolve; });
  world.now += 1000;
  await Promise.all([page.waitForRequest('**/status'), context.clock.runFor(1000)]);
  world.now += 3000;
  await context.clock.runFor(3000);
  assert.equal(await visible(page), true);
  answer();
  await settle();
  // The time of the answer is that of the request, however long it took: early, never late.
  assert.match(await dialog(page).innerText(), /in 1[67] seconds/);
});

scene('s107 one click extends', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  await pass(180);
  await stay(page).click();
  await eventually(() => world.extensions === 1);
  await settle();
  assert.equal(await visible(page), false);
  await pass(178);
  assert.equal(await visible(page), false);
  await pass(2);
  assert.equal(await visible(page), true);
});

scene('s107 an extension that reaches the absolute deadline is followed by the last warning, in every tab', { absolute: 250, idle: 200 }, async ({ world, open, pass, settle }) => {
  const tabs = [await open(), await open()];
  await pass(135);
  await stay(tabs[0]).click();
  for (const page of tabs) await dialog(page).getByText('Save your work').first().waitFor();
  assert.equal(world.extensions, 1);
});

scene('s107 no extension is offered at the absolute deadline', { absolute: 200 }, async ({ world, open, pass }) => {
  const page = await open();
  await pass(80);
  assert.match(await dialog(page).innerText(), /signed out in 2 minutes\. Save your work/);
  assert.equal(await stay(page).count(), 0);
  await page.getByRole('button', { name: 'Close' }).click();
  await pass(110);
  assert.equal(await visible(page), false);
  assert.equal(world.extensions, 0);
  await pass(10);
  assert.match(await dialog(page).innerText(), /Because of absolute_timeout/);
  assert.equal(world.extensions, 0);
});

scene('s108 the focus goes into the warning, stays there, and comes back', {}, async ({ open, pass, settle }) => {
  const page = await open();
  await page.locator('#before').focus();
  await pass(180);
  assert.equal(await focused(page), 'stay');
  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'leave');
  await page.keyboard.press('Shift+Tab');
  assert.equal(await focused(page), 'stay');
  await page.keyboard.press('Enter');
  await eventually(async () => !await visible(page));
  assert.equal(await visible(page), false);
  assert.equal(await focused(page), 'before');
});

scene('s108 escape stays signed in', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  await page.locator('#before').focus();
  await pass(180);
  await page.keyboard.press('Escape');
  await eventually(() => world.extensions === 1);
  await settle();
  assert.equal(await visible(page), false);
  assert.equal(await focused(page), 'before');
});

scene('s108 the warning has a name and a description, and is announced at few moments', {}, async ({ open, pass }) => {
  const page = await open();
  await pass(180);
  assert.match(await dialog(page).ariaSnapshot(), /alertdialog "Stay signed in\?"/);
  await page.evaluate(() => {
    window.announced = [];
    const region = document.querySelector('portcullis-timeout').shadowRoot.querySelector('[role=status]');
    new MutationObserver(() => region.textContent && window.announced.push(region.textContent)).observe(region, { childList: true });
  });
  await pass(115);
  const announced = await page.evaluate(() => window.announced);
  assert.ok(announced.length >= 2 && announced.length <= 4, announced.join('; '));
  assert.match(announced.at(-1), /in 20 seconds|in 19 seconds/);
});

scene('s111 a clock that is put forward or back changes nothing', {}, async ({ open, pass, context, settle }) => {
  const page = await open();
  await pass(195);
  for (const hours of [1, -1, -1]) {
    await page.evaluate(hours => {
      const now = Date.now;
      Date.now = () => now() + hours * 3_600_000;
    }, hours);
    await pass(1);
    assert.equal(await visible(page), true);
  }
  assert.match(await dialog(page).innerText(), /signed out in 1 minute, 4[12] seconds\./);
});

scene('an extension that fails is reported, and can be tried again', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  await pass(180);
  for (const outage of [[503, { 'retry-after': '30' }], [403]]) {
    world.outage = outage;
    await stay(page).click();
    await dialog(page).getByText('not possible now').first().waitFor();
    await settle();
    assert.equal(await covered(page), false);
  }
  world.outage = null;
  await stay(page).click();
  await eventually(() => world.extensions === 1);
  await settle();
  assert.equal(await visible(page), false);
});

scene('s061 the warning has a button that signs out', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  await pass(180);
  await leave(page).click();
  await settle();
  assert.equal(world.session, null);
  assert.equal(await covered(page), true);
});

scene('t36 asking does not keep a session alive', { idle: 120 }, async ({ world, open, pass }) => {
  const page = await open();
  await pass(120);
  assert.equal(world.session, null);
  assert.ok(world.polls <= 6, `${world.polls} polls`);
  assert.equal(await covered(page), true);
});

scene('an app gets events, and may warn in its own way', {}, async ({ open, pass, settle }) => {
  const page = await open();
  await recorded(page);
  await page.evaluate(() => addEventListener('portcullis-warning', event => event.preventDefault()));
  await pass(185);
  assert.equal(await visible(page), false);
  await page.evaluate(() => document.querySelector('portcullis-timeout').extend());
  await settle();
  assert.deepEqual(await page.evaluate(() => window.received), ['warning', 'extended']);
});

scene('texts and numbers are those of the page', { attributes: `texts='{"soon":"Abmeldung in {time} ({minutes}/{seconds})"}'` }, async ({ open, pass, context }) => {
  await context.addInitScript(() => addEventListener('DOMContentLoaded', () => { document.documentElement.lang = 'de'; }));
  const page = await open();
  await page.evaluate(() => document.querySelector('portcullis-timeout').replaceWith(document.querySelector('portcullis-timeout').cloneNode()));
  await pass(195);
  assert.match(await dialog(page).innerText(), /Abmeldung in 1 Minute und 45 Sekunden|Abmeldung in 1 Minute, 45 Sekunden \(1\/45\)/);
});

scene('without the attribute, activity extends nothing', {}, async ({ world, open, pass }) => {
  const page = await open();
  await pass(70);
  await page.locator('#before').click();
  await pass(70);
  assert.equal(world.extensions, 0);
});

scene('with the attribute, activity extends once a minute, and no activity extends nothing', { attributes: 'activity' }, async ({ world, open, pass }) => {
  const page = await open();
  await pass(100);
  assert.equal(world.extensions, 0);
  for (let i = 0; i < 12; i++) {
    await page.locator('#before').click();
    await page.keyboard.press('a');
    await pass(10);
  }
  assert.ok(world.extensions >= 2 && world.extensions <= 3, `${world.extensions} extensions`);
  const { extensions } = world;
  await pass(150);
  assert.ok(world.extensions - extensions <= 1);
  assert.equal(await heading(page).isVisible(), true);
});
