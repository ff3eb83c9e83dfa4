# SPDX-License-Identifier: Apache-2.0

"""The options of the driver.

For the options of the stock driver, this module uses the objects that define
them in Cinder. So configurations keep their meaning, and no option is
registered twice with different help texts, which would be an error.
"""

from cinder.backup import chunkeddriver
from cinder.backup import driver as base_driver
from cinder.backup.drivers import swift as stock
from oslo_config import cfg

from cinder_swift_backup.driver import compat
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs

_CINDERS_OPTS = [*stock.swiftbackup_service_opts, *chunkeddriver.backup_opts,
                 *base_driver.backup_opts]
# Those of the stock driver that this release of it does not have yet.
_NEWER_OPTS = compat.newer_options(_CINDERS_OPTS)
OPTS = [
    cfg.IntOpt('backup_swift_workers',
               default=4,
               min=1,
               help='How many chunks of a volume are backed up or restored '
                    'at the same time; up to eight small ones count as one. '
                    'A backup in chunks takes up to backup_swift_object_size '
                    'and 20 MiB of memory for every worker, 280 MiB with the '
                    'defaults; in packs up to 75 MiB for every worker; a '
                    'restore 15 MiB for every worker. '
                    'backup_swift_memory limits what all backups and '
                    'restores take together.'),
    cfg.StrOpt('backup_swift_form',
               default=chains.Form.CHUNKS.value,
               choices=[
                   (chains.Form.CHUNKS.value,
                    "the form of Cinder's own driver, which can restore and "
                    'continue these backups'),
                   (chains.Form.PACKS.value,
                    'a form that only this driver reads: incrementals take '
                    'far fewer objects and requests, and any backup can be '
                    'deleted, whatever was made after it'),
               ],
               help='How new backups are stored. Backups of either form can '
                    'be restored whatever this says. The first backup after '
                    'a change is a full one.'),
    cfg.IntOpt('backup_swift_full_after',
               default=0,
               min=0,
               help='How many incrementals in chunks may build on one full '
                    'backup. The driver makes the next backup a full one, '
                    'even if the user asks for an incremental, so that old '
                    'chains can be deleted. 0 sets no limit. Has no effect '
                    'on backups in packs, which need no other backup.'),
    cfg.IntOpt('backup_swift_sweep_grace',
               default=24,
               min=1,
               help='How long, in hours, the driver keeps packs that no '
                    'backup needs any more. After each backup in packs and '
                    'each delete, it deletes those that it has kept for '
                    'longer. When you delete the last backup of a volume that '
                    'is in packs, it deletes all of its packs at once. Keep '
                    'this longer than it takes '
                    'Swift to show a new object in listings, and to copy it '
                    'to another site.'),
    cfg.ListOpt('backup_swift_encryption_key_id',
                default=[],
                help='Encrypt backups in packs: the id of a key of 256 bits '
                     'in the key manager that Cinder uses. After changing the '
                     'key, list the id of the old one after the new one, '
                     'separated by a comma, so that incrementals continue; '
                     'otherwise the next backup of each volume is a full one. '
                     'Keep old keys as long as there are backups that they '
                     'encrypted. Backups in '
                     "chunks cannot be encrypted, because Cinder's own driver "
                     'reads them.'),
    cfg.StrOpt('backup_swift_compression_level',
               default=codecs.Level.BALANCED.value,
               choices=[
                   (codecs.Level.FAST.value,
                    'least time, for networks as fast as the host'),
                   (codecs.Level.BALANCED.value,
                    'a little more time, fewer bytes'),
                   (codecs.Level.SMALL.value,
                    'fewest bytes, at several times the time'),
               ],
               help='How much time backup_compression_algorithm spends to '
                    'store fewer bytes. Any driver can restore any level.'),
    cfg.BoolOpt('backup_swift_verify_restore',
                default=True,
                help='Compare every restored block with the SHA-256 that '
                     'was recorded when it was backed up, before it is '
                     'written. Turn this off only to rescue what you can '
                     'from a damaged backup. The log then names the bytes '
                     'that do not match.'),
    cfg.IntOpt('backup_swift_patience',
               default=300,
               min=0,
               help='How long, in seconds, a backup, restore or delete waits '
                    'for Swift, Keystone or the database to recover before '
                    'it fails. After an outage the operation resumes where '
                    'it stopped. With 0, a failed request is only retried '
                    'backup_swift_retry_attempts times, but the driver '
                    'still waits up to a minute for the database.'),
    cfg.IntOpt('backup_swift_memory',
               default=2 << 30,
               min=0,
               help='How much memory, in bytes, all backups and restores of '
                    'one cinder-backup may take together. If they need more, '
                    'they take turns. One always runs, even if it needs more '
                    'than this by itself. 0 sets no limit; any other value '
                    'must be at least 67108864 (64 MiB). If backup_workers '
                    'is above 1, each process has its own limits of memory '
                    'and bandwidth.'),
    cfg.IntOpt('backup_swift_bandwidth',
               default=0,
               min=0,
               help='How many bytes per second one cinder-backup may send to '
                    'Swift, and how many it may receive, for all backups and '
                    'restores together. 0 sets no limit; any other value must '
                    'be at least 524288 (512 KiB), or Swift would give up '
                    'connections as dead.'),
    cfg.StrOpt('backup_swift_spool_directory',
               default='$state_path',
               help='Where the digests of volumes above 8 GiB are kept '
                    'during a backup or restore, in a file without a name. '
                    'They take 1 MiB for each GiB of data, and twice as much '
                    'for an incremental; zeros take nothing.'),
    cfg.BoolOpt('backup_swift_rbd_cbt',
                default=False,
                help='Whether to keep a snapshot of each Ceph volume that is '
                     'backed up, named for its newest backup, so that the '
                     'next incremental reads only what was written since. '
                     'The snapshot takes up the space of what is overwritten '
                     'or discarded meanwhile. It is removed with the backup '
                     'or the volume; if the volume is in use then, with the '
                     'next backup.'),
    cfg.BoolOpt('backup_swift_read_all',
                default=False,
                help='Read all of a volume for each backup, whatever the '
                     'file system or Ceph says is a hole or unchanged. Each '
                     'backup checks a sample of that, and reads everything '
                     'if one place of it is wrong. Turn this on while they '
                     'have a known bug that a sample may miss.'),
    cfg.StrOpt('backup_swift_container_sync_to',
               help='Where Swift copies backups to, by its container sync: '
                    '//REALM/CLUSTER, or //REALM/CLUSTER/ACCOUNT if the '
                    'account has another name there. The container has the '
                    'same name, and has to exist there with the same key. '
                    'It is set for containers that this driver creates; one '
                    'that exists is only checked.'),
    cfg.StrOpt('backup_swift_container_sync_key',
               secret=True,
               help='The key that both containers of a container sync have.'),
    *_NEWER_OPTS,
]

CONF = cfg.CONF
CONF.register_opts(OPTS)


def all_opts():
    """All options that the driver reads."""
    return [*_CINDERS_OPTS, *OPTS]


def list_opts():
    """The options that only this driver has, for the sample configuration."""
    return [('DEFAULT', [option for option in OPTS
                         if option not in _NEWER_OPTS])]


def list_stock_opts():
    """The options that the stock driver has too, for the same."""
    return [('DEFAULT', [*_CINDERS_OPTS, *_NEWER_OPTS])]
