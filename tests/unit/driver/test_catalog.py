# SPDX-License-Identifier: Apache-2.0

"""Looking endpoints up in a request's catalog."""

from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import catalog
from tests.unit.driver import base

_INFO = catalog.CatalogInfo('object-store', 'publicURL')


class ParseInfoTest(base.DriverTestCase):
    """type:name:endpoint type."""

    def test_default(self):
        self.assertEqual(_INFO, self._parse(cfg.CONF.swift_catalog_info))
        self.assertEqual('public', _INFO.interface)

    @staticmethod
    def _parse(text):
        return catalog.parse_info('swift_catalog_info', text)

    def test_other_interface(self):
        info = self._parse('object-store:swift:internalURL')
        self.assertEqual('internal', info.interface)

    def test_name_with_a_space(self):
        info = self._parse(cfg.CONF.keystone_catalog_info)
        self.assertEqual('identity', info.service_type)

    def test_other_form(self):
        for text in ('', 'object-store', 'a:b', 'a:b:c:d'):
            err = self.assertRaises(exceptions.ConfigurationError,
                                    self._parse, text)
            self.assertIn(f'swift_catalog_info is {text!r}', str(err))
            self.assertIn('<service_type>', str(err))


class FindEndpointTest(base.DriverTestCase):
    """Type and region decide."""

    def _find(self, services, region=None, info=_INFO):
        return catalog.find_endpoint(services, info, region,
                                     exceptions.Remedy.ENDPOINT)

    def test_first_region(self):
        self.assertEqual('http://one.swift.test/v1/AUTH_p',
                         self._find(base.catalog('p', 'one', 'two')))

    def test_region(self):
        self.assertEqual('http://two.swift.test/v1/AUTH_p', self._find(
            base.catalog('p', 'one', 'two'), 'two'))

    def test_interface(self):
        info = catalog.CatalogInfo('object-store', 'internalURL')
        self.assertEqual('http://one.internal/v1/AUTH_p', self._find(
            base.catalog('p', 'one'), info=info))

    def test_several_services_of_the_type(self):
        services = base.catalog('p', 'one') + base.catalog('p', 'two')
        self.assertEqual('http://two.swift.test/v1/AUTH_p',
                         self._find(services, 'two'))

    def test_not_there(self):
        info = catalog.CatalogInfo('object-store', 'adminURL')
        for services, region, kind in (
                ([], None, _INFO), (base.catalog('p'), None, _INFO),
                (base.catalog('p', 'one'), 'three', _INFO),
                (base.catalog('p', 'one'), None, info),
                ([{'type': 'object-store'}], None, _INFO)):
            err = self.assertRaises(exceptions.ConfigurationError,
                                    self._find, services, region, kind)
            self.assertIs(exceptions.Remedy.ENDPOINT, err.remedy)
            for word in ('object-store', kind.endpoint_type,
                         region or 'any'):
                self.assertIn(word, str(err))

    def test_regions_there_are_told(self):
        err = self.assertRaises(
            exceptions.ConfigurationError, self._find,
            base.catalog('p', 'two', 'one'), 'three')
        self.assertIn('it has regions: one, two', str(err))
