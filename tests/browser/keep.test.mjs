// Unsent text survives the end of a session: for the same user, and without secrets.
import assert from 'node:assert/strict';
import { covered, loaded, scene } from './browser.mjs';

const FORM = `
  <form id="letter" method="post" action="/letters" data-portcullis-keep>
    <input type="hidden" name="csrf" value="a-token">
    <label>To <input name="to"></label>
    <label>Text <textarea name="text"></textarea></label>
    <label>Copy <input type="checkbox" name="copy"></label>
    <label>Carrier <select name="how"><option>post</option><option>pigeon</option></select></label>
    <label>Password <input type="password" name="password"></label>
    <label>Shown password <input type="password" name="shown" id="shown"></label>
    <label>Card <input name="card" autocomplete="section-a billing cc-number"></label>
    <label>Code <input name="code" autocomplete="one-time-code"></label>
    <label>Private <input name="private" data-portcullis-skip></label>
    <button>Send</button>
  </form>
  <form id="other" data-portcullis-keep method="post" action="/letters"><label>Other <input name="other"></label></form>
  <form id="unkept"><label>Unkept <input name="unkept"></label></form>
  <form method="post" action="/sign-out"><button>Leave</button></form>`;
const OPTIONS = { content: FORM };

const check = page => page.evaluate(() => document.querySelector('portcullis-timeout').check());
const stored = page => page.evaluate(() => JSON.stringify({ ...sessionStorage }));
const note = page => page.getByText('What you had written is back.');
const text = page => page.getByLabel('Text');

async function write(page) {
  await loaded(page);
  await page.getByLabel('To').fill('grace');
  await text(page).fill('Dear Grace');
  await page.getByLabel('Copy').check();
  await page.getByLabel('Carrier').selectOption('pigeon');
  await page.getByLabel('Password', { exact: true }).fill('secret-one');
  await page.evaluate(() => { document.querySelector('#shown').type = 'text'; });
  await page.getByLabel('Shown password').fill('secret-two');
  await page.getByLabel('Card').fill('secret-three');
  await page.getByLabel('Code').fill('secret-four');
  await page.getByLabel('Private').fill('secret-five');
  await page.getByLabel('Unkept').fill('secret-six');
}

async function endAndSignIn({ world, settle, pass }, page, who = 'ada') {
  world.end('idle_timeout');
  await check(page);
  await settle();
  assert.equal(await covered(page), true);
  world.now += 60_000;
  world.signIn(who);
  await page.reload();
  await loaded(page);
  await pass(2);
}

scene('s110 the text is back after signing in again, with a notice', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await endAndSignIn(play, page);
  await note(page).waitFor();
  assert.equal(await page.getByRole('status').filter({ hasText: 'What you had written' }).count(), 1);
  assert.equal(await page.getByLabel('To').inputValue(), 'grace');
  assert.equal(await text(page).inputValue(), 'Dear Grace');
  assert.equal(await page.getByLabel('Copy').isChecked(), true);
  assert.equal(await page.getByLabel('Carrier').inputValue(), 'pigeon');
});

scene('passwords, card numbers, codes, hidden values and annotated fields are never kept', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  assert.match(await stored(page), /Dear Grace/);
  assert.doesNotMatch(await stored(page), /secret|a-token/);
  await endAndSignIn(play, page);
  assert.doesNotMatch(await stored(page), /secret|a-token/);
  for (const label of ['Password', 'Shown password', 'Card', 'Code', 'Private', 'Unkept']) {
    assert.equal(await page.getByLabel(label, { exact: true }).inputValue(), '');
  }
});

scene('text is kept also when it was written in the last moment', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await endAndSignIn(play, page);
  assert.equal(await text(page).inputValue(), 'Dear Grace');
});

scene('another user gets nothing, and leaves nothing', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await endAndSignIn(play, page, 'grace');
  assert.equal(await text(page).inputValue(), '');
  assert.equal(await stored(page), '{}');
});

scene('text is removed when its form was sent while the session was live', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.waitForURL('**/letters');
  assert.equal(play.world.submitted.length, 1);
  // The next page removes it, though it keeps nothing itself.
  await page.waitForFunction(() => !sessionStorage.length);
});

scene('text is not removed when its form was sent too late', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  play.world.end('revoked_by_user');
  await page.getByRole('button', { name: 'Send' }).click();
  await page.waitForURL('**/letters');
  await play.settle();
  play.world.now += 60_000;
  play.world.signIn();
  await page.goto('/page?a=b');
  await loaded(page);
  await play.pass(2);
  assert.equal(await text(page).inputValue(), 'Dear Grace');
});

for (const [how, leave] of [
  ['by a form', page => page.getByRole('button', { name: 'Leave' }).click()],
  ['by the warning', async (page, { pass }) => {
    await pass(180);
    await page.getByRole('button', { name: 'Sign out now' }).click();
  }],
]) {
  scene(`text is removed when the user signs out ${how}`, OPTIONS, async play => {
    const page = await play.open();
    await write(page);
    await play.pass(2);
    await leave(page, play);
    await play.settle();
    await page.waitForFunction(() => !sessionStorage.length);
  });
}

scene('text is removed after a day', { ...OPTIONS, absolute: 400_000, idle: 300_000 }, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  play.world.now += 86_400_000;
  await endAndSignIn(play, page);
  assert.equal(await text(page).inputValue(), '');
  assert.equal(await stored(page), '{}');
});

scene('text can be discarded', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await endAndSignIn(play, page);
  await page.getByRole('button', { name: 'Discard it' }).click();
  assert.equal(await text(page).inputValue(), '');
  assert.equal(await note(page).count(), 0);
  await play.pass(2);
  assert.equal(await stored(page), '{}');
});

scene('on another page, or in another form, nothing appears', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  play.world.now += 60_000;
  play.world.signIn();
  for (const path of ['/page?a=c', '/other?a=b', '/page?a=b']) {
    await page.goto(path);
    await loaded(page);
    await play.pass(2);
    assert.equal(await text(page).inputValue(), path === '/page?a=b' ? 'Dear Grace' : '');
    assert.equal(await page.getByLabel('Other').inputValue(), '');
  }
});

scene('where the form has changed, each value is restored into its own field or not at all', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await play.context.addInitScript(() => addEventListener('DOMContentLoaded', () => {
    const field = document.querySelector('#letter [name=to]');
    if (field) field.name = 'from';
  }));
  await endAndSignIn(play, page);
  assert.equal(await page.getByLabel('To').inputValue(), '');
  assert.equal(await text(page).inputValue(), 'Dear Grace');
});

scene('scripts of the page get an event for each restored field', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await play.context.addInitScript(() => {
    window.heard = [];
    addEventListener('input', event => window.heard.push(event.target.name));
  });
  await endAndSignIn(play, page);
  assert.ok((await page.evaluate(() => window.heard)).includes('text'));
});

scene('leaving the page at once loses nothing', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await page.goto('/other');
  assert.match(await stored(page), /Dear Grace/);
});

scene('nothing of a visitor is stored', { ...OPTIONS, user: null }, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  assert.equal(await stored(page), '{}');
});

scene('nothing is stored before the user is known', OPTIONS, async play => {
  play.world.outage = [503, {}];
  const page = await play.open();
  await write(page);
  await play.pass(3);
  assert.equal(await stored(page), '{}');
  play.world.outage = null;
  await play.pass(4);
  assert.match(await stored(page), /Dear Grace/);
});

scene('within one session a page is as the server sent it', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await page.reload();
  await loaded(page);
  await play.pass(2);
  assert.equal(await note(page).count(), 0);
});

const NAMED = ['id', 'reset', 'prepend'].map(name => `<input type="hidden" name="${name}" value="7">`).join('');
scene('a field may have the name of anything that a form has', {
  content: ['First', 'Second'].map(label => `<form method="post" data-portcullis-keep>${NAMED}<label>${label} <input name="a"></label></form>`).join(''),
}, async play => {
  const page = await play.open();
  await loaded(page);
  await page.getByLabel('First').fill('one');
  await page.getByLabel('Second').fill('two');
  await endAndSignIn(play, page);
  assert.equal(await page.getByLabel('First').inputValue(), 'one');
  assert.equal(await page.getByLabel('Second').inputValue(), 'two');
  await page.getByRole('button', { name: 'Discard it' }).first().click();
  assert.equal(await page.getByLabel('First').inputValue(), '');
  assert.equal(await page.getByLabel('Second').inputValue(), 'two');
});

scene('a form whose id is a number is not taken for another', {
  content: '<form data-portcullis-keep id="1"><label>First <input name="a"></label></form><form data-portcullis-keep><label>Second <input name="a"></label></form>',
}, async play => {
  const page = await play.open();
  await loaded(page);
  await page.getByLabel('First').fill('one');
  await endAndSignIn(play, page);
  assert.equal(await page.getByLabel('First').inputValue(), 'one');
  assert.equal(await page.getByLabel('Second').inputValue(), '');
});

for (const [what, refuse] of [
  ['an answer that does not repeat it', play => { play.world.refuse = true; }],
  ['an error that has no form', play => play.context.route('**/letters', route => route.fulfill({
    status: 503, contentType: 'text/html', body: '<script type="module" src="/session/timeout.js"></script><portcullis-timeout></portcullis-timeout>',
  }))],
]) {
  scene(`a form that the server refused is not lost: ${what}`, { ...OPTIONS, realTime: true }, async play => {
    const page = await play.open();
    await write(page);
    await refuse(play);
    await page.getByRole('button', { name: 'Send' }).click();
    await page.waitForURL('**/letters');
    await loaded(page);
    await page.goto('/page?a=b');
    await loaded(page);
    await note(page).waitFor();
    assert.equal(await text(page).inputValue(), 'Dear Grace');
  });
}

scene('text that is there already causes no notice', OPTIONS, async play => {
  const page = await play.open();
  await write(page);
  await play.context.addInitScript(() => addEventListener('DOMContentLoaded', () => {
    const { to, text, copy, how } = document.querySelector('#letter');
    [to.value, text.value, copy.checked, how.value] = ['grace', 'Dear Grace', true, 'pigeon'];
  }));
  await endAndSignIn(play, page);
  assert.equal(await note(page).count(), 0);
});

scene('an element for another session does not take the kept text', OPTIONS, async play => {
  await play.context.route('**/staff/status', route => route.fulfill({ json: {
    now: 1, idle_deadline: 9e12, absolute_deadline: 9e12, ends_at: 9e12, extends_to: 9e12, authenticated: true, user_fingerprint: 'staff',
  } }));
  const page = await play.open();
  await write(page);
  await play.pass(2);
  await page.evaluate(() => {
    const second = document.createElement('portcullis-timeout');
    second.setAttribute('base', '/staff');
    document.body.append(second);
  });
  await play.pass(3);
  assert.match(await stored(page), /Dear Grace/);
  assert.doesNotMatch(await stored(page), /staff/);
});
