// The element, and the pages that are requested again.
import assert from 'node:assert/strict';
import { until } from './processes.mjs';

const NAME = '__Host-Http-id';

export default function (scene) {
  scene('it warns before the timeout, and "Stay signed in" extends', 'warning.shop.localhost', async ({ signIn, run, see, click }) => {
    await signIn();
    // All but three seconds of half an hour are within the lead of the warning.
    await run(() => {
      const element = document.querySelector('portcullis-timeout');
      const early = element.cloneNode();
      early.setAttribute('lead', 1796);
      window.deadlines = [];
      for (const type of ['status', 'extended'])
        addEventListener(`portcullis-${type}`, ({ detail }) => window.deadlines.push([type, detail.idle_deadline, early.shadowRoot.querySelector('dialog').open]));
      element.replaceWith(early);
    });
    await see('dialog h1', 'Stay signed in?');
    await click('dialog button', 'Stay signed in');
    const extended = await until(() => run(() => window.deadlines.find(([type]) => type === 'extended')), 'it to be extended');
    const [before] = await run(() => window.deadlines);
    assert.ok(extended[1] >= before[1] + 2000, `${before} ${extended}`);
    assert.equal(extended[2], false);
  });

  scene('an end elsewhere covers the page, shows the reason, and leads back to the letter of the same user', 'ended.shop.localhost', async ({ device, signIn, see, type, run, click, at, fillIn }) => {
    await signIn('ada', '/account/letter');
    await see('#windows', 'this one'); // the socket is open
    await type('#text', 'Dear shop');
    await (await device('ada')).endOthers();
    await see('dialog h1', 'You are signed out');
    await see('dialog p', 'from another of your devices');
    assert.deepEqual(await run(() => [...document.querySelectorAll('h1, textarea, aside')].filter(element => element.checkVisibility({ visibilityProperty: true })).length), 0);
    await click('dialog a', 'Sign in again');
    await at('/sign-in');
    await fillIn('ada');
    await at('/account/letter');
    await see('p', 'What you had written is back.');
    assert.equal(await run(() => document.querySelector('#text').value), 'Dear shop');
  });

  scene('a letter is not shown to another user', 'else.shop.localhost', async ({ device, signIn, see, type, run, click, at, fillIn }) => {
    await signIn('ada', '/account/letter');
    await see('#windows', 'this one');
    await type('#text', 'Dear shop');
    await (await device('ada')).endOthers();
    await click('dialog a', 'Sign in again');
    await at('/sign-in');
    await fillIn('grace');
    await at('/account/letter');
    await until(() => run(() => !sessionStorage.length), 'it to be forgotten');
    assert.equal(await run(() => document.querySelector('#text').value), '');
  });

  scene('a page whose identifier was just replaced is requested once more, and not again', 'replaced.shop.localhost', async ({ demo, signIn, cookie, go, at, requests }) => {
    await signIn();
    // Confirms the password, as if in a request whose response this browser does not have yet.
    const answer = await fetch(`${demo}/confirm`, {
      method: 'POST', redirect: 'manual', headers: { cookie: `${NAME}=${await cookie(NAME)}` }, body: new URLSearchParams({ password: 'analytical engine' }),
    });
    assert.equal(answer.status, 303);
    await go('/account/devices');
    const [first, second] = await requests('/account/devices', 2);
    assert.deepEqual([first.status, first.refresh, first.cookies.includes('-retried=')], ['401', '1; url=./devices', false]);
    assert.deepEqual([second.status, second.refresh, second.cookies.includes('-retried=')], ['303', '', true]);
    await at('/sign-in');
  });
}
