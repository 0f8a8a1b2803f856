/** The agents under test, by their names in the catalogue: exactly these versions were measured. */
export const PACKAGES = {
  opencode: 'opencode-ai@1.18.33',
  codex: '@agentclientprotocol/codex-acp@2.6.0',
  gemini: '@google/gemini-cli@0.61.0',
} as const;

export type RealAgentName = keyof typeof PACKAGES;
