# SPDX-License-Identifier: Apache-2.0

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
