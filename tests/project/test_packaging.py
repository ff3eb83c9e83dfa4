# SPDX-License-Identifier: Apache-2.0

"""The package installs by itself, and ships what it says of itself."""

import pathlib
import subprocess
import tempfile
import venv

from oslo_config import cfg
from oslo_config import generator
from oslotest import base

ROOT = pathlib.Path(__file__).parents[2]


class InstallTestCase(base.BaseTestCase):
    """An environment with nothing in it."""

    def test_install(self):
        directory = pathlib.Path(tempfile.mkdtemp())
        venv.create(directory, with_pip=True)
        python = directory / 'bin' / 'python'

        def run(*arguments):
            done = subprocess.run(
                [python, *arguments], cwd=directory, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False)
            self.assertEqual(0, done.returncode, done.stdout)
            return done.stdout

        constraints = ROOT / 'constraints' / '2026.2.txt'
        run('-m', 'pip', 'install', '-c', constraints, ROOT)
        run('-m', 'pip', 'check')
        run('-W', 'error', '-c', 'import cinder_swift_backup')
        # Cinder is there already or it is not wanted.
        self.assertNotIn('cinder ', run('-m', 'pip', 'list').lower())
        # Nor is it for the command.
        run('-m', 'pip', 'install', '-c', constraints, f'{ROOT}[cli]')
        self.assertNotIn('cinder ', run('-m', 'pip', 'list').lower())
        program = directory / 'bin' / 'cinder-swift-backup'
        for arguments, code in ((['--help'], 0), (['list'], 4),
                                (['check-config'], 4)):
            done = subprocess.run(
                [program, *arguments], cwd=directory, text=True,
                capture_output=True, check=False,
                env={'HOME': str(directory)})
            self.assertEqual(code, done.returncode, done.stderr)
            self.assertEqual(bool(code), bool(done.stderr))
            self.assertLessEqual(done.stderr.count('\n'), 1)


class SampleTestCase(base.BaseTestCase):
    """``etc/cinder-swift-backup.conf.sample``."""

    def test_is_what_genconfig_writes(self):
        made = pathlib.Path(tempfile.mkdtemp()) / 'sample'
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        conf(['--config-file', str(ROOT / 'etc/config-generator.conf'),
              '--output-file', str(made)])
        generator.generate(conf)
        kept = ROOT / 'etc' / 'cinder-swift-backup.conf.sample'
        self.assertEqual(kept.read_text(), made.read_text(),
                         'run "tox -e genconfig"')
