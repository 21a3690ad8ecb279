// One window of a browser, by the commands of WebDriver (https://www.w3.org/TR/webdriver1/).
// Chromium and WebKit have programs that take them over HTTP. Firefox takes the same ones over a
// socket of its own (Marionette), so it needs no `geckodriver`, which Debian does not have.
import { connect } from 'node:net';
import { once } from 'node:events';

// A command that takes longer hangs.
const LIMIT = 120_000;
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

// By HTTP, to the program at `origin`.
export async function overHttp(origin) {
  let session = '';
  const send = async (method, path, body) => {
    const answer = await fetch(`${origin}/session${path}`, { method, signal: AbortSignal.timeout(LIMIT), ...body && { body: JSON.stringify(body) } });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${value.message}`);
    return value;
  };
  return {
    async begin(capabilities) {
      ({ sessionId: session } = await send('POST', '', { capabilities: { alwaysMatch: capabilities } }));
      session = `/${session}`;
    },
    navigate: url => send('POST', `${session}/url`, { url }),
    script: (script, args) => send('POST', `${session}/execute/sync`, { script, args }),
    cookies: () => send('GET', `${session}/cookie`),
    click: element => send('POST', `${session}/element/${element[ELEMENT]}/click`, {}),
    type: (element, text) => send('POST', `${session}/element/${element[ELEMENT]}/value`, { text }),
    screenshot: () => send('GET', `${session}/screenshot`),
  };
}

// By Marionette: each message is its length, a colon, and `[0, id, command, parameters]` or `[1,
// id, error, result]`.
export async function overMarionette(port) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const waiting = new Map();
  let received = Buffer.alloc(0);
  const fail = error => {
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  socket.on('error', fail);
  socket.on('close', () => fail(new Error('Firefox has closed the line')));
  socket.on('data', data => {
    received = Buffer.concat([received, data]);
    for (;;) {
      const colon = received.indexOf(':');
      const end = colon + 1 + Number(received.subarray(0, Math.max(colon, 0)));
      if (colon < 0 || received.length < end) return;
      const message = JSON.parse(received.subarray(colon + 1, end));
      received = received.subarray(end);
      if (!Array.isArray(message)) continue; // its greeting
      const [, id, error, result] = message;
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (error) reject?.(new Error(`${error.error}: ${error.message}`));
      else resolve?.(result);
    }
  });
  let last = 0;
  const send = (command, parameters = {}) => new Promise((resolve, reject) => {
    const message = Buffer.from(JSON.stringify([0, ++last, `WebDriver:${command}`, parameters]));
    waiting.set(last, { resolve, reject });
    setTimeout(() => reject(new Error(`${command} takes too long`)), LIMIT).unref();
    socket.write(Buffer.concat([Buffer.from(`${message.length}:`), message]));
  });
  const value = async (...given) => (await send(...given)).value;
  return {
    begin: capabilities => send('NewSession', capabilities),
    navigate: url => send('Navigate', { url }),
    script: (script, args) => value('ExecuteScript', { script, args }),
    cookies: () => send('GetCookies'),
    click: element => send('ElementClick', { id: element[ELEMENT] }),
    type: (element, text) => send('ElementSendKeys', { id: element[ELEMENT], text }),
    screenshot: () => value('TakeScreenshot', { full: false }),
  };
}
