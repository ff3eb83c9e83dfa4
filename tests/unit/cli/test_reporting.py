# SPDX-License-Identifier: Apache-2.0

"""``report``."""

import datetime
from html import parser
import re
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.unit.cli import base

_CREATED = datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC)
# Elements that have no end.
_VOID = ('br', 'meta')


class _Reader(parser.HTMLParser):
    """Reads a page, and notes what elements there are, and all text."""

    def __init__(self):
        super().__init__()
        self.open = []
        self.elements = []
        self.text = ''

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        last = self.open.pop()
        if last != tag:
            raise ValueError(f'{last} ends with {tag}')

    def handle_data(self, data):
        if 'style' not in self.open:
            self.text += data

    def marks(self, state):
        """The marks of backups in a state, without those of the key."""
        return [tag for tag, attributes in self.elements
                if state in attributes.get('class', '').split()
                and ('cx' in attributes or tag == 'svg')]


class ReportTest(base.CommandTestCase):
    """A volume with a chain of two."""

    def setUp(self):
        super().setUp()
        self.file = self.directory / 'report.html'
        self.volumes = self.enterContext(mock.patch.object(
            cinder_api, 'volumes', return_value=None))

    def report(self, *options):
        """The page."""
        answer = self.run_command('report', self.file, *options)
        self.assertEqual((0, '', ''), (answer.code, answer.out, answer.err))
        reader = _Reader()
        reader.feed(self.file.read_text())
        reader.close()
        self.assertEqual([], reader.open)
        self.text = ' '.join(reader.text.split())
        return reader

    def test_a_volume(self):
        page = self.report()
        self.assertEqual(['svg', 'circle'], page.marks('complete'))
        for words in ('1 volume ', '1 stale: no complete backup from the last '
                                    '36h', '2 complete backups', '0 backups '
                      'that are not complete', 'vol-1', 'not verified',
                      '512 B volume', 'in 2 backups', 'Account memory'):
            self.assertIn(words, self.text)
        self.assertIn('more than 30 days 1', self.text)
        self.assertNotIn('Second site', self.text)
        self.assertNotIn('Problem', self.text)

    def test_verified(self):
        self.run_command('verify', '--all', '--deep')
        self.report()
        self.assertIn('verified 20', self.text)
        self.assertNotIn('not verified', self.text)

    def test_stale(self):
        self.assertIn('stale', self.file_text())
        self.assertNotIn('>stale<', re.sub(
            r'\s+', '', self.file_text('--stale-after', '90000d')))

    def file_text(self, *options):
        """The page as it is."""
        self.report(*options)
        return self.file.read_text()

    def test_needs_nothing_else(self):
        text = self.file_text()
        for words in ('<script', 'http:', 'https:', ' src=', ' href=',
                      '@import', 'url('):
            self.assertNotIn(words, text)
        self.assertIn('prefers-color-scheme: dark', text)

    def test_damage(self):
        self.bench.archive(3, base.DATA, form=chains.Form.PACKS)
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(2).prefix))
        page = self.report('--grace', '0')
        self.assertEqual((2, 1), (len(page.marks('complete')),
                                  len(page.marks('orphaned'))))
        self.assertIn('bak-2', self.text)
        self.assertIn('orphaned', self.text)
        page = self.report()
        self.assertEqual(1, len(page.marks('arriving')))

    def test_volumes_of_cinder(self):
        self.volumes.return_value = {
            'bare': cinder_api.Volume('bare', '<b>"a" & \x1b[2J</b>',
                                      'available', 'p-1', _CREATED, {})}
        page = self.report()
        self.assertIn('2 volumes', self.text)
        self.assertIn('<b>"a" & \\x1b[2J</b>', self.text)
        self.assertIn('no complete backup 1', self.text)
        self.assertIn('project p-1', self.text)
        # Cinder no longer has the other one: it is not stale.
        self.assertIn('1 stale', self.text)
        self.assertEqual(2, len(page.marks('complete')))

    def test_a_copy(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'k')
        self.report()
        self.assertIn(f'Container {base.CONTAINER} is a copy. No volume is '
                      'behind.', self.text)
        self.assertNotIn('not verified', self.text)
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(2).prefix))
        self.report()
        self.assertIn('1 of 1 volume is behind, by up to 0 min 1 s.',
                      self.text)

    def test_what_is_copied_elsewhere(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(
            '//realm/b/memory/c', 'k')
        self.report()
        self.assertIn(f'Container {base.CONTAINER} is copied to another site',
                      self.text)

    def test_no_backups(self):
        for name in self.bench.names():
            self.bench.memory.delete(base.CONTAINER, name)
        self.report()
        self.assertIn('There are no volumes and no backups.', self.text)

    def test_to_a_pipe(self):
        answer = self.run_command('report', '-')
        self.assertEqual(0, answer.code)
        self.assertTrue(answer.out.startswith('<!DOCTYPE html>'))
        self.assertTrue(answer.out.rstrip().endswith('</html>'))

    def test_what_fails_leaves_the_file(self):
        self.file.write_text('as it was')
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('away')))
        answer = self.run_command('report', self.file)
        self.assertEqual(errors.ExitCode.STORE, answer.code)
        self.assertEqual('as it was', self.file.read_text())
        self.assertEqual([self.file], list(self.directory.iterdir()))

    def test_a_file_that_cannot_be_written(self):
        for path, why in (
                (self.directory / 'no' / 'file', 'No such file or directory'),
                (self.directory, 'Is a directory'), ('.', '')):
            answer = self.run_command('report', path)
            self.assertEqual(errors.ExitCode.TARGET, answer.code)
            self.assertIn(f'cannot be written ({why}', answer.err)
        self.assertEqual([], list(self.directory.iterdir()))

    def test_each_backup_is_judged_once(self):
        judged = []
        real = lineages.Lineage.problem

        def judge(lineage, backup):
            judged.append(backup.ref.backup_id)
            return real(lineage, backup)
        self.volumes.return_value = {
            str(number): cinder_api.Volume(str(number), '', 'available', 'p',
                                           _CREATED, {})
            for number in range(50)}
        with mock.patch.object(lineages.Lineage, 'problem', judge):
            self.report()
        # A few times, however many volumes there are.
        self.assertLessEqual(len(judged), 4 * 2)

    def test_an_age_that_is_none(self):
        answer = self.run_command('report', self.file, '--stale-after', 'soon')
        self.assertEqual(errors.ExitCode.USAGE, answer.code)
