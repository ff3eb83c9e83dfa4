# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.tempest``: Tempest's tests of backups against a cloud.

Needs a cloud: ``python -m tests.cloud run``. Arguments are those of ``tempest
run``, and win over ours.

1. Name a network in the catalog, for Tempest's cleaning up.
2. Write a tempest.conf in a temporary directory, and run Tempest there. What
   cannot run here is in ``exclude.txt``, with the reason.
3. Fail if a test was skipped all the same: nobody would notice that nothing
   runs any more.
"""

import pathlib
import subprocess
import sys
import tempfile

from stestr.repository import util
import testtools

from tests.cloud import config_files
from tests.cloud import processes
from tests.cloud.info import CloudInfo
from tests.tempest import network
from tests.tempest import settings

TESTS = '|'.join([
    'test_volume_backup',
    'test_volumes_backup',
    'test_snapshot_backup',
    r'rbac\.v3\.test_backups',
    # Several at once.
    'test_create_backups_and_restores',
    'test_create_multiple_volume_from_backup',
])
EXCLUDED = pathlib.Path(__file__).with_name('exclude.txt')


def main() -> int:
    """Do all the steps; return the exit status."""
    info = CloudInfo.from_environment()
    if info is None:
        sys.exit('error: run it by "python -m tests.cloud run"')
    network.pretend(info)
    with tempfile.TemporaryDirectory(prefix='csb-tempest-') as name:
        directory = pathlib.Path(name)
        conf = directory / 'tempest.conf'
        config_files.write(conf, settings.sections(info, directory))
        status = _run(directory, conf)
        skipped = _skipped(directory)
    for test, reason in skipped:
        print(f'error: {test} was skipped: {reason}', file=sys.stderr)
    return status or bool(skipped)


def _run(directory: pathlib.Path, conf: pathlib.Path) -> int:
    """Run Tempest in a directory; return its exit status."""
    arguments = [
        '--serial', '--config-file', str(conf), '--regex', TESTS,
        '--exclude-list', str(EXCLUDED),
    ]
    return subprocess.run(
        [processes.find_command('tempest', 'tempest'), 'run', *arguments,
         *sys.argv[1:]], cwd=directory, check=False).returncode


def _skipped(directory: pathlib.Path) -> list[tuple[str, str]]:
    """Return the tests that were skipped, each with the reason."""
    run = util.get_repo_open(repo_url=str(directory)).get_latest_run()
    summary = testtools.StreamSummary()
    summary.startTestRun()
    run.get_test().run(summary)
    summary.stopTestRun()
    return [(test.id(), reason) for test, reason in summary.skipped]


if __name__ == '__main__':
    sys.exit(main())
