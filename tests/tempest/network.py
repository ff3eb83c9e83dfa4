# SPDX-License-Identifier: Apache-2.0

"""A network in the catalog of a cloud that has none.

Before it deletes a project, Tempest asks the network for the project's default
security group, and is content with 404. Keystone says that of any path that it
does not know, so it is the network.
"""

from keystoneauth1 import session
from keystoneauth1.identity import v3

from tests.cloud.info import CloudInfo

_IDENTITY = {'service_type': 'identity'}


def pretend(info: CloudInfo) -> None:
    """Enter the network into the catalog."""
    admin = info.admin
    assert admin is not None, 'only an administrator may do that'
    keystone = session.Session(v3.Password(
        info.auth_url, username=admin.username, password=admin.password,
        project_name=admin.project_name,
        user_domain_name=admin.user_domain_name,
        project_domain_name=admin.project_domain_name))
    answer = keystone.post('/services', endpoint_filter=_IDENTITY, json={
        'service': {'name': 'none', 'type': 'network'}})
    keystone.post('/endpoints', endpoint_filter=_IDENTITY, json={
        'endpoint': {
            'service_id': answer.json()['service']['id'],
            'interface': 'public',
            'region_id': info.region,
            'url': info.auth_url,
        }})
