import { scenesIn } from './scene.mjs';
import cookie from './cookie.mjs';
import crossSite from './cross-site.mjs';
import element from './element.mjs';

scenesIn('chromium', cookie, crossSite, element);
