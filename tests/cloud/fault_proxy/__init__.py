# SPDX-License-Identifier: Apache-2.0

"""An HTTP proxy before Swift that breaks the requests it is told to break.

It runs in a process of its own, so that it works alike for callers on green
and on native threads, and takes no time from them.

* ``rules``: what to break, as values;
* ``proxy``: starts the process and tells it the rules;
* ``serve``: the process, a loop over the requests of each connection;
* ``exchange``: one request and its answer, and what is done to them;
* ``messages``: HTTP/1.1 as far as Swift and its clients use it.
"""
