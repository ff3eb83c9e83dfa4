# SPDX-License-Identifier: Apache-2.0

"""Other tools that bring a file to Swift and back, where they are installed.

They know nothing of Cinder, its volumes or its records; they are measured to
tell what this machine and this Swift can do. They run with their defaults, and
log in with a token, so that the address of Swift can be any.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Protocol

from swiftclient import client

from tests.cloud import processes
from tests.cloud.info import CloudInfo

_SEGMENT = 52428800


class Tool(Protocol):
    """A program that backs up and restores a file."""

    name: str
    # Whether a second backup stores only what changed.
    incremental: bool
    # Where its objects are.
    containers: tuple[str, ...]

    def back_up(self, image: pathlib.Path) -> float:
        """Returns the seconds it took."""

    def restore(self, image: pathlib.Path, path: pathlib.Path) -> float:
        """Restore the last backup to ``path``; returns the seconds."""


class Account:
    """A Swift account, and the environment of programs that use it."""

    def __init__(self, info: CloudInfo, url: str) -> None:
        """Log in.

        :param url: of Swift, without the project; that of the catalog if
            empty
        """
        user = info.demo
        found, token = client.get_auth(
            info.auth_url, user.username, user.password, auth_version='3',
            os_options={'project_name': user.project_name,
                        'user_domain_name': user.user_domain_name,
                        'project_domain_name': user.project_domain_name,
                        'region_name': info.region})
        if url:
            found = url + found.rpartition('_')[2]
        self.url, self.token = found, token
        # Of the last program, in bytes.
        self.peak = 0
        self.environment = processes.environment({
            'OS_STORAGE_URL': found, 'OS_AUTH_TOKEN': token,
            'RESTIC_PASSWORD': 'measured'})

    def run(self, *command: str, cwd: pathlib.Path | None = None) -> float:
        """Run a program; returns the seconds it took.

        Its peak of memory is in ``peak`` then.
        """
        with tempfile.NamedTemporaryFile('r') as file:
            begun = time.monotonic()
            subprocess.run(
                (sys.executable, '-m', 'tests.bench.peak', file.name,
                 *command), env=self.environment, cwd=cwd, check=True,
                stdout=subprocess.DEVNULL,
                preexec_fn=processes.die_with_parent())
            seconds = time.monotonic() - begun
            self.peak = int(file.read())
        return seconds

    def stored(self, *containers: str) -> tuple[int, int]:
        """How many objects there are in containers, and their bytes."""
        objects = size = 0
        for container in containers:
            _, listing = client.get_container(
                self.url, self.token, container, full_listing=True)
            objects += len(listing)
            size += sum(each['bytes'] for each in listing)
        return objects, size


class Restic:
    """Deduplicates, compresses and encrypts."""

    name = 'restic'
    incremental = True
    containers = ('restic',)

    def __init__(self, account: Account, directory: pathlib.Path) -> None:
        self.account = account
        self._command = ('restic', '--quiet', '--no-cache', '-r',
                         'swift:restic:/')
        self._directory = directory / 'restic'
        self._new = True

    def back_up(self, image: pathlib.Path) -> float:
        """See :class:`Tool`."""
        if self._new:
            self.account.run(*self._command, 'init')
            self._new = False
        # Always under the same name, as the same volume.
        self._directory.mkdir(exist_ok=True)
        link = self._directory / 'volume'
        link.unlink(missing_ok=True)
        os.link(image, link)
        return self.account.run(*self._command, 'backup', str(link))

    def forget(self, kept: int) -> float:
        """Keep the last snapshots only; returns the seconds."""
        return self.account.run(*self._command, 'forget', '--prune',
                                '--keep-last', str(kept))

    def restore(self, image: pathlib.Path, path: pathlib.Path) -> float:
        """See :class:`Tool`."""
        target = self._directory / 'restored'
        seconds = self.account.run(
            *self._command, 'restore', 'latest', '--target', str(target))
        found = target / (self._directory / 'volume').relative_to('/')
        found.rename(path)
        return seconds


class SwiftUpload:
    """Swift's own client, which copies what is not there in the same form."""

    name = 'swift upload'
    _container = 'upload'
    incremental = False
    # The large object that names them would count once more.
    containers = ('upload_segments',)

    def __init__(self, account: Account, directory: pathlib.Path) -> None:
        self.account = account

    def back_up(self, image: pathlib.Path) -> float:
        """See :class:`Tool`."""
        return self.account.run(
            'swift', 'upload', '--use-slo', '--skip-identical',
            '--segment-size', str(_SEGMENT), self._container, image.name,
            cwd=image.parent)

    def restore(self, image: pathlib.Path, path: pathlib.Path) -> float:
        """See :class:`Tool`."""
        return self.account.run('swift', 'download', '--output', str(path),
                                self._container, image.name)


def installed(account: Account, directory: pathlib.Path) -> list[Tool]:
    """The tools that can be measured here."""
    path = processes.environment()['PATH']
    found: list[Tool] = []
    if shutil.which('restic', path=path):
        found.append(Restic(account, directory))
    if shutil.which('swift', path=path):
        found.append(SwiftUpload(account, directory))
    return found
