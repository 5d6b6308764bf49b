#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Not a byte is changed: 100 MB up and down, datagrams of every size, IPv4 and
# IPv6, with offloads on and with tx off on every device, because a veth does
# not verify what it was told is right.
LAB_TX=on
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

MEGABYTES=100
lab_up 2
lab_nginx s1 v1 8080
lab_namesrv s1 echo 7000
service() {
	cat <<-END
		  - name: $1
		    listen: ["$2"]
		    versions:
		      - { name: v1, role: stable, backends: ["$3"] }
	END
}
{
	service web "$VIP4:80/tcp" 10.2.0.11:8080
	service web6 "[$VIP6]:80/tcp" "[fd02::11]:8080"
	service udp "$VIP4:7000/udp" 10.2.0.11
	service udp6 "[$VIP6]:7000/udp" "[fd02::11]"
} | perch_config "$MODE"
start_perchd
head -c "${MEGABYTES}M" /dev/urandom > "$LAB_DIR/sent"

test_files_over_ipv4_are_identical() {
	files_are_identical "$VIP4" web
}

test_files_over_ipv6_are_identical() {
	files_are_identical "[$VIP6]" web6
}

test_datagrams_of_every_size_over_ipv4_are_identical() {
	expect in_ns c "$TOOLS/udpsizes" "$VIP4" 7000
	expect wait_for 3 through udp 2000000
	no_checksum_errors c lb s1
}

test_datagrams_of_every_size_over_ipv6_are_identical() {
	expect in_ns c "$TOOLS/udpsizes" "$VIP6" 7000
	expect wait_for 3 through udp6 2000000
	no_checksum_errors c lb s1
}

test_nothing_was_dropped_by_perch() {
	local drops
	drops=$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')
	expect [ "$drops" = 0 ]
}

TESTS_OF_BYTES=(test_files_over_ipv4_are_identical test_files_over_ipv6_are_identical
	test_datagrams_of_every_size_over_ipv4_are_identical test_datagrams_of_every_size_over_ipv6_are_identical)
echo "# offloads on"
run "${TESTS_OF_BYTES[@]}"
lab_offload tx off
echo "# tx off on every device"
run "${TESTS_OF_BYTES[@]}"
run test_nothing_was_dropped_by_perch
finish
