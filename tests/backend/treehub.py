# SPDX-License-Identifier: Apache-2.0
"""The OSTree repository that is served below /treehub; made with the ostree program."""
import os
import subprocess


class Treehub:
    def __init__(self, directory):
        self.directory = directory
        if not os.path.exists(os.path.join(directory, 'config')):
            os.makedirs(directory, exist_ok=True)
            self._ostree('init', '--mode=archive')

    def _ostree(self, *arguments):
        return subprocess.run(['ostree', f'--repo={self.directory}', *arguments], check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, tree, subject, branch='main'):
        """Commits a directory. Returns the commit's hash."""
        return self._ostree('commit', '-b', branch, f'--tree=dir={tree}', '--owner-uid=0', '--owner-gid=0', '-s', subject,
                            f'--add-metadata-string=version={subject}')

    def take(self, repository, ref):
        """Copies a commit out of another local repository. Returns its hash."""
        self._ostree('pull-local', repository, ref)
        return subprocess.run(['ostree', f'--repo={repository}', 'rev-parse', ref], check=True, capture_output=True, text=True).stdout.strip()

    def path_of(self, name):
        """The file of a request path below /treehub; None if it is not inside or not there."""
        path = os.path.realpath(os.path.join(self.directory, name))
        inside = path.startswith(os.path.realpath(self.directory) + os.sep)
        return path if inside and os.path.isfile(path) else None
