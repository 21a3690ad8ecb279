// One test in one engine: a host of its own, so a jar of its own, on a server that all scenes of
// the engine share.
import { after, test } from 'node:test';
import { mkdir, writeFile } from 'node:fs/promises';
import cookie from './cookie.mjs';
import crossSite from './cross-site.mjs';
import element from './element.mjs';
import { ENGINES } from './launch.mjs';
import { nginx, requests } from './nginx.mjs';
import { endAll, heard, start, until } from './processes.mjs';

const FAILURES = new URL('../../../target/browser-failures/', import.meta.url).pathname;
const PASSWORDS = { ada: 'analytical engine', grace: 'nanoseconds of wire' };

// A program of this repository, on a port that the system chooses.
async function origin(name) {
  const program = process.env[name];
  if (!program) throw new Error(`${name} is the path of a program; tests/browser/engines/run builds it and sets that`);
  return (await heard(start(program, [], { PORT: '0', RUST_LOG: 'error' }), /http:\S+/))[0];
}

async function begin(engine) {
  const [demo, crossSite] = await Promise.all([origin('DEMO'), origin('CROSS_SITE')]);
  const port = await nginx([{ names: '*.shop.localhost', origin: demo }, { names: '*.cross.localhost', origin: crossSite }]);
  return { demo, port, window: await ENGINES[engine]() };
}

// Run in the page: the first visible element with this selector and text, of the document or of
// Portcullis' own element.
const FIND = `
  const [selector, text] = arguments;
  const shadow = document.querySelector('portcullis-timeout')?.shadowRoot;
  return [document, shadow].flatMap(root => [...root?.querySelectorAll(selector) ?? []])
    .find(element => element.textContent.includes(text) && element.checkVisibility({ visibilityProperty: true })) ?? null;`;

// The actions of scenes in the window of their browser, on one host.
function actions({ demo, port, window }, host) {
  const origin = `https://${host}:${port}`;
  const act = {
    host, origin, demo,
    other: `https://127.0.0.1:${port}`,
    cookies: () => window.cookies(),
    cookie: async name => (await window.cookies()).find(cookie => cookie.name === name)?.value,
    go: path => window.navigate(new URL(path, origin).href),
    // Runs a function in the page.
    run: (play, ...given) => window.script(`return (${play})(...arguments)`, given),
    see: (selector, text = '') => until(() => window.script(FIND, [selector, text]), `to see ${selector} with "${text}"`),
    // The element may be replaced by the next page before it is clicked.
    click: (selector, text = '') => until(async () => {
      const found = await window.script(FIND, [selector, text]);
      if (found) await window.click(found).catch(error => { throw Object.assign(error, { final: !/stale|interact|intercept/.test(error.message) }); });
      return found;
    }, `to click on ${selector} with "${text}"`),
    type: async (selector, text) => window.type(await act.see(selector), text),
    at: path => until(() => act.run(path => location.pathname === path && document.readyState === 'complete', path), `to be at ${path}`),
    requests: (path, count) => requests(host, path, count),
    async signIn(who = 'ada', path = '/account') {
      await act.go(`/sign-in?return_to=${path}`);
      await act.fillIn(who);
      await act.at(path);
    },
    async fillIn(who) {
      await act.type('input[name=name]', who);
      await act.type('input[name=password]', PASSWORDS[who]);
      await act.click('main button', 'Sign in');
    },
    // Another device of the user, which needs no browser.
    device: who => device(demo, who),
  };
  return act;
}

async function device(origin, who) {
  let cookie;
  const ask = async (path, form) => {
    const answer = await fetch(origin + path, { redirect: 'manual', headers: { ...cookie && { cookie } }, ...form && { method: 'POST', body: new URLSearchParams(form) } });
    if (answer.status >= 400) throw new Error(`${path}: ${answer.status}`);
    cookie = answer.headers.getSetCookie().find(line => line.startsWith('__Host-Http-id='))?.split(';')[0] ?? cookie;
  };
  const password = PASSWORDS[who];
  await ask('/sign-in', { name: who, password });
  return {
    async endOthers() {
      await ask('/confirm', { password });
      await ask('/account/devices/end-others', {});
    },
  };
}

export function scenesIn(engine) {
  let begun;
  after(endAll);
  const scene = (name, host, play) => test(`${engine}: ${name}`, { timeout: 400_000 }, async () => {
    const all = await (begun ??= begin(engine));
    try {
      await play(actions(all, host));
    } catch (error) {
      const picture = `${FAILURES}${engine}-${host}.png`;
      await mkdir(FAILURES, { recursive: true });
      const taken = await all.window.screenshot().then(image => writeFile(picture, image, 'base64')).then(() => picture, () => 'no screenshot');
      throw new Error(`${engine}: ${error.message}\n(${taken})`, { cause: error });
    }
  });
  for (const book of [cookie, crossSite, element]) book(scene, engine);
}
