# SPDX-License-Identifier: Apache-2.0

"""A real OpenStack cloud of plain processes, for tests and for trying out.

``python -m tests.cloud --help`` starts one from the command line; tests use
the classes exported here.

The exports are resolved on first use: the processes that serve Cinder import
this package before they have monkey patched, and nothing that holds locks or
threads may be loaded by then.
"""

import importlib
from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.cloud.cinder import Cinder
    from tests.cloud.cloud import Cloud
    from tests.cloud.errors import CloudError
    from tests.cloud.info import CloudInfo
    from tests.cloud.info import Credentials
    from tests.cloud.info import V1Credentials

_HOMES = {
    'Cinder': 'cinder',
    'Cloud': 'cloud',
    'CloudError': 'errors',
    'CloudInfo': 'info',
    'Credentials': 'info',
    'V1Credentials': 'info',
}

__all__ = [
    'Cinder',
    'Cloud',
    'CloudError',
    'CloudInfo',
    'Credentials',
    'V1Credentials',
]


def __getattr__(name: str) -> Any:
    """Import an exported class from its module when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no {name!r}')
    return getattr(importlib.import_module(f'{__name__}.{_HOMES[name]}'), name)
