#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The first process of the guest. RUN and MODULES come from the kernel's command
# line: the directory that is shared with the machine, and the kernel's modules.
#
# 1. Lay a file system in memory over that of the machine, which is not written
#    to, and change to it.
# 2. Mount what every system has, and a disk for what needs extended attributes.
# 3. Run the command, and leave its status in the shared directory.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

if [ "$1" != inside ]; then
    mount -t proc proc /proc
    insmod "$MODULES/kernel/fs/overlayfs/overlay.ko"
    mount -t tmpfs -o size=75% tmpfs /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work \
        overlay /mnt/root
    mount -t devtmpfs dev /mnt/root/dev
    cd /mnt/root || exit 1
    mkdir -p .machine
    umount /proc
    pivot_root . .machine
    exec chroot . /bin/sh "$0" inside
fi

mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm /srv/scratch
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/lvm /run/shared
ln -sfn /proc/self/fd /dev/fd
mount -t hostfs -o "$RUN" hostfs /run/shared
exec > /run/shared/boot 2>&1
hostname guest
printf '127.0.0.1 localhost guest\n' > /etc/hosts
ip link set lo up
mkdir -p "/lib/modules/$(uname -r)"
mount --bind "$MODULES" "/lib/modules/$(uname -r)"
modprobe -a loop dm-mod dm-snapshot dm-thin-pool
mount /dev/ubda /srv/scratch
# There is no udevd to wait for.
printf '#!/bin/sh\nexit 0\n' > /usr/local/bin/udevadm
chmod +x /usr/local/bin/udevadm

setsid sh /run/shared/command > /run/shared/out 2> /run/shared/err < /dev/null
status=$?
sync
echo $status > /run/shared/status
echo o > /proc/sysrq-trigger
sleep 60
