# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Hosts behind routers, smaller links, and who has learned of them.

# behind ROUTER NS NET: a host there, .1 is the router's and .2 its own.
behind() {
	lab_namespace "$2"
	ip link add "$2" netns "p$$-$1" type veth peer name eth0 netns "p$$-$2"
	in_ns "$1" ip link set "$2" up
	in_ns "$2" ip link set eth0 up
	in_ns "$1" ip addr add "10.$3.0.1/24" dev "$2"
	in_ns "$1" ip -6 addr add "fd0$3::1/64" dev "$2" nodad
	in_ns "$2" ip addr add "10.$3.0.2/24" dev eth0
	in_ns "$2" ip -6 addr add "fd0$3::2/64" dev eth0 nodad
	in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	lab_route "$2" default via "10.$3.0.1" dev eth0 onlink
	lab_route "$2" default via "fd0$3::1" dev eth0 onlink
}

# mtu_of NS ADDRESS: what its route cache knows of the way there.
mtu_of() {
	in_ns "$1" ip route get "$2" | sed -n 's/.* mtu \([0-9]*\).*/\1/p'
}

# learned WHO ADDRESS MTU: of the way there.
learned() {
	local mtu
	mtu=$(mtu_of "$1" "$2")
	echo "$1 to $2: ${mtu:-nothing learned}"
	[ "$mtu" = "$3" ]
}

# forget NS...: what they have learned.
forget() {
	local ns
	for ns in "$@"; do
		in_ns "$ns" ip route flush cache
		in_ns "$ns" ip -6 route flush cache
	done
}

# small_link ROUTER NS NET MTU [MTU6]: of the router's link to a host behind it.
small_link() {
	in_ns "$1" ip route replace "10.$3.0.2" dev "$2" mtu "$4"
	in_ns "$1" ip -6 route replace "fd0$3::2" dev "$2" mtu "${5:-$4}"
}

# own_link DEV MTU: of the balancer's.
own_link() {
	in_ns lb ip link set "$1" mtu "$2"
	sleep 0.2	# the agent's ear for links
}

# upload ADDRESS, download ADDRESS: $LAB_DIR/sent, between `far` and lab_nginx.
upload() {
	rm -f "$LAB_DIR/nginx-v1/up/file"
	expect in_ns far curl -gsSf -m 60 -T "$LAB_DIR/sent" "http://$1/up/file"
	expect cmp "$LAB_DIR/sent" "$LAB_DIR/nginx-v1/up/file"
}

download() {
	rm -f "$LAB_DIR/got"
	expect in_ns far curl -gsSf -m 60 -o "$LAB_DIR/got" "http://$1/up/file"
	expect cmp "$LAB_DIR/sent" "$LAB_DIR/got"
}
