#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What make install puts where, and that it works from there: programs, unit,
# manuals, example, and the completion of the shell.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
perch_config tc <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    healthCheck: { type: none }
	    versions:
	      - { name: v1.4.2, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v1.5.0, role: canary, backends: ["10.2.0.12:7000"] }
	  - name: shop
	    listen: ["$VIP4:81/tcp"]
	    healthCheck: { type: none }
	    versions:
	      - { name: old, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: new, role: canary, backends: ["10.2.0.12:7000"] }
END
start_perchd
ROOTFS=$LAB_DIR/root
make -s -C "$ROOT" O="$BUILD" DESTDIR="$ROOTFS" PREFIX=/opt/perch install > "$LAB_DIR/install" 2>&1 ||
	die "make install: $(tail -n 5 "$LAB_DIR/install")"

# mode FILE: below the root
mode() {
	stat -c %a "$ROOTFS/$1"
}

test_everything_is_installed_where_it_belongs() {
	local share=opt/perch/share
	expect [ "$(mode opt/perch/sbin/perchd)" = 755 ]
	expect [ "$(mode opt/perch/bin/perch)" = 755 ]
	expect [ "$(mode "$share/man/man8/perch.8")" = 644 ]
	expect [ "$(mode "$share/man/man8/perchd.8")" = 644 ]
	expect [ "$(mode "$share/man/man5/perch.yaml.5")" = 644 ]
	expect [ "$(mode "$share/bash-completion/completions/perch")" = 644 ]
	expect [ "$(mode opt/perch/lib/sysusers.d/perch.conf)" = 644 ]
	expect [ "$(mode etc/perch/services.d)" = 750 ]
	expect [ "$(mode etc/perch/perch.yaml)" = 640 ]
	expect grep -q '^ExecStart=/opt/perch/sbin/perchd -c /etc/perch/perch.yaml$' \
		"$ROOTFS/opt/perch/lib/systemd/system/perchd.service"
	expect refused grep -q /usr/sbin/perchd "$ROOTFS/opt/perch/lib/systemd/system/perchd.service"
}

test_installed_programs_run_without_anything_beside_them() {
	expect in_ns lb env -i "$ROOTFS/opt/perch/bin/perch" --socket "$LAB_DIR/perch.sock" status
	expect env -i "$ROOTFS/opt/perch/sbin/perchd" --check -c "$ROOTFS/opt/perch/share/doc/perch/examples/perch.yaml"
	expect env -i "$ROOTFS/opt/perch/sbin/perchd" --check -c "$ROOTFS/etc/perch/perch.yaml"
}

test_installing_again_keeps_the_configuration() {
	echo "# mine" >> "$ROOTFS/etc/perch/perch.yaml"
	expect make -s -C "$ROOT" O="$BUILD" DESTDIR="$ROOTFS" PREFIX=/opt/perch install
	expect [ "$(tail -n 1 "$ROOTFS/etc/perch/perch.yaml")" = "# mine" ]
}

# completes "LINE" WORD...: bash offers exactly these after the line, of which
# the last word is what was begun ("" after a blank).
completes() {
	local line=$1 got
	shift
	# shellcheck disable=SC2016 # for the shell within
	got=$(PATH=$ROOTFS/opt/perch/bin:$PATH PERCH_SOCKET=${ASK:-$LAB_DIR/perch.sock} in_ns lb bash -c '
		. "$1"
		read -ra COMP_WORDS <<< "$2"
		[[ $2 != *" " ]] || COMP_WORDS+=("")
		COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
		_perch
		echo "${COMPREPLY[*]}"' completes "$ROOTFS/opt/perch/share/bash-completion/completions/perch" "$line")
	[ "$got" = "$*" ] && return 0
	echo "'$line' is completed by '$got', not by '$*'"
	return 1
}

test_completion_knows_objects_and_commands() {
	expect completes "perch ro" rollback rollout
	expect completes "perch rollout w" wait watch why
	expect completes "perch backend " drain help resume show
	expect completes "perch -j conf" config
	expect completes "perch nonsense "
	expect completes "perch --so" --socket
}

test_completion_knows_services_and_versions() {
	expect completes "perch rollback " --direct all comment drain keep sever shop web
	expect completes "perch rollback w" web
	expect completes "perch rollback web s" sever
	expect completes "perch rollout start web version " canary stable v1.4.2 v1.5.0
	expect completes "perch weight set service s" shop
	expect completes "perch weight set service shop " canary comment force new old stable
	expect completes "perch weight set shop n" new
	expect completes "perch rollout wait web " timeout version
	expect completes "perch rollout wait web timeout 3" 30s
	expect completes "perch pin set service web client 10.0.0.1 version v1.5" v1.5.0
	expect completes "perch --socket $LAB_DIR/perch.sock ver sh service w" web
}

test_completion_does_not_hang_without_perchd() {
	local began
	ASK=$LAB_DIR/none expect completes "perch rollback " --direct all comment drain keep sever
	kill -STOP "$PERCHD"
	began=$(monotonic)
	expect completes "perch rollback " --direct all comment drain keep sever
	expect within $((($(monotonic) - began) / 1000000)) 0 3000
	kill -CONT "$PERCHD"
}

run test_everything_is_installed_where_it_belongs test_installing_again_keeps_the_configuration test_installed_programs_run_without_anything_beside_them \
	test_completion_knows_objects_and_commands \
	test_completion_knows_services_and_versions test_completion_does_not_hang_without_perchd
finish
