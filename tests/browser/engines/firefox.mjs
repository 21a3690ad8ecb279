import { scenesIn } from './scene.mjs';

scenesIn('firefox');
