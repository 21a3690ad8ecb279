// The end of a session, and events that must not look like one.
import assert from 'node:assert/strict';
import { covered, dialog, eventually, focused, heading, recorded, scene, visible } from './browser.mjs';

const check = page => page.evaluate(() => document.querySelector('portcullis-timeout').check());
// Wakes the page as if the tab or the machine had slept: no timer ran, and the first event is that
// the page is visible again.
const hide = page => page.evaluate(() => {
  Object.defineProperty(document, 'hidden', { configurable: true, value: true });
  document.dispatchEvent(new Event('visibilitychange'));
});
const comeBack = page => page.evaluate(() => {
  Object.defineProperty(document, 'hidden', { configurable: true, value: false });
  document.dispatchEvent(new Event('visibilitychange'));
  const dialog = document.querySelector('portcullis-timeout').shadowRoot.querySelector('dialog');
  // In the same task, so nothing has been painted.
  return { hidden: getComputedStyle(document.querySelector('h1')).visibility === 'hidden', open: dialog.open };
});

for (const reason of ['idle_timeout', 'absolute_timeout', 'signed_out', 'revoked_by_user', 'revoked_by_operator', 'displaced_by_limit', 'device_changed']) {
  scene(`s110 an end is shown with its reason: ${reason}`, {}, async ({ world, open, pass, settle }) => {
    const page = await open();
    await recorded(page);
    world.end(reason);
    await check(page);
    await settle();
    assert.equal(await covered(page), true);
    assert.match(await dialog(page).innerText(), new RegExp(`You are signed out\\s+Because of ${reason}\\.`));
    assert.equal(await page.getByRole('link', { name: 'Sign in again' }).getAttribute('href'), '/sign-in?return_to=%2Fpage%3Fa%3Db');
    assert.equal(await focused(page), 'again');
    assert.deepEqual(await page.evaluate(() => window.received), [`ended ${reason}`]);
  });
}

scene('s110 the reason is shown in the texts of the page, and the link back is the app\'s', {
  attributes: `texts='{"idle_timeout":"Zu lange untätig."}' sign-in="/anmelden" return-to="weiter"`,
}, async ({ world, open, settle }) => {
  const page = await open();
  world.end('idle_timeout');
  await check(page);
  await settle();
  assert.match(await dialog(page).innerText(), /Zu lange untätig\./);
  assert.equal(await page.getByRole('link').getAttribute('href'), '/anmelden?weiter=%2Fpage%3Fa%3Db');
});

scene('s111 at the deadline the page is covered, and nothing of it can be seen, read out or reached', {}, async ({ open, pass }) => {
  const page = await open();
  await page.locator('#before').focus();
  await pass(300);
  assert.equal(await covered(page), true);
  for (let i = 0; i < 5; i++) {
    await page.keyboard.press('Tab');
    assert.notEqual(await focused(page), 'before');
  }
  for (let i = 0; i < 3; i++) await page.keyboard.press('Escape');
  await eventually(() => visible(page));
  assert.equal(await covered(page), true);
  // An element that forces itself visible is behind an opaque cover.
  const backdrop = await page.evaluate(() => getComputedStyle(document.querySelector('portcullis-timeout').shadowRoot.querySelector('dialog'), '::backdrop').backgroundColor);
  assert.match(backdrop, /^rgb\(/);
  assert.equal(await page.evaluate(() => { getSelection().selectAllChildren(document.body); return getSelection().toString().includes('Secret'); }), false);
});

scene('an end elsewhere shows with the next poll, and at once when the app requests a check', { attributes: 'poll="30"' }, async ({ world, open, pass, settle }) => {
  const page = await open();
  world.end('revoked_by_user');
  await pass(26);
  assert.equal(await covered(page), false);
  await pass(5);
  assert.equal(await covered(page), true);
  world.signIn();
  await page.reload();
  await settle();
  world.end('revoked_by_user');
  await page.evaluate(() => document.dispatchEvent(new Event('portcullis-check')));
  await settle();
  assert.equal(await covered(page), true);
});

scene('s111 a page that wakes after the deadline shows nothing before the server has answered', {}, async ({ world, context, open, settle }) => {
  const page = await open();
  await hide(page);
  world.now += 1_200_000;
  await page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 1_200_000; // the machine slept: only the wall clock advanced
  });
  const { polls } = world;
  assert.deepEqual(await comeBack(page), { hidden: true, open: true });
  await settle();
  assert.equal(world.polls, polls + 1);
  assert.match(await dialog(page).innerText(), /idle_timeout/);
});

scene('s111 a page that wakes and was kept signed in elsewhere is uncovered', {}, async ({ world, open, settle }) => {
  const page = await open();
  await page.locator('#before').focus();
  await hide(page);
  world.now += 1_200_000;
  world.slide();
  await page.evaluate(() => {
    const now = Date.now;
    Date.now = () => now() + 1_200_000;
  });
  assert.equal((await comeBack(page)).hidden, true);
  await settle();
  assert.equal(await covered(page), false);
  assert.equal(await visible(page), false);
  assert.equal(await focused(page), 'before');
});

scene('s111 a machine that slept asks before it shows anything', {}, async ({ world, context, open, pass, settle }) => {
  const page = await open();
  await pass(180);
  world.slide();
  const { polls } = world;
  let answer;
  world.hold = new Promise(resolve => { answer = resolve; });
  world.now += 60_000;
  const before = await dialog(page).innerText();
  await context.clock.fastForward(60_000);
  assert.equal(await dialog(page).innerText(), before);
  answer();
  await settle();
  assert.equal(world.polls, polls + 1);
  assert.equal(await visible(page), false);
});

scene('while the server cannot answer, no end is shown', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  world.outage = [503, { 'retry-after': '7' }];
  await check(page);
  await settle();
  assert.equal(await visible(page), false);
  const { polls } = world;
  await pass(6);
  assert.equal(world.polls, polls);
  await pass(2);
  assert.equal(world.polls, polls + 1);
});

scene('a moment at which to ask again may be a date, by the server\'s own clock', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  world.outage = [503, { date: 'Sun, 06 Nov 1994 08:49:30 GMT', 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' }];
  await check(page);
  await settle();
  const { polls } = world;
  await pass(6);
  assert.equal(world.polls, polls);
  await pass(2);
  assert.equal(world.polls, polls + 1);
});

for (const after of ['soon', '-1', 'Sun, 06 Nov 1994 08:49:37 GMT', '1e9']) {
  scene(`the server is asked again within a minute after Retry-After: ${after}`, {}, async ({ world, open, pass, settle }) => {
    const page = await open();
    world.outage = [503, { 'retry-after': after }];
    await check(page);
    await settle();
    const { polls } = world;
    await pass(61);
    assert.ok(world.polls > polls);
  });
}

scene('an attribute that is no number does not stop the questions', { attributes: 'poll="often"' }, async ({ world, open, pass }) => {
  await open();
  const { polls } = world;
  await pass(61);
  assert.equal(world.polls, polls + 1);
});

// A modal dialog of the page itself, with a field in it.
const openModal = page => page.evaluate(() => {
  const modal = document.body.appendChild(document.createElement('dialog'));
  modal.append('Are you sure?', document.createElement('input'));
  modal.showModal();
});
const again = page => page.getByRole('link', { name: 'Sign in again' });

for (const [when, play] of [
  ['before the end', async ({ world, settle }, page) => {
    await openModal(page);
    world.end('idle_timeout');
    await check(page);
    await settle();
  }],
  ['after the end', async ({ world, settle, pass }, page) => {
    world.end('idle_timeout');
    await check(page);
    await settle();
    await openModal(page);
    await pass(1);
  }],
]) {
  scene(`a modal dialog that the page opens ${when} does not hide the link back`, {}, async world => {
    const page = await world.open();
    await play(world, page);
    assert.equal(await covered(page), true);
    assert.equal(await focused(page), 'again');
    await again(page).click({ trial: true });
    await page.keyboard.press('Enter');
    await page.waitForURL('**/sign-in**');
  });
}

scene('a page without pointer events does not block the link back', {}, async ({ world, open, settle }) => {
  const page = await open();
  await page.evaluate(() => { document.body.style.pointerEvents = 'none'; });
  world.end('idle_timeout');
  await check(page);
  await settle();
  await again(page).click();
  await page.waitForURL('**/sign-in**');
});

scene('when the deadline passes and the server cannot answer, the page is covered, and shows the reason', {}, async ({ world, open, pass }) => {
  const page = await open();
  await recorded(page);
  await pass(175);
  world.outage = [503, {}];
  await pass(130);
  assert.equal(await covered(page), true);
  assert.match(await dialog(page).innerText(), /Checking your session\s+This is not possible now/);
  assert.deepEqual(await page.evaluate(() => window.received), ['warning']);
  world.outage = null;
  await pass(6);
  assert.match(await dialog(page).innerText(), /idle_timeout/);
});

for (const [what, outage] of [
  ['a broken connection', 'abort'],
  ['a page of a captive portal', [200, { 'content-type': 'text/html' }]],
  ['a 401 of a proxy', [401, {}]],
  ['a 500', [500, {}]],
]) {
  scene(`${what} is no end`, {}, async ({ world, context, open, pass, settle }) => {
    const page = await open();
    if (outage === 'abort') await context.route('**/session/status', route => route.abort());
    else world.outage = outage;
    await check(page);
    await settle();
    await pass(10);
    assert.equal(await covered(page), false);
  });
}

scene('an identifier that was replaced a moment ago is no end', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  const { session } = world;
  world.end('replaced');
  await check(page);
  await settle();
  assert.equal(await covered(page), false);
  world.session = session;
  await pass(6);
  assert.equal(await covered(page), false);
});

scene('s059 a sign-out that came with such an identifier is not reported as done', {}, async ({ world, context, open, pass, settle }) => {
  const page = await open();
  await pass(180);
  const problem = { type: 'urn:portcullis:problem:session-replaced', status: 401, detail: 'Try again.', reason: 'replaced' };
  await context.route('**/session/sign-out', route => route.fulfill({ status: 401, json: problem }));
  await page.getByRole('button', { name: 'Sign out now' }).click();
  await settle();
  assert.equal(await covered(page), false);
  assert.match(await dialog(page).innerText(), /This is not possible now/);
});

// The visible elements at the first moment of a page that comes back.
const ATFIRST = () => addEventListener('pageshow', event => {
  window.shown = { persisted: event.persisted, visibility: getComputedStyle(document.querySelector('h1')).visibility };
});
scene('t34 a page that comes back from the back/forward cache shows nothing before the server has answered', { script: ATFIRST }, async ({ world, open, settle }) => {
  const page = await open();
  const leaveAndComeBack = async () => {
    await page.goto('/plain');
    await page.goBack({ waitUntil: 'commit' });
    assert.deepEqual(await page.evaluate(() => window.shown), { persisted: true, visibility: 'hidden' });
  };
  await leaveAndComeBack();
  await settle();
  assert.equal(await covered(page), false);
  world.end('signed_out');
  world.outage = [503, {}];
  await leaveAndComeBack();
  await settle();
  assert.equal(await covered(page), true);
  world.outage = null;
  await check(page);
  await settle();
  assert.match(await dialog(page).innerText(), /signed_out/);
});

scene('a page that never had a session is left alone', {}, async ({ world, open, pass }) => {
  world.end('idle_timeout');
  const page = await open();
  await pass(120);
  assert.equal(world.polls, 1);
  assert.equal(await visible(page), false);
  assert.equal(await covered(page), false);
});

scene('a page without the element is left alone', {}, async ({ context }) => {
  const page = await context.newPage();
  await page.goto('/plain');
  assert.equal(await heading(page).isVisible(), true);
});

scene('a page that requires a session is covered when there is none', { attributes: 'required' }, async ({ world, open }) => {
  world.end('idle_timeout');
  assert.equal(await covered(await open()), true);
});

scene('a page that requires a signed-in user is covered for a visitor', { attributes: 'required', user: null }, async ({ open }) => {
  assert.equal(await covered(await open()), true);
});

scene('a page stays covered wherever the element is moved to, and the link back stays', {}, async ({ world, open, settle, pass }) => {
  const page = await open();
  world.end('idle_timeout');
  await check(page);
  await settle();
  for (const move of [
    element => document.body.prepend(element),
    element => document.body.appendChild(document.createElement('section')).append(element),
  ]) {
    await page.evaluateHandle(() => document.querySelector('portcullis-timeout')).then(element => element.evaluate(move));
    assert.equal(await covered(page), true);
    await pass(1);
    assert.equal(await covered(page), true);
    await again(page).click({ trial: true });
  }
});

scene('a page whose element is removed is uncovered, and sends no requests', {}, async ({ world, open, settle, pass }) => {
  const page = await open();
  world.end('idle_timeout');
  await check(page);
  await settle();
  await page.evaluate(() => document.querySelector('portcullis-timeout').remove());
  assert.equal(await covered(page), false);
  world.signIn();
  const { polls } = world;
  await pass(61);
  assert.equal(world.polls, polls);
});

// A second element, such as one of the layout.
const addSecond = (page, attributes = {}) => page.evaluate(attributes => {
  const second = document.createElement('portcullis-timeout');
  for (const [name, value] of Object.entries(attributes)) second.setAttribute(name, value);
  document.body.append(second);
}, attributes);

scene('of two elements none uncovers what the other covers', {}, async ({ world, open, settle, pass }) => {
  world.end('idle_timeout');
  const page = await open();
  await addSecond(page, { required: '' });
  await pass(3);
  assert.equal(await covered(page), true);
  await page.evaluate(() => document.querySelector('portcullis-timeout').remove());
  assert.equal(await covered(page), true);
});

scene('two elements warn and extend as one', {}, async ({ world, open, pass, settle }) => {
  const page = await open();
  await addSecond(page);
  await pass(180);
  const { polls } = world;
  await page.getByRole('button', { name: 'Stay signed in' }).last().click();
  await eventually(() => world.extensions === 1);
  await settle();
  assert.equal(await dialog(page).count(), 0);
  assert.equal(world.polls, polls);
});

scene('a visitor who is not signed in gets no warning', { user: null }, async ({ open, pass }) => {
  const page = await open();
  await pass(301);
  assert.equal(await visible(page), false);
  assert.equal(await covered(page), false);
});

scene('another user who signs in does not see the page', {}, async ({ world, open, settle }) => {
  const page = await open();
  world.signIn('grace');
  await check(page);
  await settle();
  assert.equal(await covered(page), true);
});

for (const [whose, change] of [
  ['another user is signed in', world => world.signIn('grace')],
  ['there is only a visitor', world => world.signIn(null)],
  ['there is no session', world => world.end('signed_out')],
]) {
  scene(`a page that was rendered for one user is covered at once where ${whose}`, { attributes: 'user="ada"' }, async ({ world, open }) => {
    assert.equal(await covered(await open()), false);
    change(world);
    const page = await open();
    assert.equal(await covered(page), true);
    world.signIn();
    await open();
    await eventually(async () => !await covered(page));
  });
}

scene('s110 a user who signs in again elsewhere continues on the same page', {}, async ({ world, open, settle }) => {
  const page = await open();
  world.end('idle_timeout');
  await check(page);
  await settle();
  assert.equal(await covered(page), true);
  world.signIn();
  await open('/other');
  await eventually(async () => !await covered(page));
  assert.equal(await heading(page).isVisible(), true);
});
