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

# upload_and_download ADDRESS
upload_and_download() {
	local url=http://$1/up/file speed
	rm -f "$LAB_DIR/nginx-v1/up/file" "$LAB_DIR/got"
	speed=$(in_ns c curl -sSf -m 60 -T "$LAB_DIR/sent" -w '%{speed_upload}' "$url")
	expect cmp "$LAB_DIR/sent" "$LAB_DIR/nginx-v1/up/file"
	speed+=" $(in_ns c curl -sSf -m 60 -o "$LAB_DIR/got" -w '%{speed_download}' "$url")"
	expect cmp "$LAB_DIR/sent" "$LAB_DIR/got"
	say "up and down at ${speed// /, } bytes a second"
}

# through SERVICE: it was perch that carried it.
through() {
	[ "$(version "$1" v1 .bytes)" -gt "$2" ]
}

# no_checksum_errors: in any namespace since it was made.
no_checksum_errors() {
	local ns errors
	for ns in c lb s1; do
		errors=$(in_ns "$ns" nstat -saz | awk '/InCsumErrors/ { n += $2 } END { print n }')
		expect [ "$errors" = 0 ]
	done
}

test_files_over_ipv4_are_identical() {
	upload_and_download "$VIP4"
	expect wait_for 3 through web $((2 * MEGABYTES * 1000000))
	no_checksum_errors
}

test_files_over_ipv6_are_identical() {
	upload_and_download "[$VIP6]"
	expect wait_for 3 through web6 $((2 * MEGABYTES * 1000000))
	no_checksum_errors
}

test_datagrams_of_every_size_over_ipv4_are_identical() {
	expect in_ns c "$TOOLS/udpsizes" "$VIP4" 7000
	expect wait_for 3 through udp 2000000
	no_checksum_errors
}

test_datagrams_of_every_size_over_ipv6_are_identical() {
	expect in_ns c "$TOOLS/udpsizes" "$VIP6" 7000
	expect wait_for 3 through udp6 2000000
	no_checksum_errors
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
