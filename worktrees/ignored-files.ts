/**
 * The note on ignored files: a change does not contain them, so the note names those that the agent wrote. All ignored
 * files count, because a new worktree has none.
 */
const NAMED_LIMIT = 5;

/**
 * Returns the note, or an empty list if there are no ignored files. A folder that git ignores as a whole ends with a
 * slash and counts as one file.
 */
export function noteOnIgnored(ignored: readonly string[]): string[] {
  if (ignored.length === 0) return [];
  const named = ignored.slice(0, NAMED_LIMIT).join(', ');
  const more = ignored.length > NAMED_LIMIT ? ` and ${ignored.length - NAMED_LIMIT} more` : '';
  const folders = ignored.filter((name) => name.endsWith('/')).length;
  const files = ignored.length - folders;
  const counts = [counted(files, 'file'), counted(folders, 'folder')].filter((one) => one !== '').join(' and ');
  return [`${counts} ${ignored.length === 1 ? 'was' : 'were'} left out of the change: ${named}${more}.`];
}

function counted(count: number, what: string): string {
  return count === 0 ? '' : `${count} ignored ${what}${count === 1 ? '' : 's'}`;
}
