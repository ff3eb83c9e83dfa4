#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What DevStack's plugin does in each phase. The project's own tests do not run this
# file, since it needs bats, 1.5 or newer:
#
#   bats tests/devstack
#   DEVSTACK_DIR=/opt/stack/devstack bats tests/devstack
#
# Without DEVSTACK_DIR, setup replaces all functions of DevStack that the plugin calls.
# With it, setup only replaces the ones that install packages or print.
#
# Each test is a process of its own, and what it sets is for the plugin:
# shellcheck disable=SC1090,SC1091,SC2016,SC2030,SC2031,SC2034,SC2317

bats_require_minimum_version 1.5.0

setup() {
    ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    CALLS=$BATS_TEST_TMPDIR/calls
    touch "$CALLS"

    # As DevStack has them on one host with everything that backups need.
    ENABLED_SERVICES=key,c-api,c-vol,c-bak,s-proxy,s-object,s-container,s-account
    CINDER_BACKUP_DRIVER=swift
    HOST_IP=192.0.2.1
    SERVICE_HOST=192.0.2.1
    GLOBAL_VENV=True
    CINDER_CONF=$BATS_TEST_TMPDIR/cinder.conf
    CINDER_BIN_DIR=$BATS_TEST_TMPDIR/bin

    if [[ -n "${DEVSTACK_DIR:-}" ]]; then
        source "$DEVSTACK_DIR/functions-common"
        source "$DEVSTACK_DIR/inc/ini-config"
    else
        define_plugin() { :; }
        is_service_enabled() { [[ ",$ENABLED_SERVICES," == *,"$1",* ]]; }
        die() { echo "${*:2}"; exit 1; }
        iniset() { sed -i "/^$3 = /d" "$1"; echo "$3 = $4" >> "$1"; }
        iniget() { sed -n "s/^$3 = //p" "$1"; }
    fi
    setup_develop() { echo "setup_develop $*" >> "$CALLS"; }
    setup_install() { echo "setup_install $*" >> "$CALLS"; }
    pip_uninstall() { echo "pip_uninstall $*" >> "$CALLS"; }
    echo_summary() { echo "$*"; }

    printf '[DEFAULT]\n%s\n%s\n' \
        'backup_driver = cinder.backup.drivers.swift.SwiftBackupDriver' \
        'backup_swift_url = http://192.0.2.1:8080/v1/AUTH_' > "$CINDER_CONF"
}

# The command as it would be installed, ending with an exit code.
command_ends_with() {
    mkdir "$CINDER_BIN_DIR"
    printf '#!/bin/sh\necho "cinder-swift-backup $*" >> "%s"\nexit %s\n' \
        "$CALLS" "$1" > "$CINDER_BIN_DIR/cinder-swift-backup"
    chmod +x "$CINDER_BIN_DIR/cinder-swift-backup"
}

# What DevStack does in a phase: errors end it, and so do variables without a value.
phase() {
    set -o errexit -o nounset
    source "$ROOT/devstack/settings"
    source "$ROOT/devstack/plugin.sh" "$@"
}

called() {
    diff <(printf '%s' "${1:+$1$'\n'}") "$CALLS"
}

@test "settings find the clone, and leave what local.conf says" {
    source "$ROOT/devstack/settings"
    [[ "$CINDER_SWIFT_BACKUP_DIR" == "$ROOT" ]]
    [[ "$CINDER_SWIFT_BACKUP_EDITABLE" == True ]]
    CINDER_SWIFT_BACKUP_EDITABLE=False
    source "$ROOT/devstack/settings"
    [[ "$CINDER_SWIFT_BACKUP_EDITABLE" == False ]]
}

@test "pre-install accepts one host with everything" {
    run -0 phase stack pre-install
    [[ -z "$output" ]]
    called ""
}

@test "pre-install refuses another value of CINDER_BACKUP_DRIVER" {
    CINDER_BACKUP_DRIVER=ceph
    run -1 phase stack pre-install
    [[ "$output" == *"CINDER_BACKUP_DRIVER=swift in local.conf, and not ceph"* ]]
}

@test "pre-install refuses one host without Swift" {
    ENABLED_SERVICES=key,c-api,c-vol,c-bak
    run -1 phase stack pre-install
    [[ "$output" == *"enable_service s-proxy s-object s-container s-account"* ]]
}

@test "pre-install accepts that Swift is on the host of the services" {
    ENABLED_SERVICES=c-vol,c-bak
    SERVICE_HOST=192.0.2.2
    run -0 phase stack pre-install
}

@test "install installs the clone with the command" {
    run -0 phase stack install
    called "setup_develop $ROOT cli"
}

@test "install installs a copy if local.conf says so" {
    CINDER_SWIFT_BACKUP_EDITABLE=False
    run -0 phase stack install
    called "setup_install $ROOT cli"
}

@test "post-config replaces the driver, and leaves the URL" {
    run -0 phase stack post-config
    [[ "$(iniget "$CINDER_CONF" DEFAULT backup_driver)" == \
        cinder_swift_backup.driver.SwiftBackupDriver ]]
    [[ "$(iniget "$CINDER_CONF" DEFAULT backup_swift_url)" == \
        http://192.0.2.1:8080/v1/AUTH_ ]]
    [[ "$(grep -c backup_driver "$CINDER_CONF")" == 1 ]]
    called ""
}

@test "post-config follows what DevStack does for its own driver" {
    [[ -n "${DEVSTACK_DIR:-}" ]] || skip "DEVSTACK_DIR is not set"
    SWIFT_SERVICE_PROTOCOL=https
    SWIFT_DEFAULT_BIND_PORT=8080
    SSL_BUNDLE_FILE=/opt/stack/data/ca-bundle.pem
    ENABLED_SERVICES+=,tls-proxy
    echo "[DEFAULT]" > "$CINDER_CONF"
    source "$DEVSTACK_DIR/lib/cinder_backups/$CINDER_BACKUP_DRIVER"
    configure_cinder_backup_swift
    run -0 phase stack post-config
    [[ "$(iniget "$CINDER_CONF" DEFAULT backup_driver)" == \
        cinder_swift_backup.driver.SwiftBackupDriver ]]
    [[ "$(iniget "$CINDER_CONF" DEFAULT backup_swift_url)" == \
        https://192.0.2.1:8080/v1/AUTH_ ]]
    [[ "$(iniget "$CINDER_CONF" DEFAULT backup_swift_ca_cert_file)" == \
        /opt/stack/data/ca-bundle.pem ]]
}

@test "extra checks the configuration" {
    command_ends_with 0
    run -0 phase stack extra
    called "cinder-swift-backup check-config --config-file $CINDER_CONF"
}

@test "extra ends stack.sh if the configuration is wrong" {
    command_ends_with 4
    run -4 phase stack extra
}

@test "test-config and unstack do nothing" {
    run -0 phase stack test-config
    run -0 phase unstack
    called ""
}

@test "clean leaves the virtual environment to DevStack" {
    run -0 phase clean
    called ""
}

@test "clean uninstalls the package if there is no virtual environment" {
    GLOBAL_VENV=False
    run -0 phase clean
    called "pip_uninstall cinder-swift-backup"
}

@test "a host without c-bak is left alone" {
    ENABLED_SERVICES=key,c-api,c-vol
    CINDER_BACKUP_DRIVER=ceph
    cp "$CINDER_CONF" "$BATS_TEST_TMPDIR/before"
    run -0 phase stack pre-install
    [[ "$output" == "cinder-swift-backup has nothing to do: c-bak is not enabled"* ]]
    for name in install post-config extra test-config; do
        run -0 phase stack "$name"
        [[ -z "$output" ]]
    done
    run -0 phase unstack
    run -0 phase clean
    called ""
    diff "$BATS_TEST_TMPDIR/before" "$CINDER_CONF"
}

@test "tracing is as before" {
    run -0 bash -ec 'is_service_enabled() { false; }
        source "$0" unstack; [[ $- != *x* ]]
        set -x; source "$0" unstack; [[ $- == *x* ]]' "$ROOT/devstack/plugin.sh"
}
