import { scenesIn } from './scene.mjs';

scenesIn('chromium');
