/**
 * What agents do with git in their worktrees, hostile or clumsy: shell, run in the worktree's top folder. `$PROJECT` is the
 * user's checkout, whose path an agent finds in any log. No deed writes into the project by that path itself: an agent has the
 * rights of its user. Each leaves the project's files in the worktree, so that its task's result is known.
 */

/** The identity with which the agent commits. */
export const IDENTITY =
  'export GIT_AUTHOR_NAME=Agent GIT_AUTHOR_EMAIL=agent@x GIT_COMMITTER_NAME=Agent GIT_COMMITTER_EMAIL=agent@x';

export const DEEDS: Readonly<Record<string, string>> = {
  'sets config': 'git config user.name Other; git config user.email bot@x; git config --local commit.gpgSign true',
  'sets a hooks path, as husky does':
    'mkdir .husky; printf "#!/bin/sh\\nexit 1\\n" > .husky/pre-commit; chmod +x .husky/pre-commit; git config core.hooksPath .husky',
  'writes hooks':
    'for h in pre-commit post-checkout post-index-change reference-transaction post-rewrite; do printf "#!/bin/sh\\nexit 1\\n" > .git/hooks/$h; chmod +x .git/hooks/$h; done',
  'adds a remote':
    'git remote add elsewhere /nowhere; git remote rename origin upstream; git remote set-url upstream /x',
  'removes the remote': 'git remote remove origin',
  'fetches with prune and pushes': 'git fetch -q --prune origin; git push -q --force origin HEAD:refs/heads/agent-$$',
  'makes and moves branches': 'git branch feature/agents; git branch --force main HEAD; git checkout -q -B topic',
  'deletes every branch': 'git for-each-ref --format="%(refname:short)" refs/heads | xargs git branch -q -D',
  'commits on main':
    'git checkout -q --ignore-other-worktrees main; echo x > on-main; git add -A; git commit -q -m main; git push -q . HEAD:topic --force',
  'makes and deletes tags': 'git tag -a -m v1 agent-v1; git tag -d v0; git tag -f v2',
  stashes: 'echo stashed > s.txt; git stash -q -u; git stash pop -q; git stash list; git stash clear',
  'leaves a stash': 'echo y > s.txt; git add s.txt; git stash -q; git stash drop -q',
  'commits, amends and resets':
    'echo c > c.txt; git add -A; git commit -q -m One; git commit -q --amend -m Two; git reset -q --soft HEAD~1',
  'rebases and cherry-picks':
    'echo c > c.txt; git add -A; git commit -q -m One; git rebase -q --force-rebase HEAD~1; git cherry-pick --keep-redundant-commits HEAD >/dev/null 2>&1 || git cherry-pick --quit',
  'is stopped in a rebase':
    'echo c > c.txt; git add -A; git commit -q -m One; GIT_SEQUENCE_EDITOR="sed -i 1s/pick/edit/" git rebase -q -i HEAD~1 || true',
  'is stopped in a bisect': 'git bisect start -q; git bisect bad',
  'makes an orphan branch': 'git checkout -q --orphan orphan; git commit -q -m Orphan --allow-empty',
  'rewrites history':
    'FILTER_BRANCH_SQUELCH_WARNING=1 git filter-branch -f --msg-filter "sed s/^/x/" HEAD >/dev/null 2>&1',
  'replaces objects and writes notes':
    'git replace -f HEAD $(git commit-tree -m x HEAD^{tree}); git notes add -m note HEAD',
  'collects garbage': 'git reflog expire --expire=now --all; git gc -q --prune=now --aggressive',
  'repacks and prunes': 'git repack -a -d -f -q; git prune --expire now; git prune-packed -q',
  'runs maintenance': 'git maintenance run --task=gc --task=commit-graph --task=loose-objects --quiet',
  'packs refs': 'git pack-refs --all --prune',
  'prunes worktrees': 'git worktree prune --expire now',
  'makes worktrees':
    'git worktree add -q --detach inside; git worktree add -q --detach inside2; git worktree remove --force inside2',
  'runs git init': 'git init -q; git init -q --bare .git',
  'makes a repository inside':
    'git init -q inner; echo i > inner/i.txt; git -C inner add -A; git -C inner commit -q -m i',
  'clones the project inside': 'git clone -q "$PROJECT" clone; rm -rf clone/.git/hooks',
  'adds a submodule':
    'git -c protocol.file.allow=always submodule --quiet add "$PROJECT" sub || true; rm -rf sub .gitmodules',
  'sets core.worktree': 'git config core.worktree /nowhere',
  'sets core.worktree to the project': 'git config core.worktree "$PROJECT"',
  'sets core.bare': 'git config core.bare true',
  'sets core.gitdir and safe.directory': 'git config core.gitProxy false; git config safe.directory /nowhere',
  'sets an unknown extension': 'git config core.repositoryformatversion 1; git config extensions.nobodyKnows true',
  'sets the object format': 'git config core.repositoryformatversion 1; git config extensions.objectFormat sha256',
  'sets the ref storage': 'git config core.repositoryformatversion 1; git config extensions.refStorage reftable',
  'sets a partial clone':
    'git config core.repositoryformatversion 1; git config extensions.partialClone origin; git config remote.origin.promisor true',
  'sets worktreeConfig and sparse':
    'git config extensions.worktreeConfig true; git sparse-checkout set --cone src; git sparse-checkout disable',
  'sets a repository version': 'git config core.repositoryformatversion 99',
  'breaks its config': 'printf "[core\\nbroken" > .git/config',
  'includes a config in a circle': 'git config include.path config',
  'sets an alias, a pager and an editor':
    'git config alias.status "!false"; git config core.pager false; git config core.editor false',
  'excludes all files': 'echo "*" >> .git/info/exclude; echo "*" > .git/all; git config core.excludesFile .git/all',
  'sets attributes and filters':
    'echo "* filter=f text eol=crlf" > .git/info/attributes; git config filter.f.clean "false"; git config filter.f.required true',
  'sets file modes': 'git config core.fileMode false; git config core.symlinks false; git config core.ignoreCase true',
  'sets a monitor':
    'git config core.fsmonitor "touch $PROJECT/monitored"; git config core.untrackedCache true; git status -s >/dev/null 2>&1 || true; rm -f "$PROJECT/monitored"',
  'stages by force and in another form':
    'git update-index --index-version 4 --split-index; git update-index --skip-worktree README.md; git rm -rq --cached src',
  'leaves locks':
    'touch .git/index.lock .git/HEAD.lock .git/config.lock .git/refs/heads/main.lock .git/packed-refs.lock',
  'breaks its index': 'echo broken > .git/index',
  'breaks its HEAD': 'echo broken > .git/HEAD; git symbolic-ref HEAD refs/heads/x || true',
  'breaks its refs':
    'echo broken > .git/packed-refs; mkdir -p .git/refs/heads; echo broken > .git/refs/heads/broken; printf "ref: refs/heads/loop\\n" > .git/refs/heads/loop',
  'writes shallow and grafts': 'git rev-parse HEAD > .git/shallow; git rev-parse HEAD > .git/info/grafts',
  'removes its objects': 'rm -rf .git/objects',
  'removes the alternates': 'rm .git/objects/info/alternates',
  'points the alternates nowhere': 'echo /nowhere > .git/objects/info/alternates',
  'points the alternates to the project':
    'echo "$PROJECT/.git/objects" > .git/objects/info/alternates; git gc -q --prune=now',
  'points the alternates in a circle': 'echo "$PWD/.git/objects" > .git/objects/info/alternates',
  'removes its repository': 'rm -rf .git',
  'replaces its repository': 'rm -rf .git; git init -q; git add -A; git commit -q -m Fresh',
  'replaces its repository by a clone': 'rm -rf .git; git clone -q --bare "$PROJECT" .git; git config core.bare false',
  'replaces its repository by an empty file': 'rm -rf .git; : > .git',
  'replaces its repository by a file that names the project': 'rm -rf .git; echo "gitdir: $PROJECT/.git" > .git',
  'replaces its repository by a link to the project': 'rm -rf .git; ln -s "$PROJECT/.git" .git',
  'replaces its repository by a link to nowhere': 'rm -rf .git; ln -s /nowhere .git',
  'replaces its repository by a pipe': 'rm -rf .git; mkfifo .git',
  'links its objects to the project': 'rm -rf .git/objects; ln -s "$PROJECT/.git/objects" .git/objects',
  'links its refs to the project':
    'rm -rf .git/refs; ln -s "$PROJECT/.git/refs" .git/refs; ln -sf "$PROJECT/.git/packed-refs" .git/packed-refs',
  'replaces its branches by pipes':
    'rm -f .git/packed-refs .git/index; mkfifo .git/packed-refs .git/index .git/refs/heads/pipe',
  'makes its repository unreadable': 'chmod -R a-rwx .git',
  'cleans everything': 'echo x > junk; git clean -ffdxq; git checkout -q -f HEAD -- .',
};

/** Deeds that change the settings of the user, which are not the project's: only with a HOME of the test. */
export const GLOBAL_DEEDS: Readonly<Record<string, string>> = {
  'sets global config':
    'git config --global user.email bot@x; git config --global core.hooksPath /nowhere; git config --global gc.auto 1; git config --global init.templateDir /nowhere',
  'sets a global monitor and signing':
    'git config --global core.fsmonitor "touch /nowhere"; git config --global commit.gpgSign true; git config --global maintenance.auto true',
  'removes the global config': 'rm -f "$HOME/.gitconfig"',
};
