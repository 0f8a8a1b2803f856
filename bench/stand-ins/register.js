// For `node --import`: from here on this process gets the stand-ins in place of two modules of the program. Only the
// worker loads those, so the other parts do not notice.
import { register } from 'node:module';

register('./replace.js', import.meta.url);
