# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Backends of the ways to forward that leave the listener's address in place:
# they have it themselves, and unpack what comes in tunnels.

# Element i of each: way to forward, IPv4 and IPv6 address of its service.
WAYS=(dsr ipip gue)
ADDRESSES4=(192.0.2.21 192.0.2.22 192.0.2.23)
ADDRESSES6=(2001:db8::21 2001:db8::22 2001:db8::23)

# The backends' side: addresses that they answer for to nobody, a link with
# room for the outer header, and a perchd that unpacks.
prepare_backend() {
	local ns=$1
	take_listeners "$ns"
	# arp_ignore does not know an address with a peer for its own
	in_ns "$ns" ip addr add "10.2.0.1${ns#s}/24" dev eth0
	in_ns "$ns" ip link set eth0 mtu 1600
	in_ns lb ip link set "$ns" mtu 1600
	# replies are as large as the clients' link takes
	in_ns "$ns" ip route change default via 10.2.0.1 dev eth0 mtu 1500 onlink
	in_ns "$ns" ip -6 route change default via fd02::1 dev eth0 mtu 1500 onlink
	unpack "$ns"
}

take_listeners() {
	local ns=$1 i
	for ((i = 0; i < ${#WAYS[@]}; i++)); do
		in_ns "$ns" ip addr add "${ADDRESSES4[i]}/32" dev lo
		in_ns "$ns" ip addr add "${ADDRESSES6[i]}/128" dev lo
	done
	in_ns "$ns" sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
}

# unpack NS: a perchd there that takes packets out of tunnels.
unpack() {
	local ns=$1
	mkdir "$LAB_DIR/$ns"
	cat > "$LAB_DIR/$ns/perch.yaml" <<-END
		schema: 1
		agent:
		  socket: $LAB_DIR/$ns/perch.sock
		  stateDir: $LAB_DIR/$ns/state
		  pinPath: $LAB_DIR/bpf/$ns
		  secretFile: $LAB_DIR/$ns/secret
		  flowTableSize: 1024
		interfaces: [{ name: eth0, attach: $MODE, decap: true }]
	END
	lab_spawn "$ns" "$LAB_DIR/perchd-$ns" "$BUILD/perchd" -c "$LAB_DIR/$ns/perch.yaml"
	wait_for 20 unpacks "$ns"
}

# at NS perch...: of the perchd there.
at() {
	local ns=$1
	shift
	PERCH_SOCKET=$LAB_DIR/$ns/perch.sock PERCH_BPFFS=$LAB_DIR/bpf/$ns in_ns "$ns" "$BUILD/perch" "$@"
}

unpacks() {
	[ "$(field "$(at "$1" -j datapath show)" '.interfaces[0].attached')" = true ]
}
