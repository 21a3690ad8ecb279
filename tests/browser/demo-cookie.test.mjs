// The cookie as the browser stores it, and what remains after a sign-out.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { at, covered, ready, scene, signIn, signOut } from './demo.mjs';

const NAME = '__Host-Http-id';
// The whole jar, as the developer tools show it.
async function jar(page) {
  const [tools, whole] = await Promise.all([page.context().newCDPSession(page), page.context().browser().newBrowserCDPSession()]);
  const { targetInfo: { browserContextId } } = await tools.send('Target.getTargetInfo');
  const { cookies } = await whole.send('Storage.getCookies', { browserContextId });
  await Promise.all([tools.detach(), whole.detach()]);
  return cookies;
}
const value = async page => (await jar(page)).find(({ name }) => name === NAME)?.value;
const names = async page => (await jar(page)).map(({ name }) => name);
const addToCart = async page => {
  await page.goto('/');
  await page.getByRole('button', { name: 'Add to cart' }).first().click();
  await at(page, '/cart');
};

scene('s001 s002 s006 the cookie is secure, http-only, lax, host-only, and ends with the browser', {}, async ({ context }) => {
  const page = await context.newPage();
  await page.goto('/cart');
  assert.deepEqual(await jar(page), []);
  await signIn(page);
  const [{ name, secure, httpOnly, sameSite, path, domain, session, expires }, ...others] = await jar(page);
  assert.deepEqual({ name, secure, httpOnly, sameSite, path, domain, session, expires, others }, {
    name: NAME, secure: true, httpOnly: true, sameSite: 'Lax', path: '/', domain: 'localhost', session: true, expires: -1, others: [],
  });
});

scene('no script sees the cookie', {}, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page);
  assert.ok(await value(page));
  assert.equal(await page.evaluate(() => document.cookie), '');
  assert.equal((await page.content()).includes(await value(page)), false);
  assert.deepEqual(await page.evaluate(async () => (await cookieStore.getAll()).map(({ name }) => name)), []);
});

scene('t20 signing in changes the identifier, and the cart comes along', {}, async ({ context }) => {
  const page = await context.newPage();
  await addToCart(page);
  const visitor = await value(page);
  await signIn(page, 'ada', '/cart');
  const ada = await value(page);
  assert.ok(visitor && ada && visitor !== ada);
  assert.equal(await page.getByRole('heading', { name: 'Brass padlock' }).isVisible(), true);
});

scene('s025 the cookie cannot be planted by a script', {}, async ({ context }) => {
  const page = await context.newPage();
  const plant = () => page.evaluate(name => {
    for (const attributes of ['', '; HttpOnly', '; SameSite=Lax'])
      document.cookie = `${name}=planted; Secure; Path=/${attributes}`;
    document.cookie = `${name}=; Secure; Path=/; Max-Age=0`;
    document.cookie = 'allowed=planted; Secure; Path=/';
  }, NAME);
  await page.goto('/');
  await plant();
  assert.deepEqual(await names(page), ['allowed']);
  await signIn(page);
  const issued = await value(page);
  await plant();
  assert.equal(await value(page), issued);
});

scene('s025 the cookie cannot be planted by a neighbour of the same domain', {}, async ({ demo, context }) => {
  const planted = ['__Host-Http-id', '__Host-id', 'allowed'].map(name => `${name}=planted; Domain=shop.localhost; Secure; HttpOnly; Path=/`);
  const neighbour = createServer((request, response) => response.setHeader('set-cookie', planted).end('<!doctype html>'));
  neighbour.listen(0, '127.0.0.1');
  await once(neighbour, 'listening');
  const page = await context.newPage();
  await page.goto(`http://evil.shop.localhost:${neighbour.address().port}/`);
  await page.evaluate(() => {
    for (const name of ['__Host-Http-id', '__Host-id', 'script'])
      document.cookie = `${name}=planted; Domain=shop.localhost; Secure; Path=/`;
  });
  await page.goto(demo.origin.replace('localhost', 'shop.localhost'));
  // The jar would take them. Only the prefix keeps them out.
  assert.deepEqual((await names(page)).sort(), ['allowed', 'script']);
  neighbour.close();
  neighbour.closeAllConnections();
});

// A page that is being unloaded may still load the reason why its socket was closed.
const LEFT = { refused: { '/session/status': 401 } };

scene('s060 signing out empties the jar and what scripts have stored', LEFT, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page);
  await page.evaluate(() => {
    localStorage.setItem('of', 'ada');
    sessionStorage.setItem('of', 'ada');
  });
  await signOut(page);
  await at(page, '/signed-out');
  assert.deepEqual(await jar(page), []);
  assert.deepEqual(await page.evaluate(() => [localStorage.length, sessionStorage.length]), [0, 0]);
});

// No page of an account is shown at any moment, from any cache.
const seen = () => {
  window.seen = [];
  const record = () => {
    for (const element of document.querySelectorAll('h1, aside'))
      if (getComputedStyle(element).visibility === 'visible') window.seen.push(element.textContent);
  };
  addEventListener('pagehide', () => {
    window.looked = false;
    window.seen = [];
  });
  addEventListener('pageshow', () => {
    record();
    requestAnimationFrame(() => {
      record();
      window.looked = true;
    });
  });
};
async function goBackToNothing(page) {
  // One from the back/forward cache is not loaded.
  await page.goBack({ waitUntil: 'commit' });
  await page.waitForFunction(() => window.looked);
  const account = /Hello|Your devices|Public handle/;
  assert.doesNotMatch(JSON.stringify(await page.evaluate(() => window.seen)), account);
  assert.doesNotMatch(await page.locator('body').ariaSnapshot(), account);
}

scene('s060 after signing out, the back button shows nothing of the account', LEFT, async ({ context }) => {
  await context.addInitScript(seen);
  const page = await context.newPage();
  await signIn(page);
  await page.goto('/account/devices');
  await signOut(page);
  await at(page, '/signed-out');
  await goBackToNothing(page);
  await goBackToNothing(page);
});

scene('s060 after signing out in another tab, the back button shows nothing of the account', LEFT, async ({ context }) => {
  await context.addInitScript(seen);
  const page = await context.newPage();
  await signIn(page);
  await page.goto('/');
  const other = await context.newPage();
  await other.goto('/account');
  await ready(other);
  await signOut(other);
  await at(other, '/signed-out');
  await goBackToNothing(page);
});

scene('s060 signing out by the warning leaves nothing either', LEFT, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page);
  await page.evaluate(() => localStorage.setItem('of', 'ada'));
  await page.evaluate(() => document.querySelector('portcullis-timeout').shadowRoot.querySelector('#leave').click());
  await page.getByRole('link', { name: 'Sign in again' }).waitFor();
  assert.equal(await covered(page), true);
  assert.deepEqual(await jar(page), []);
  assert.equal(await page.evaluate(() => localStorage.length), 0);
});
