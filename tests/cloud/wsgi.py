# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""Serve a WSGI application with threads and without an access log."""

from typing import Any

from werkzeug import serving

from tests.cloud import processes


class _QuietHandler(serving.WSGIRequestHandler):
    """A request handler that logs errors, but not every request."""

    def log_request(self, *args: Any) -> None:
        """Say nothing."""


def make_server(application: Any, port: int) -> serving.BaseWSGIServer:
    """Return a server that has bound the port; serve_forever() runs it."""
    return serving.make_server(
        processes.HOST,
        port,
        application,
        threaded=True,
        request_handler=_QuietHandler,
    )
