// Programs that end with the tests, and what they need: a folder, free ports, and patience.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../port.mjs';

// As long as anything may take on a machine with much else to do.
const PATIENCE = 30_000;
// A browser that starts reads hundreds of megabytes.
export const START = 4 * PATIENCE;

export const folder = mkdtempSync(join(tmpdir(), 'portcullis-engines-'));
const children = new Set();

// Browsers leave children of their own behind, so each program leads a group, which ends as a whole.
export function endAll() {
  for (const child of children) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {} // it is gone
  }
  children.clear();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
process.on('exit', endAll);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

// Asks again and again until there is something to return. If nothing comes, says what went wrong last.
export async function until(ask, what = `${ask}`, patience = PATIENCE) {
  const end = performance.now() + patience;
  for (let trouble = ''; ; await pause(50)) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      if (error.final) throw error;
      trouble = ` (${error.message})`;
    }
    if (performance.now() > end) throw new Error(`not within ${patience / 1000} s: ${what}${trouble}`);
  }
}

// `said` has the lines that it wrote.
export function start(program, given, env = {}) {
  const { PATH, LANG } = process.env;
  const child = spawn(program, given, {
    env: { PATH, LANG, HOME: folder, XDG_RUNTIME_DIR: folder, TMPDIR: folder, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'pipe'], detached: true,
  });
  children.add(child);
  const said = [];
  for (const output of child.stdio.slice(1)) createInterface(output).on('line', line => said.push(line));
  const running = { said, left: null };
  const leave = how => {
    running.left = how;
    children.delete(child);
  };
  child.on('exit', (code, signal) => leave(code ?? signal));
  child.on('error', error => leave(error.message));
  return running;
}

// What the program says that matches, unless it ends before that.
export function heard(program, pattern) {
  return until(() => {
    for (const line of program.said) if (pattern.test(line)) return line.match(pattern);
    alive(program);
  }, `a line like ${pattern}`, START);
}

export function alive({ left, said }) {
  if (left !== null) throw Object.assign(new Error(`it ended with ${left}: ${said.slice(-5).join('\n')}`), { final: true });
}

// Starts what cannot choose a port for itself. One that is free now may be taken a moment later.
export async function onFreePort(launch, path) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort();
    const program = await launch(port);
    try {
      await until(async () => {
        alive(program);
        await fetch(`http://127.0.0.1:${port}${path}`);
        alive(program);
        return true;
      }, `an answer of ${path}`, START);
      return port;
    } catch (error) {
      if (attempt === 3) throw error;
    }
  }
}
