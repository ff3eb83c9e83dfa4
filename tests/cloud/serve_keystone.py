# SPDX-License-Identifier: Apache-2.0

"""The Keystone process: ``python -m tests.cloud.serve_keystone CONF INFO``.

Making the database and serving it in one process loads Keystone once, which
is what takes the time:

1. create the schema and the keys;
2. bootstrap the administrator, the standard roles and the identity endpoint;
3. create the other users, their projects and the other endpoints;
4. serve the API until killed.

Where another process has done all that, nothing is left but to serve.
"""

from collections.abc import Callable
from concurrent import futures
import gc
import pathlib
import sys
from typing import Any
import urllib.parse
import uuid

from keystone.cmd import bootstrap
from keystone.common import fernet_utils
from keystone.common import provider_api
from keystone.common.sql import upgrades
import keystone.conf
import keystone.server
from keystone.server import backends
from keystone.server.flask import application
from keystone.server.flask import core

from tests.cloud import wsgi
from tests.cloud.info import CloudInfo
from tests.cloud.info import Credentials

CONF = keystone.conf.CONF
PROVIDERS = provider_api.ProviderAPIs


def main() -> None:
    """Run all the steps."""
    conf, info_file = sys.argv[1:]
    # Keystone parses the command line itself, and this is not one of its.
    sys.argv = ['keystone']
    keystone.server.configure(config_files=[conf])
    info = CloudInfo.load(pathlib.Path(info_file))
    done = pathlib.Path(conf).with_name('done')
    if done.exists():
        backends.load_backends()
    else:
        _create(info)
        done.touch()
    app = core.setup_app_middleware(application.application_factory('public'))
    port = urllib.parse.urlsplit(info.auth_url).port or 0
    wsgi.make_server(_one_at_a_time(app), port).serve_forever()


def _create(info: CloudInfo) -> None:
    """Create all that the cloud is to know."""
    upgrades.offline_sync_database_to_version()
    _create_keys()
    boot = _bootstrap(info)
    _create_users(info, boot)
    _create_endpoints(info)


def _one_at_a_time(app: Callable[..., Any]) -> Callable[..., Any]:
    """Return the application, in a thread of its own.

    A first login writes to the database, and of two transactions that both
    read before they write sqlite ends one at once, however long it may wait.

    What a refused login wrote is only given up when its error is forgotten,
    and by the thread that wrote it: Keystone 25 does not end its transaction.
    """
    executor = futures.ThreadPoolExecutor(1)

    def work(*request: Any) -> list[bytes]:
        answer = app(*request)
        try:
            return list(answer)
        finally:
            if hasattr(answer, 'close'):
                answer.close()
            gc.collect(1)

    def call(*request: Any) -> list[bytes]:
        return executor.submit(work, *request).result()

    return call


def _create_keys() -> None:
    """Create the keys that tokens and credentials are encrypted with."""
    for group in ('fernet_tokens', 'fernet_receipts', 'credential'):
        options = CONF[group]
        keys = fernet_utils.FernetUtils(
            options.key_repository,
            getattr(options, 'max_active_keys', 3),
            group,
        )
        keys.create_key_directory()
        keys.initialize_key_repository()


def _bootstrap(info: CloudInfo) -> bootstrap.Bootstrapper:
    """Create what every cloud begins with, for the administrator."""
    assert info.admin is not None
    boot = bootstrap.Bootstrapper()
    boot.admin_username = info.admin.username
    boot.admin_password = info.admin.password
    boot.admin_role_name = 'admin'
    boot.project_name = info.admin.project_name
    boot.service_name = 'keystone'
    boot.region_id = info.region
    boot.public_url = boot.internal_url = boot.admin_url = info.auth_url
    boot.bootstrap()
    return boot


def _create_users(info: CloudInfo, boot: bootstrap.Bootstrapper) -> None:
    """Create the users other than the administrator, with their projects."""
    operator = _create_role('swiftoperator')
    # Swift lets who has this role into all accounts.
    reseller = _create_role('ResellerAdmin')
    for user, roles in (
        (info.demo, (boot.member_role_id, operator)),
        (info.other, (boot.member_role_id, operator)),
        (info.cinder, (boot.service_role_id, boot.admin_role_id, reseller)),
    ):
        assert user is not None
        project = _create_user(user, boot.default_domain_id, roles)
        PROVIDERS.assignment_api.add_role_to_user_and_project(
            user_id=boot.admin_user_id,
            project_id=project,
            role_id=boot.admin_role_id,
        )


def _create_role(name: str) -> str:
    """Create a role; return its id."""
    role = uuid.uuid4().hex
    PROVIDERS.role_api.create_role(role, {'id': role, 'name': name})
    return role


def _create_user(
    user: Credentials, domain: str, roles: tuple[str, ...]
) -> str:
    """Create one user and their project, grant the roles, return its id."""
    project = uuid.uuid4().hex
    common = {'domain_id': domain, 'enabled': True}
    PROVIDERS.resource_api.create_project(
        project, {'id': project, 'name': user.project_name, **common}
    )
    created = PROVIDERS.identity_api.create_user(
        {'name': user.username, 'password': user.password, **common}
    )
    for role in roles:
        PROVIDERS.assignment_api.add_role_to_user_and_project(
            user_id=created['id'], project_id=project, role_id=role
        )
    return project


def _create_endpoints(info: CloudInfo) -> None:
    """Enter Swift and Cinder into the catalog."""
    for name, kind, url in (
        ('swift', 'object-store', f'{info.swift_url}/v1/AUTH_%(project_id)s'),
        ('cinder', 'block-storage', f'{info.cinder_url}/%(project_id)s'),
    ):
        service = uuid.uuid4().hex
        PROVIDERS.catalog_api.create_service(
            service,
            {'id': service, 'name': name, 'type': kind, 'enabled': True},
        )
        for interface in ('public', 'internal', 'admin'):
            endpoint = uuid.uuid4().hex
            reference = {
                'id': endpoint,
                'interface': interface,
                'url': url,
                'service_id': service,
                'region_id': info.region,
                'enabled': True,
            }
            PROVIDERS.catalog_api.create_endpoint(endpoint, reference)


if __name__ == '__main__':
    main()
