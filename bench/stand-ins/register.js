// For `node --import`: from here on this process loads the replacements of two modules of the program. Only the
// worker loads these modules, so the other parts are not affected.
import { register } from 'node:module';

register('./replace.js', import.meta.url);
