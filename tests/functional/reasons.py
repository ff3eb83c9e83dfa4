# SPDX-License-Identifier: Apache-2.0

"""What users see of an error, through the real Cinder API.

Cinder keeps 255 characters of it as the ``fail_reason`` of a backup: they have
to have all of what is wrong and of what to do. Of a restore it keeps nothing,
but logs it.
"""

import re
import subprocess
import sys
import urllib.parse

from tests.cloud import processes
from tests.cloud.fault_proxy import proxy as fault_proxy
from tests.functional import own_cinder

# Options for what fails for good.
IMPATIENT = {'backup_swift_retry_attempts': 1,
             'backup_swift_retry_backoff': 1,
             'backup_swift_patience': 0}
STORAGE = 'Look for the cause on the host and in the storage, then try again.'
_KEPT = 255


class FailReasonTestCase(own_cinder.OwnCinderTestCase):
    """A test with a service that fails in many ways."""

    def start_proxy(self, **options):
        """Have the service go through the fault proxy from its start."""
        self.proxy = fault_proxy.FaultProxy(self.cloud.swift_url, **options)
        self.addCleanup(self.proxy.stop)
        self.proxy.start()
        self.own.extra_options['backup_swift_url'] = (
            f'{self.proxy.url}/v1/AUTH_')

    def make_container(self):
        """Make the container, which the service cannot."""
        self.store.ensure_container(self.container, create=True)

    def fail_to_back_up(self, volume, *texts, **options):
        """Begin a backup, which is to fail with such a reason."""
        backup = self.start_backup(volume, **options)
        self.assert_failed(backup, *texts)
        self.wait(self.cinder.volumes, volume, 'available')
        return backup

    def fail_to_delete(self, backup, *texts, cinder=None):
        """Begin a delete, which is to fail with such a reason."""
        (cinder or self.cinder).backups.delete(backup)
        self.assert_failed(backup, *texts)

    def assert_failed(self, backup, what, remedy):
        """The reason is whole, and the log has all of it and its cause.

        :param what: a regular expression for the beginning
        """
        self.wait_until(self.has_failed, backup)
        reason = self.cinder.backups.get(backup.id).fail_reason
        self.assertLessEqual(len(reason), _KEPT)
        self.assertRegex(
            reason, rf'^[A-Z][a-z ]+: {what}\. {re.escape(remedy)} \[')
        self.wait_until(self.log_has, reason)
        # Our error is in the log as the cause of Cinder's.
        self.assertRegex(self.own.log.read_text(errors='replace'),
                         rf'cinder_swift_backup\.[.\w]+: {what} \[.*\]')

    def has_failed(self, backup):
        """Whether Cinder says so of a backup."""
        return self.cinder.backups.get(backup.id).status == 'error'

    def log_has(self, text):
        """Whether the service's log has it."""
        return text in self.own.log.read_text(errors='replace')

    def fail_to_restore(self, backup, *texts):
        """Begin a restore, which is to be logged with such a reason."""
        self.assert_not_restored(backup, self.start_restore(backup), *texts)

    def start_restore(self, backup):
        """Begin a restore to a new volume, which it returns."""
        answer = self.cinder.restores.restore(backup.id)
        target = self.cinder.volumes.get(answer.volume_id)
        self.forget_later(self.forget_volume, target)
        return target

    def assert_not_restored(self, backup, target, what, remedy):
        """The states say so, and the log has the reason and its cause.

        :param what: a regular expression for the beginning
        """
        self.wait_until(self._restore_has_failed, target)
        self.wait(self.cinder.backups, backup, 'available')
        begins = (f'Restoring backup {backup.id} to volume {target.id} '
                  f'failed.')
        self.wait_until(self.log_has, begins)
        log = self.own.log.read_text(errors='replace').partition(begins)[2]
        found = re.search(
            rf'^.*cinder\.exception\.\w+: ([A-Z][a-z ]+: {what}\. '
            rf'{re.escape(remedy)}) \[(.*)$', log, re.MULTILINE)
        self.assertIsNotNone(found, log[:5000])
        self.assertLessEqual(len(found[1]), _KEPT)
        self.assertIn(backup.id, found[2])
        # Our error is in the log as the cause of Cinder's.
        self.assertRegex(log, rf'cinder_swift_backup\.[.\w]+: {what} \[')

    def _restore_has_failed(self, volume):
        return self.cinder.volumes.get(volume.id).status == 'error_restoring'

    def relay(self, url):
        """A way to a server, as a URL, and a function that ends it."""
        target = urllib.parse.urlsplit(url)
        child = subprocess.Popen(
            [sys.executable, '-m', 'tests.bench.delay', target.hostname,
             str(target.port), '0'], cwd=processes.ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

        def end():
            child.communicate()
        self.addCleanup(end)
        port = int(child.stdout.readline())
        return target._replace(netloc=f'{processes.HOST}:{port}').geturl(), end
