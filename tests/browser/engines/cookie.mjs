// The cookie, as each engine stores it.
import assert from 'node:assert/strict';

const NAME = '__Host-Http-id';

export default function (scene, engine) {
  scene('the cookie is stored, comes back over HTTP/2, and no script sees it', 'stored.shop.localhost', async ({ host, cookies, signIn, see, run, requests }) => {
    await signIn();
    await see('h1', 'Hello, ada');
    const [{ name, value, secure, httpOnly, sameSite, path, domain, expiry }, ...others] = await cookies();
    assert.deepEqual({ name, secure, httpOnly, sameSite, path, domain, expiry, others }, {
      name: NAME, secure: true, httpOnly: true, sameSite: 'Lax', path: '/', domain: host, expiry: undefined, others: [],
    });
    assert.deepEqual((await requests('/account', 1)).map(({ protocol, cookies, status }) => [protocol, cookies, status]), [['HTTP/2.0', `${NAME}=${value}`, '200']]);
    assert.equal(await run(() => document.cookie), '');
  });

  scene('signing out removes the cookie and what scripts have stored', 'sign-out.shop.localhost', async ({ cookies, signIn, click, at, go, run }) => {
    await signIn();
    await run(() => { localStorage.setItem('of', 'ada'); });
    await click('button', 'Sign out');
    await at('/signed-out');
    assert.deepEqual(await cookies(), []);
    // WebKit ignores `Clear-Site-Data` on a redirect.
    if (engine !== 'webkit') assert.equal(await run(() => localStorage.getItem('of')), null);
    await go('/account');
    await at('/sign-in');
  });

  scene('a script can neither replace nor remove the cookie', 'script.shop.localhost', async ({ cookie, signIn, run, go, see }) => {
    await signIn();
    const issued = await cookie(NAME);
    await run(name => {
      for (const attributes of ['', '; HttpOnly', '; Max-Age=0', '; Domain=shop.localhost'])
        document.cookie = `${name}=planted; Secure; Path=/${attributes}`;
    }, NAME);
    assert.equal(await cookie(NAME), issued);
    await go('/account');
    await see('h1', 'Hello, ada');
  });

  // WebKitGTK stores cookies that break the rules of a prefix.
  if (engine === 'webkit') return;
  scene('where there is no cookie, a script plants none', 'planted.shop.localhost', async ({ cookies, run, go }) => {
    await go('/');
    await run(name => {
      for (const planted of [`${name}=planted; Secure; Path=/`, `${name}=planted; Domain=shop.localhost; Secure; Path=/`, 'allowed=planted; Secure; Path=/'])
        document.cookie = planted;
    }, NAME);
    assert.deepEqual((await cookies()).map(({ name }) => name), ['allowed']);
  });
}
