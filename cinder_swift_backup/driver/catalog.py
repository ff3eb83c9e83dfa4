# SPDX-License-Identifier: Apache-2.0

"""Finds an endpoint in the service catalog that comes with a request.

The catalog always has the format of version 2 of the identity API: a list of
services, each with ``type``, ``name`` and
``endpoints``, those with ``region`` and a URL for each interface.
"""

import dataclasses

from cinder_swift_backup import exceptions


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogInfo:
    """What counts of ``swift_catalog_info`` and its like."""

    service_type: str
    endpoint_type: str

    @property
    def interface(self):
        """The endpoint type as version 3 calls it: public, internal."""
        return self.endpoint_type.removesuffix('URL')


def parse_info(option, value):
    """The parts of an option of the form type:name:endpoint type.

    :raises ConfigurationError: when its value has another form
    """
    parts = value.split(':')
    if len(parts) != 3:
        raise exceptions.ConfigurationError(
            f'{option} is {value!r} but must be '
            '<service_type>:<service_name>:<endpoint_type>')
    service_type, _, endpoint_type = parts
    return CatalogInfo(service_type, endpoint_type)


def find_endpoint(services, info, region, remedy):
    """The URL of a service, which is found by its type.

    :param region: the region's name, or None for the first there is
    :param remedy: what to do if there is none
    :raises ConfigurationError: when the catalog does not have it
    """
    endpoints = [endpoint for service in services
                 if service.get('type') == info.service_type
                 for endpoint in service.get('endpoints', [])]
    for endpoint in endpoints:
        url = endpoint.get(info.endpoint_type)
        if url and region in (None, endpoint.get('region')):
            return url
    regions = sorted({str(endpoint.get('region')) for endpoint in endpoints})
    raise exceptions.ConfigurationError(
        f'the service catalog has no {info.endpoint_type} for '
        f'{info.service_type} in '
        f'{f"region {region}" if region else "any region"}',
        detail=f'it has regions: {", ".join(regions) or "none"}',
        remedy=remedy)
