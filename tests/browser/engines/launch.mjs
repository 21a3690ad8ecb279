// The three engines, each with a profile of its own that is deleted after the tests.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { START, alive, folder, heard, onFreePort, start, until } from './processes.mjs';
import { overHttp, overMarionette } from './webdriver.mjs';

// The certificate is made for the run.
const ANY = { acceptInsecureCerts: true };

async function chromium() {
  const port = await onFreePort(port => start(process.env.CHROMEDRIVER ?? 'chromedriver', [`--port=${port}`]), '/status');
  const browser = await overHttp(`http://127.0.0.1:${port}`);
  const args = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking', `--user-data-dir=${join(folder, 'chromium')}`];
  await browser.begin({ ...ANY, 'goog:chromeOptions': { args, binary: process.env.CHROMIUM ?? '/usr/bin/chromium' } });
  return browser;
}

async function firefox() {
  const profile = join(folder, 'firefox');
  await mkdir(profile);
  await writeFile(join(profile, 'user.js'), 'user_pref("marionette.port", 0);\nuser_pref("signon.rememberSignons", false);\n');
  const firefox = start(process.env.FIREFOX ?? 'firefox-esr', ['--headless', '--no-remote', '--marionette', '--profile', profile]);
  const port = await until(async () => {
    alive(firefox);
    return Number(await readFile(join(profile, 'MarionetteActivePort'), 'utf8'));
  }, 'Firefox says its port', START);
  const browser = await overMarionette(port);
  await browser.begin(ANY);
  return browser;
}

// It has no headless mode, so it gets a display.
async function webkit() {
  const screen = start('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x1024x24', '-nolisten', 'tcp']);
  const [, display] = await heard(screen, /^(\d+)$/);
  const port = await onFreePort(port => start('WebKitWebDriver', [`--port=${port}`], { DISPLAY: `:${display}` }), '/status');
  const browser = await overHttp(`http://127.0.0.1:${port}`);
  // Unless a browser is named, the driver starts its own MiniBrowser.
  await browser.begin(ANY);
  return browser;
}

export const ENGINES = { chromium, firefox, webkit };
