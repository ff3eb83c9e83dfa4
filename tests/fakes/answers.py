# SPDX-License-Identifier: Apache-2.0

"""How Swift answers, for requests_mock."""

_ACCOUNT = {'X-Account-Container-Count': '1'}

ACCOUNT = {'status_code': 204, 'headers': _ACCOUNT}
CONTAINER = {'status_code': 204, 'headers': {'X-Container-Object-Count': '1'}}
# To HEAD of an object.
OBJECT = {'status_code': 200, 'headers': {
    'Content-Length': '1', 'ETag': '9dd4e461268c8034f5c8564e155c67a6'}}
# A balancer's page, or a captive portal's; an own ETag is not unusual.
PAGE = {'status_code': 200, 'text': '<html>Sign in</html>',
        'headers': {'ETag': '"64b0f1a2-267"', 'Content-Length': '20'}}


def listed(*containers):
    """A listing of the account."""
    return {'json': [{'name': name} for name in containers],
            'headers': _ACCOUNT}
