/** Reads the choices of a session from the modes, models and config options that the agent reports. */
import type { OfferedChoice, SessionOffers } from '../driver.ts';
import { type ConfigOption, findOption, type SessionSettings } from './options.ts';

const ofOption = (option: ConfigOption | undefined): OfferedChoice | undefined =>
  option && { current: option.current, values: option.offered, takesAny: option.takesAny };

/** Returns the choices in the same order of preference as the requests that set them (options.ts). */
export function offersOf({ modes, models, options }: SessionSettings): SessionOffers {
  const listed = (choice: SessionSettings['modes']): OfferedChoice | undefined =>
    choice && { current: choice.current, values: choice.offered, takesAny: false };
  return {
    model: ofOption(findOption(options, 'model')) ?? listed(models),
    mode: listed(modes) ?? ofOption(findOption(options, 'mode')),
    thinking: ofOption(findOption(options, 'thought_level')),
  };
}
