# SPDX-License-Identifier: Apache-2.0

"""Whether a cinder-backup that runs for weeks stays as small as it began.

* ``gauges``: what a process holds, as the kernel tells;
* ``judgement``: what counts as growth;
* ``service``: what cinder-backup does with the driver;
* ``rounds``: backups, restores and deletes, one after the other and at once.
"""
