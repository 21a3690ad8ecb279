// What another site can do to a user's session cookie, and what it cannot: in a real Chromium,
// between two real sites.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { launch, screenshots } from './browser.mjs';

let launched, started;
after(async () => {
  await (await launched)?.close();
  (await started)?.child.kill('SIGKILL');
});

// The site is `localhost`. Each test has cookies of its own, so they share it.
async function start() {
  const { CROSS_SITE } = process.env;
  assert.ok(CROSS_SITE, 'CROSS_SITE is the path of the program; tests/browser/run builds it and sets that');
  const child = spawn(CROSS_SITE, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line');
  return { child, origin: line.match(/http:\S+/)[0] };
}

// The other site is `127.0.0.1`: another host, so another site, and trustworthy enough for
// browsers.
async function otherSite(pages) {
  const server = createServer((request, response) => {
    const page = pages[request.url];
    if (page?.startsWith('http')) response.writeHead(302, { location: page }).end();
    else response.setHeader('content-type', 'text/html').end(`<!doctype html>${page ?? ''}`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

// `pages` are those of the other site; `asked` counts the requests to the site, by path.
function scene(name, pages, play) {
  test(name, { timeout: 60_000 }, async () => {
    const browser = await (launched ??= launch());
    const { origin } = await (started ??= start());
    const other = await otherSite(pages(origin));
    const context = await browser.newContext();
    context.setDefaultTimeout(10_000);
    const asked = {};
    context.on('request', request => {
      const url = new URL(request.url());
      if (url.origin === origin) asked[url.pathname] = (asked[url.pathname] ?? 0) + 1;
    });
    const cookie = async of => (await context.cookies()).find(({ name }) => name === `__Host-${of}`)?.value;
    const signIn = async of => {
      const page = await context.newPage();
      await page.goto(`${origin}/${of}/form`);
      await page.getByRole('button').click();
      await page.getByText('account of alice').waitFor();
      return cookie(of);
    };
    try {
      await play({ origin, other: other.origin, context, asked, cookie, signIn, page: await context.newPage() });
    } catch (error) {
      await screenshots(name, context.pages());
      throw error;
    } finally {
      await context.close();
      other.close();
    }
  });
}

const link = (address, more = '') => `<a href="${address}" ${more}>Go</a>`;
const form = address => `<form method=post action="${address}"><button>Go</button></form>`;
const go = page => page.getByText('Go').click();

scene('a visitor from a search engine begins a session at once under Lax, and keeps it', site => ({ '/': link(`${site}/lax/count`) }),
  async ({ other, page, cookie, asked }) => {
    for (const visit of [1, 2]) {
      await page.goto(other);
      await go(page);
      await page.getByText(`anonymous, visit ${visit}`).waitFor();
    }
    assert.ok(await cookie('lax'));
    assert.equal(asked['/lax/count'], 2);
  });

scene('a user who comes from a search engine under Lax stays signed in', site => ({ '/': link(`${site}/lax/count`) }),
  async ({ other, page, cookie, signIn }) => {
    const before = await signIn('lax');
    await page.goto(other);
    await go(page);
    await page.getByText('alice, visit 1').waitFor();
    assert.equal(await cookie('lax'), before);
  });

const MAIL = {
  'a link': site => ({ '/': link(site) }),
  'a link in a new tab': site => ({ '/': link(site, 'target=_blank') }),
  'a link without a referrer': site => ({ '/': link(site, 'rel=noreferrer') }),
  'a link through a service that counts clicks': site => ({ '/': link('/click'), '/click': site }),
};
for (const [how, pages] of Object.entries(MAIL)) {
  scene(`${how} in web mail finds the session of a Strict cookie, the second time`, site => pages(`${site}/strict/count`),
    async ({ other, context, page, cookie, signIn, asked }) => {
      const before = await signIn('strict');
      await page.goto(other);
      const [arrived] = await Promise.all([how.includes('tab') ? context.waitForEvent('page') : page, go(page)]);
      await arrived.getByText('alice, visit 1').waitFor();
      assert.equal(await cookie('strict'), before);
      assert.equal(asked['/strict/count'], 2);
    });
}

scene('a link in web mail to a page for signed-in users leads there, though the cookie is Strict', site => ({ '/': link(`${site}/strict/account`) }),
  async ({ other, page, signIn, asked }) => {
    await signIn('strict');
    asked['/strict/account'] = 0;
    await page.goto(other);
    await go(page);
    await page.getByText('account of alice').waitFor();
    assert.equal(asked['/strict/account'], 2);
  });

scene('a visitor without a session is served as well under Strict', site => ({ '/': link(`${site}/strict/count`) }),
  async ({ other, page, cookie, asked }) => {
    await page.goto(other);
    await go(page);
    await page.getByText('anonymous, visit 1').waitFor();
    assert.ok(await cookie('strict'));
    assert.equal(asked['/strict/count'], 2);
  });

scene('the back button skips the page that requested again', site => ({ '/': link(`${site}/strict/count`) }),
  async ({ other, page }) => {
    await page.goto(other);
    await go(page);
    await page.getByText('anonymous, visit 1').waitFor();
    await page.goBack({ waitUntil: 'commit' });
    assert.equal(new URL(page.url()).origin, other);
  });

// A sandbox has no origin, so a request from there is always cross-site.
scene('in a sandbox the page does not request again for ever', site => ({
  '/': `<iframe sandbox="allow-popups allow-scripts" srcdoc='${link(`${site}/strict/count`, 'target=_blank').replaceAll("'", '')}'></iframe>`,
}), async ({ other, context, page, asked, cookie, signIn }) => {
  const before = await signIn('strict');
  await page.goto(other);
  const [popup] = await Promise.all([context.waitForEvent('page'), page.frameLocator('iframe').getByText('Go').click()]);
  // It requested again once, and then has only a link.
  await popup.waitForFunction(() => document.querySelector('a') && !document.querySelector('meta[http-equiv=refresh]'));
  await page.waitForTimeout(500);
  assert.equal(asked['/strict/count'], 2);
  assert.equal(await cookie('strict'), before);
});

scene('without a click and a referrer the page waits for a click', site => ({
  '/': `<meta name=referrer content=no-referrer><script>location = "${site}/strict/count"</script>`,
}), async ({ other, page, asked }) => {
  await page.goto(other);
  await page.getByText('Continue').click();
  await page.getByText('anonymous, visit 1').waitFor();
  assert.equal(asked['/strict/count'], 2);
});

const BOTH = ['lax', 'strict'];
// The same for both cookies, in one browser.
function sceneOfBoth(name, pages, play) {
  scene(`${name}, be the cookie Lax or Strict`, site => Object.fromEntries(BOTH.map(of => [`/${of}`, pages(`${site}/${of}`)])),
    async world => {
      for (const of of BOTH) await play({ ...world, of, site: `${world.origin}/${of}`, other: `${world.other}/${of}` });
    });
}

sceneOfBoth('an image of another site leaves the session as it is', site => `<img src="${site}/count">`,
  async ({ other, of, page, asked, cookie, signIn }) => {
    const before = await signIn(of);
    await page.goto(other, { waitUntil: 'load' });
    assert.equal(asked[`/${of}/count`], 1);
    assert.equal(await cookie(of), before);
  });

sceneOfBoth('a frame of another site begins no session', site => `<iframe src="${site}/count"></iframe>`,
  async ({ site, other, of, page, cookie, signIn }) => {
    const before = await signIn(of);
    const answer = page.waitForResponse(`${site}/count`);
    await page.goto(other, { waitUntil: 'load' });
    assert.equal((await answer).status(), 403);
    assert.equal(await cookie(of), before);
  });

sceneOfBoth('a user who comes back from a payment by a form stays signed in', site => form(`${site}/paid`),
  async ({ other, of, page, cookie, signIn }) => {
    const before = await signIn(of);
    await page.goto(other);
    await go(page);
    await page.getByText('account of alice').waitFor();
    assert.equal(await cookie(of), before);
  });

sceneOfBoth('a form of another site that would write signs no user out', site => form(`${site}/count`),
  async ({ site, other, of, page, cookie, signIn }) => {
    const before = await signIn(of);
    await page.goto(other);
    const answer = page.waitForResponse(`${site}/count`);
    await go(page);
    assert.equal((await answer).status(), 403);
    assert.equal(await cookie(of), before);
  });

sceneOfBoth('a form of another site signs no user in', site => form(`${site}/sign-in`),
  async ({ site, other, of, page, cookie }) => {
    await page.goto(other);
    const answer = page.waitForResponse(`${site}/sign-in`);
    await go(page);
    assert.equal((await answer).status(), 403);
    assert.equal(await cookie(of), undefined);
  });

sceneOfBoth('form_post signs in only the browser that started the sign-in', site => form(`${site}/callback`),
  async ({ site, other, of, context, page, cookie, signIn }) => {
    const before = await signIn(of);
    await context.clearCookies({ name: '__Host-state' });
    await page.goto(other);
    const answer = page.waitForResponse(`${site}/callback`);
    await go(page);
    assert.equal((await answer).status(), 400);
    assert.equal(await cookie(of), before);
    await page.goto(`${site}/depart`);
    await page.goto(other);
    await go(page);
    await page.getByText('account of bob').waitFor();
    assert.notEqual(await cookie(of), before);
  });
