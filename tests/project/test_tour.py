# SPDX-License-Identifier: Apache-2.0

"""The tour of the documentation, typed as it stands."""

import os
import pathlib
import subprocess
import sysconfig
import tempfile
import venv

from oslotest import base

from tests import pages

_PAGE = pages.SOURCE / 'user' / 'tour.rst'
# Stands in the script where a block begins, and in its output then.
_MARK = '--- block {}'
# What the first blocks are for, the test does in another way: the cloud, who
# logs in to it, and a directory of one's own.
_BEFORE = 3


class TourTestCase(base.BaseTestCase):
    """With the driver from a wheel, and Cinder of this environment."""

    def setUp(self):
        super().setUp()
        self.home = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        self.environment = self.home / 'venv'
        self._install_wheel()
        # The cloud, without the source of the driver beside it.
        (self.home / 'tests').symlink_to(pages.ROOT / 'tests')

    def _install_wheel(self):
        venv.create(self.environment, with_pip=True)
        pip = self.environment / 'bin' / 'pip'
        clone = self.home / 'clone'
        self._run('git', 'clone', '-q', pages.ROOT, clone)
        self._run(pip, 'wheel', '-q', '--no-deps', '-w', self.home, clone)
        (wheel,) = self.home.glob('*.whl')
        self._run(pip, 'install', '-q', '--no-deps', wheel)
        (libraries,) = self.environment.glob('lib/python*/site-packages')
        # The rest is that of this environment, which takes less time.
        (libraries / 'more.pth').write_text(sysconfig.get_path('purelib'))
        (self.environment / 'etc').symlink_to(
            pathlib.Path(sysconfig.get_path('data')) / 'etc')

    def _run(self, *command):
        done = subprocess.run(
            command, cwd=self.home, text=True, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=os.environ | {'PYTHONPATH': str(self.home)})
        self.assertEqual(0, done.returncode, done.stdout)
        return done.stdout

    def test_as_it_stands(self):
        blocks = list(pages.blocks(_PAGE))
        outputs = self._outputs(blocks)
        for number, block in enumerate(blocks):
            if block.language:
                self._check_shown(block, outputs[number - 1])

    def _outputs(self, blocks):
        """What each block prints, by its number."""
        script = [
            'set -e -o pipefail',
            '. "${CSB_CLOUD%/*}/openrc-demo"',
            f'PATH={self.environment}/bin:{sysconfig.get_path("scripts")}:$PATH',
            'cd "$(mktemp -d -p "${CSB_CLOUD%/*}")"']
        for number, block in enumerate(blocks):
            script.append(f'echo "{_MARK.format(number)}"')
            if number >= _BEFORE and not block.language:
                script.append(block.text)
        printed = self._run(
            self.environment / 'bin' / 'python', '-W', 'ignore', '-m',
            'tests.cloud', 'run', '--', 'bash', '-c', '\n'.join(script))
        where = self._run(
            self.environment / 'bin' / 'python', '-c',
            'import cinder_swift_backup as c; print(c.__file__)')
        self.assertIn(str(self.environment), where)
        outputs = []
        for number in reversed(range(len(blocks))):
            printed, found, output = printed.rpartition(
                _MARK.format(number) + '\n')
            self.assertTrue(found, printed)
            outputs.insert(0, output)
        return outputs

    def _check_shown(self, block, output):
        lines = output.splitlines()
        for shown in block.text.splitlines():
            self.assertTrue(
                any(pages.is_like(shown, line) for line in lines),
                f'{shown!r} is not in\n{output}')
