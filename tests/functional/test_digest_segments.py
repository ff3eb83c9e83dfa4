# SPDX-License-Identifier: Apache-2.0

"""The container of segments, as a real Swift makes or refuses it."""

from unittest import mock

from swiftclient import exceptions as swift_exceptions
import testscenarios

from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import rule
from tests.fakes import blobs
from tests.faults import base as faults_base
from tests.functional import base
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

# Bytes: Swift's default.
_LARGEST_OBJECT = 5368709122


class SegmentsTestCase(faults_base.FaultTestCase):
    """A volume whose digests are worth segments."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_block_size=512)
        for owner, name, value in (
                (digest_segments, 'LEAST', 200),
                (digest_segments, 'NORMAL', 2000),
                (digests, 'STEP', 500),
                (digest_objects, 'WORTH_SEGMENTS', 1)):
            self.enterContext(mock.patch.object(owner, name, value))
        self.segments = naming.segments_container(self.container)
        self.volume, self.path = self.make_volume(bytes(4 * CHUNK) + b'end')

    def is_large(self, backup):
        """Whether the digests of a backup are a large object."""
        return self.store.segments(
            self.container, naming.digest_file_name(
                backup.service_metadata)) is not None

    def policy(self, container):
        """The storage policy of a container."""
        return base.keystone_session(self.cloud.demo).head(
            f'/{container}', endpoint_filter={
                'service_type': 'object-store',
                'interface': 'public'}).headers['X-Storage-Policy']


class PolicyTestCase(SegmentsTestCase):
    """The main container was made with another policy than the default."""

    def test_taken_over(self):
        self.container = f'{self.container}-silver'
        self.segments = naming.segments_container(self.container)
        self.configure(backup_swift_container=self.container)
        self.store.ensure_container(self.container, create=True,
                                    storage_policy='silver')
        backup = self.back_up(OURS, self.volume, self.path)
        self.assertTrue(self.is_large(backup))
        self.assertEqual(['silver'] * 2, [
            self.policy(name) for name in (self.container, self.segments)])


class RefusedTestCase(testscenarios.WithScenarios, SegmentsTestCase):
    """What a proxy says of a container, or of what is put into it."""

    scenarios = testscenarios.multiply_scenarios(
        [(name, {'answer': answer}) for name, answer in (
            ('forbidden', Answer(403)), ('full', Answer(413)),
            ('deprecated', Answer(
                400, body="Storage Policy 'silver' is deprecated")))],
        [('the container', {'kind': Kind.CONTAINER}),
         ('each segment', {'kind': Kind.SEGMENT})])

    def test_one_object(self):
        self.proxy.apply(rule(self.answer, 'PUT', self.kind, count=None))
        backup = self.back_up(OURS, self.volume, self.path)
        self.assertTrue(any(self.proxy.hits()))
        self.heal()
        self.assertFalse(self.is_large(backup))
        expected = self.path.read_bytes()
        self.assert_content(
            self.restore_existing(OURS, backup, len(expected)), expected)
        if self.kind is Kind.SEGMENT:
            self.assertEqual([], self.object_names(self.segments))


class TooLargeTestCase(SegmentsTestCase):
    """Digests that are larger than an object may be, as of a huge volume."""

    def test_size_of_a_volume_with_the_stock_driver(self):
        sizes = []
        for count in (1, 2):
            backup = self.back_up(STOCK, *self.make_volume(
                bytes(count * CHUNK)))
            name = naming.digest_file_name(backup.service_metadata)
            sizes.append(len(blobs.get(self.store, self.container, name)))
        digest = (sizes[1] - sizes[0]) * 512 / CHUNK
        blocks = _LARGEST_OBJECT // digest
        self.assertEqual('2.22', f'{blocks * (32 << 10) / (1 << 40):.2f}')

    def test_both_drivers(self):
        # Not what names the segments of a large object.
        self.proxy.apply(rule(Answer(413), 'PUT', Kind.DIGESTS,
                              match=r'_sha256file\Z', count=None))
        self.assertRaises(swift_exceptions.ClientException, self.back_up,
                          STOCK, self.volume, self.path)
        # At the very end.
        self.assertNotEqual([], self.object_names(self.container))
        backup = self.back_up(OURS, self.volume, self.path)
        self.assertTrue(self.is_large(backup))
