# SPDX-License-Identifier: Apache-2.0

"""What can go wrong when a cloud is started, and what to do about it.

::

    CloudError
      CommandMissing       a program of one of the services is not installed
      NoExtendedAttributes the file system cannot hold Swift's objects
      BackendMissing       what a part of the cloud needs is not here
        CephMissing
        LvmMissing
        RabbitMissing
      ChildDied            a process ended while it should have been running
      NotReadyInTime       a process runs but does not answer
      DemoFailed           the demonstration found a difference

Every message ends with what the reader can do; those about a process carry
the last lines of its log, because the log is deleted with the cloud.
"""

import pathlib


class CloudError(Exception):
    """Base of everything this package raises on purpose."""


class CommandMissing(CloudError):
    """A program that the cloud is made of is not installed."""

    def __init__(self, program: str, package: str) -> None:
        super().__init__(
            f'The program {program!r} was found neither beside this Python '
            f'nor on the PATH. Install it into the same environment: '
            f'pip install {package}'
        )


class NoExtendedAttributes(CloudError):
    """Swift's object server needs user extended attributes."""

    def __init__(self, directory: pathlib.Path, reason: OSError) -> None:
        super().__init__(
            f"The file system of {directory} does not store user extended "
            f"attributes ({reason.strerror}), which Swift's object server "
            f"cannot do without. Set TMPDIR to a directory on ext4, XFS or "
            f"Btrfs."
        )


class BackendMissing(CloudError):
    """This machine cannot have what was asked for; others may."""


class LvmMissing(BackendMissing):
    """Something that LVM needs is not here."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f'Volumes cannot be in LVM without {what}. Run this as root, '
            f'after: apt-get install lvm2 thin-provisioning-tools && modprobe '
            f'-a loop dm-mod dm-snapshot dm-thin-pool'
        )


class CephMissing(BackendMissing):
    """A part of Ceph is not installed, or not for this Python."""

    def __init__(self, part: str) -> None:
        super().__init__(
            f'Ceph cannot be started without {part}. Install it, with '
            f"Python's bindings for this version of Python, as by: apt-get "
            f'install --no-install-recommends ceph-mon ceph-mgr ceph-osd '
            f'ceph-common python3-rados python3-rbd radosgw'
        )


class RabbitMissing(BackendMissing):
    """A part of RabbitMQ is not installed."""

    def __init__(self, part: str) -> None:
        super().__init__(
            f'RabbitMQ cannot be started without {part}. Install it, as by: '
            f'apt-get install --no-install-recommends rabbitmq-server'
        )


class ChildDied(CloudError):
    """A process ended before it was told to."""

    def __init__(self, name: str, status: int, tail: str) -> None:
        super().__init__(
            f'{name} ended with status {status} while it was expected to '
            f'run. The end of its log says why:\n{tail}'
        )


class NotReadyInTime(CloudError):
    """A process did not begin to answer in the time allowed."""

    def __init__(self, name: str, seconds: float, tail: str) -> None:
        super().__init__(
            f'{name} is running but has not answered for {seconds:.0f} s. '
            f'Is the machine overloaded? If not, the end of its log may '
            f'tell:\n{tail}'
        )


class DemoFailed(CloudError):
    """A step of the demonstration did not do what it should."""
