#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# DevStack's plugin for cinder-swift-backup; README.rst, beside this file, says how to
# enable it. DevStack sources this file once for each phase:
#
#   plugin.sh stack pre-install    check local.conf
#   plugin.sh stack install        install the driver where Cinder is
#   plugin.sh stack post-config    set backup_driver
#   plugin.sh stack extra          check the configuration, now that Swift runs
#   plugin.sh clean                remove the package
#
# There is nothing to do to stop: DevStack stops c-bak.
#
# Its variables are those of DevStack and of settings:
# shellcheck disable=SC2154

# Save trace setting
_XTRACE_CINDER_SWIFT_BACKUP=$(set +o | grep xtrace)
set +o xtrace

# Ends stack.sh if the services in local.conf do not fit the driver.
function cinder_swift_backup_check_services {
    # For this value only, DevStack sets the URL of Swift and its certificate.
    if [[ "$CINDER_BACKUP_DRIVER" != "swift" ]]; then
        die $LINENO "cinder-swift-backup needs CINDER_BACKUP_DRIVER=swift" \
            "in local.conf, and not $CINDER_BACKUP_DRIVER"
    fi
    # If the services are on another host, Swift may be there, too.
    if [[ "$SERVICE_HOST" == "$HOST_IP" ]] && ! is_service_enabled s-proxy; then
        die $LINENO "cinder-swift-backup needs Swift: add \"enable_service" \
            "s-proxy s-object s-container s-account\" to local.conf"
    fi
}

# Either way, DevStack installs with its own constraints.
function cinder_swift_backup_install {
    if [[ "$CINDER_SWIFT_BACKUP_EDITABLE" == "True" ]]; then
        setup_develop "$CINDER_SWIFT_BACKUP_DIR" cli
    else
        setup_install "$CINDER_SWIFT_BACKUP_DIR" cli
    fi
}

# DevStack has already set the URL of Swift. It has not yet applied what local.conf has
# for cinder.conf in post-config, so that overrides this.
function cinder_swift_backup_configure {
    iniset "$CINDER_CONF" DEFAULT backup_driver \
        cinder_swift_backup.driver.SwiftBackupDriver
}

# Ends stack.sh if an option is wrong, or if Swift does not answer.
function cinder_swift_backup_check_config {
    "$CINDER_BIN_DIR/cinder-swift-backup" check-config --config-file "$CINDER_CONF"
}

# DevStack itself removes cinder.conf, and its virtual environment if it has one.
function cinder_swift_backup_clean {
    if [[ "$GLOBAL_VENV" != "True" ]]; then
        pip_uninstall cinder-swift-backup
    fi
}

# cinder_swift_backup_run mode [phase]
function cinder_swift_backup_run {
    case "$1 ${2:-}" in
        "stack pre-install")
            cinder_swift_backup_check_services
            ;;
        "stack install")
            echo_summary "Installing cinder-swift-backup"
            cinder_swift_backup_install
            ;;
        "stack post-config")
            echo_summary "Configuring cinder-swift-backup"
            cinder_swift_backup_configure
            ;;
        "stack extra")
            echo_summary "Checking the configuration of cinder-swift-backup"
            cinder_swift_backup_check_config
            ;;
        "clean ")
            cinder_swift_backup_clean
            ;;
    esac
}

# Restore xtrace
$_XTRACE_CINDER_SWIFT_BACKUP

if is_service_enabled c-bak; then
    cinder_swift_backup_run "$1" "${2:-}"
elif [[ "$1 ${2:-}" == "stack pre-install" ]]; then
    echo_summary "cinder-swift-backup has nothing to do: c-bak is not enabled here"
fi
