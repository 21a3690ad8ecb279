// Answers like the routes of Portcullis, by a clock that the test moves. For the component alone:
// the real server is tested with the demo.
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';

const BROWSER = new URL('../../crates/portcullis/browser/', import.meta.url);
const SCRIPTS = { '/session/timeout.js': 'portcullis-timeout.js', '/session/keep.js': 'portcullis-keep.js' };
export const CSP = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; require-trusted-types-for 'script'";
const SECOND = 1000;

// As `routes/scripts.rs` serves it.
export async function script(path) {
  const source = await readFile(new URL(SCRIPTS[path], BROWSER), 'utf8');
  return source.split('\n').map(line => line.replace(/^\t+/, '')).filter(line => line && !line.startsWith('//')).join('\n') + '\n';
}

export async function standIn({ idle = 300, absolute = 3600, user = 'ada', attributes = '', content = '', csp = CSP } = {}) {
  const world = {
    now: 1_700_000_000_000,
    session: null,
    ended: undefined, // the problem document's reason and detail
    outage: null, // a response head instead of every answer
    hold: null, // a promise that answers wait for
    slow: null, // a promise that forms wait for
    refuse: false, // answers a form with 422 and the same page
    stale: false, // whether answers describe the state at the time of the request
    polls: 0,
    extensions: 0,
    submitted: [],
    signIn(who = user) {
      const absoluteDeadline = world.now + absolute * SECOND;
      world.session = { user: who, absoluteDeadline };
      world.ended = undefined;
      world.slide();
    },
    slide() {
      world.session.idleDeadline = extended();
    },
    end(reason, detail = `Because of ${reason}.`) {
      world.session = null;
      world.ended = { reason, detail };
    },
    close: () => new Promise(resolve => {
      server.close(resolve);
      server.closeAllConnections();
    }),
  };

  const extended = () => Math.min(world.now + idle * SECOND, world.session.absoluteDeadline);
  const endsAt = () => Math.min(world.session.idleDeadline, world.session.absoluteDeadline);

  function status() {
    if (world.session && world.now >= endsAt()) {
      world.end(world.now >= world.session.absoluteDeadline ? 'absolute_timeout' : 'idle_timeout');
    }
    if (!world.session) {
      const problem = { type: 'urn:portcullis:problem:authentication-required', title: 'Unauthorized', status: 401, now: world.now, detail: 'Sign in to do this.', ...world.ended };
      if (/^replaced/.test(problem.reason)) delete problem.now; // there is another session now
      return [401, 'application/problem+json', problem];
    }
    const { user, idleDeadline, absoluteDeadline } = world.session;
    const gains = idleDeadline < absoluteDeadline;
    return [200, 'application/json', {
      now: world.now, idle_deadline: idleDeadline, absolute_deadline: absoluteDeadline, ends_at: endsAt(), extends_to: gains ? extended() : null,
      authenticated: user !== null, user_fingerprint: user, elevated_until: null, elevations: {},
    }];
  }

  async function answer(request, response) {
    const path = new URL(request.url, 'http://localhost').pathname;
    const send = (code, type, body = '') => response.writeHead(code, { 'content-type': type, 'content-security-policy': csp }).end(body);
    if (path in SCRIPTS) return send(200, 'text/javascript', await script(path));
    if (path.startsWith('/session/')) {
      if (path === '/session/status') world.polls++;
      const { outage, stale } = world;
      const asked = status();
      await world.hold;
      if (outage) return response.writeHead(...outage).end('{}');
      if (path === '/session/sign-out') {
        world.end('signed_out');
        return send(200, 'application/json', JSON.stringify({ now: world.now, ...world.ended }));
      }
      if (path === '/session/extend') {
        world.extensions++;
        status();
        if (world.session) world.slide();
      }
      const [code, type, body] = stale ? asked : status();
      return send(code, type, JSON.stringify(body));
    }
    if (request.method === 'POST') {
      const body = (await request.toArray()).join('');
      await world.slow;
      world.submitted.push(body);
      if (path === '/sign-out') world.session = null;
    }
    if (path === '/sign-out') return response.writeHead(303, { location: '/signed-out' }).end();
    const name = path === '/plain' || path === '/signed-out' ? '' : `<portcullis-timeout ${attributes}></portcullis-timeout>`;
    return send(request.method === 'POST' && world.refuse ? 422 : 200, 'text/html; charset=utf-8', `<!doctype html>
      <html lang="en"><head><title>A page</title><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
      <script type="module" src="/session/timeout.js"></script></head>
      <body><main><h1>Secret heading</h1><button id="before">A button</button>${content}</main>${name}</body></html>`);
  }

  const server = createServer((request, response) => answer(request, response).catch(error => response.destroy(error)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  world.origin = `http://localhost:${server.address().port}`;
  world.signIn();
  return world;
}
