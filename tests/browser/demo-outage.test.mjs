// While Redis does not answer.
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { dialog } from './browser.mjs';
import { confirm, covered, scene, signIn } from './demo.mjs';
import { freePort } from './port.mjs';

async function startRedis() {
  const port = await freePort();
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
  const server = spawn(process.env.REDIS_SERVER ?? 'redis-server', settings, { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: server.stdout })) if (/Ready to accept connections/i.test(line)) break;
  server.stdout.resume();
  const send = signal => () => server.kill(signal);
  return { url: `redis://127.0.0.1:${port}`, pause: send('SIGSTOP'), goOn: send('SIGCONT'), stop: send('SIGKILL') };
}

const redis = await startRedis();
after(redis.stop);

scene('rule 8 during an outage the page shows no end; past the deadline it is covered; then it shows the end', {
  timeouts: '26,600,60', redis, refused: { '/session/status': [401, 503], '/session/extend': 503, '/live': [401, 503] },
}, async ({ context }) => {
  const page = await context.newPage();
  await signIn(page);
  await dialog(page).waitFor({ timeout: 15_000 });
  redis.pause();
  await page.getByRole('button', { name: 'Stay signed in' }).click();
  await dialog(page).getByText('This is not possible now.').first().waitFor();
  assert.equal(await covered(page), false);
  await page.getByRole('heading', { name: 'Checking your session' }).waitFor({ timeout: 30_000 });
  assert.equal(await covered(page), true);
  redis.goOn();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor({ timeout: 30_000 });
  assert.match(await dialog(page).innerText(), /time without activity/);
  assert.equal(await covered(page), true);
});

scene('t67 the stream of events is opened again after an outage', {
  redis, refused: { '/session/status': 503, '/account/activity/news': 503, '/live': 503 },
}, async ({ context, browse }) => {
  const page = await context.newPage();
  await Promise.all([page.waitForResponse('**/account/activity/news'), signIn(page, 'ada', '/account/activity')]);
  redis.pause();
  await page.waitForFunction(() => window.streamEnds.includes('unverifiable'), null, { timeout: 30_000 });
  await page.waitForResponse(reply => reply.url().endsWith('/session/status') && reply.status() === 503, { timeout: 30_000 });
  redis.goOn();
  await page.waitForResponse(reply => reply.url().endsWith('/account/activity/news') && reply.ok(), { timeout: 30_000 });
  const other = await (await browse()).newPage();
  await signIn(other, 'ada', '/confirm');
  await confirm(other);
  await page.locator('tbody tr').first().filter({ hasText: 'Password confirmed' }).waitFor();
  assert.equal(await covered(page), false);
});
