// Programs that end with the tests, their folder, free ports and time limits.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { freePort } from '../port.mjs';

// The limit for any step on a busy machine.
const PATIENCE = 30_000;
// A browser that starts reads hundreds of megabytes.
export const START = 4 * PATIENCE;

export const folder = mkdtempSync(join(tmpdir(), 'portcullis-engines-'));
const children = new Set();

// Browsers leave children of their own behind, so each program leads a group, which ends as a
// whole.
export function endAll() {
  for (const child of children) {
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {} // it has ended
  }
  children.clear();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
process.on('exit', endAll);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

// Tries again and again until there is a result. If none comes, reports the last error.
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

// `lines` has the lines that it wrote.
export function start(program, given, env = {}) {
  const { PATH, LANG } = process.env;
  const child = spawn(program, given, {
    env: { PATH, LANG, HOME: folder, XDG_RUNTIME_DIR: folder, TMPDIR: folder, ...env }, stdio: ['ignore', 'pipe', 'pipe', 'pipe'], detached: true,
  });
  children.add(child);
  const lines = [];
  for (const output of child.stdio.slice(1)) createInterface(output).on('line', line => lines.push(line));
  const running = { lines, left: null };
  const leave = how => {
    running.left = how;
    children.delete(child);
  };
  child.on('exit', (code, signal) => leave(code ?? signal));
  child.on('error', error => leave(error.message));
  return running;
}

// The first line of the program that matches, unless it ends before that.
export function heard(program, pattern) {
  return until(() => {
    for (const line of program.lines) if (pattern.test(line)) return line.match(pattern);
    alive(program);
  }, `a line like ${pattern}`, START);
}

export function alive({ left, lines }) {
  if (left !== null) throw Object.assign(new Error(`it ended with ${left}: ${lines.slice(-5).join('\n')}`), { final: true });
}

// Starts a program that cannot choose a port for itself. One that is free now may be taken a moment
// later.
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
