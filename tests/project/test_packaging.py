# SPDX-License-Identifier: Apache-2.0

"""The package installs by itself, and ships what it says of itself."""

import os
import pathlib
import re
import subprocess
import tarfile
import tempfile
import venv
import zipfile

from oslo_config import cfg
from oslo_config import generator
from oslotest import base

ROOT = pathlib.Path(__file__).parents[2]
_SAMPLE = 'cinder-swift-backup.conf.sample'
# The version, in the names of directories of a wheel.
_NUMBER = re.compile(r'(?<=^cinder_swift_backup)-[^/]+(?=\.d)')
_INFO = 'cinder_swift_backup-N.dist-info'
_DATA = 'cinder_swift_backup-N.data/data/share'
_BESIDE_THE_PACKAGE = {
    f'{_DATA}/cinder-swift-backup/{_SAMPLE}',
    f'{_DATA}/bash-completion/completions/cinder-swift-backup',
    *(f'{_INFO}/{name}' for name in (
        'METADATA', 'RECORD', 'WHEEL', 'entry_points.txt', 'licenses/LICENSE',
        'pbr.json', 'top_level.txt'))}


class BuildTestCase(base.BaseTestCase):
    """What ``python -m build`` makes of a clone."""

    def setUp(self):
        super().setUp()
        home = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        clone = home / 'clone'
        subprocess.run(['git', 'clone', '-q', ROOT, clone], check=True)
        self.tracked = set(subprocess.run(
            ['git', 'ls-files'], cwd=clone, text=True, check=True,
            stdout=subprocess.PIPE).stdout.split())
        venv.create(home / 'venv', with_pip=True)
        for command in (('pip', 'install', '-q', 'build'),
                        ('build', '-o', home / 'dist', clone)):
            done = subprocess.run(
                [home / 'venv/bin/python', '-m', *command], text=True,
                check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual(0, done.returncode, done.stdout)
        self.dist = home / 'dist'

    def test_each_file_and_no_other(self):
        (wheel,) = self.dist.glob('*.whl')
        names = {_NUMBER.sub('-N', name)
                 for name in zipfile.ZipFile(wheel).namelist()}
        package = {name for name in self.tracked
                   if name.startswith('cinder_swift_backup/')}
        self.assertEqual(package | _BESIDE_THE_PACKAGE, names)
        (archive,) = self.dist.glob('*.tar.gz')
        with tarfile.open(archive) as tar:
            names = {name.partition('/')[2] for member in tar
                     if member.isfile() and '.egg-info/' not in (
                         name := member.name)}
        self.assertEqual((self.tracked | {'AUTHORS', 'ChangeLog', 'PKG-INFO'})
                         - {'.gitignore'}, names)


class ReadmeTestCase(base.BaseTestCase):
    """What README tells to type, in a clone and an environment of its own."""

    def setUp(self):
        super().setUp()
        self.home = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()))
        self.clone = self.home / 'clone'
        subprocess.run(['git', 'clone', '-q', ROOT, self.clone], check=True)
        readme = (self.clone / 'README.rst').read_text()
        section = re.search(r'^Install it\n=+\n(.*?)^Switch back\n', readme,
                            re.MULTILINE | re.DOTALL)[1]
        self.commands = re.findall(
            '^ +((?:pip|cinder-swift-backup) .*)$', section, re.MULTILINE)

    def _run(self, environment, text, code=0):
        done = subprocess.run(
            ['sh', '-ec', text], cwd=self.clone, text=True,
            capture_output=True, check=False, env={
                **{name: value for name, value in os.environ.items()
                   if not name.startswith(('OS_', 'ST_', 'PYTHON'))},
                'HOME': str(self.home),
                'PATH': f'{environment}/bin:{os.environ["PATH"]}'})
        self.assertEqual(code, done.returncode, f'{text}\n{done.stderr}')
        return done

    def _check_without_extra(self, environment):
        """The driver alone, without what the command needs."""
        self._run(environment, 'pip install -c constraints/2026.2.txt .')
        self._run(environment, 'pip check')
        self._run(environment,
                  'cd / && python -W error -c "import cinder_swift_backup"')
        self.assertEqual(
            (ROOT / 'etc' / _SAMPLE).read_text(),
            (environment / 'share' / 'cinder-swift-backup' / _SAMPLE)
            .read_text())
        program = environment / 'bin' / 'cinder-swift-backup'
        # Which can be interrupted before it has loaded the rest.
        self.assertIn('cli.program import main', program.read_text())
        done = self._run(environment, f'cd / && {program} --help', code=4)
        self.assertEqual(1, done.stderr.count('\n'))
        self.assertIn('extra "cli"', done.stderr)

    def test_commands(self):
        source, wheel, install, check = self.commands
        for number, commands in enumerate(([source], [wheel, install])):
            environment = self.home / f'venv{number}'
            venv.create(environment, with_pip=True)
            if commands == [source]:
                self._check_without_extra(environment)
            for text in commands:
                self._run(environment, text)
            # Nothing of the source is found by chance.
            self._run(environment, 'cd / && cinder-swift-backup --help')
            listed = self._run(environment, 'pip list').stdout.lower()
            self.assertNotIn('cinder ', listed)
            for text in (check, 'cinder-swift-backup list'):
                done = self._run(environment, text, code=4)
                self.assertEqual(1, done.stderr.count('\n'), done.stderr)


class SampleTestCase(base.BaseTestCase):
    """``etc/cinder-swift-backup.conf.sample``."""

    def test_is_what_genconfig_writes(self):
        made = pathlib.Path(tempfile.mkdtemp()) / 'sample'
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        conf(['--config-file', str(ROOT / 'etc/config-generator.conf'),
              '--output-file', str(made)])
        generator.generate(conf)
        kept = (ROOT / 'etc' / _SAMPLE).read_text()
        self.assertEqual(kept, made.read_text(), 'run "tox -e genconfig"')
        _, ours, stocks = kept.split('# From cinder_swift_backup')
        self.assertIn('backup_swift_workers', ours)
        self.assertIn('.stock_driver\n', stocks[:20])
        self.assertIn('backup_swift_url', stocks)
