import { scenesIn } from './scene.mjs';

scenesIn('webkit');
