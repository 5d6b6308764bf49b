#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A configuration that is applied: whole or not at all, confirmed or taken back.
# modes: tc
# shellcheck source=owner.sh
. "$(dirname "$0")/owner.sh"

owner_up
expect perch service apply "$LAB_DIR/app.yaml" >/dev/null
expect perch version add service app v2 backend 10.2.0.12:7000 >/dev/null

test_diff_says_what_would_change() {
	local seen
	changed 's/10.2.0.12:7000/10.2.0.12:7001/; s/affinity: connection/affinity: client/'
	seen=$(perch -j config diff "$LAB_DIR/new.yaml")
	echo "$seen"
	expect [ "$(field "$seen" length)" = 2 ]
	expect [ "$(field "$seen" '.[] | select(.path == "services.web.affinity") | .from + " " + .to')" = "connection client" ]
	expect grep -q '^- services.web.affinity: connection' <<< "$(perch config diff "$LAB_DIR/new.yaml")"
	expect grep -q '^+ services.web.affinity: client' <<< "$(perch config diff "$LAB_DIR/new.yaml")"
	expect [ "$(perch -j config diff)" = '[]' ]
	expect [ -z "$(perch config diff)" ]
	unchanged perch config diff "$LAB_DIR/app.yaml"
	says 'perch.yaml:'
}

test_show_tells_what_is_in_force_and_where_it_is_from() {
	local seen
	seen=$(perch config show)
	echo "$seen"
	expect grep -q '^services.web.listen: .*192.0.2.10:80/tcp' <<< "$seen"
	expect grep -q '^services.app.listen: .*192.0.2.10:81/tcp' <<< "$seen"
	expect grep -q "^# service web: $LAB_DIR/perch.yaml:[0-9]*$" <<< "$seen"
	expect grep -q '^# service app: applied through the API$' <<< "$seen"
	seen=$(perch config show text)
	expect grep -q '^include: services.d/\*.yaml$' <<< "$seen"
}

# The file is another afterwards, whole, with the mode that it had.
test_applied_configuration_is_in_force_and_in_the_file() {
	chmod 640 "$LAB_DIR/perch.yaml"
	changed 's/affinity: connection/affinity: client/'
	expect perch config apply "$LAB_DIR/new.yaml" comment "by hash"
	expect cmp "$LAB_DIR/new.yaml" "$LAB_DIR/perch.yaml"
	expect [ "$(stat -c %a "$LAB_DIR/perch.yaml")" = 640 ]
	expect [ "$(field "$(perch -j service show web)" '.[0].affinity')" = client ]
	expect [ "$(shown .pending)" = null ]
	expect [ "$(field "$(last_event '.kind == "config"')" '.to + " " + .comment + " " + .actor.via')" = "applied by hash socket" ]
	changed 's/affinity: client/affinity: connection/'
	expect perch config apply - < "$LAB_DIR/new.yaml"
	expect [ "$(field "$(perch -j service show web)" '.[0].affinity')" = connection ]
	# written by perchd itself: no news for perchd
	sleep 0.5
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = applied ]
}

test_mistakes_in_an_applied_configuration_change_nothing() {
	changed 's/affinity: connection/affinity: clint/'
	unchanged perch config apply "$LAB_DIR/new.yaml"
	says 'perch.yaml:[0-9]*: services\[0\].affinity'
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 400 ]
	changed '/name: v1,/d'
	unchanged perch config apply "$LAB_DIR/new.yaml" confirm 60s
	says 'is stable'
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 409 ]
	expect [ "$(shown .pending)" = null ]
	changed 's/:80\/tcp/:81\/tcp/'
	unchanged perch config apply "$LAB_DIR/new.yaml"
	says 'service app'
	expect [ "$(status PUT "/v1/config?confirm=0s" --data-binary "@$LAB_DIR/perch.yaml")" = 400 ]
	expect [ "$(perch config apply "$LAB_DIR/perch.yaml" confirm soon >/dev/null 2>&1; echo $?)" = 2 ]
	unchanged perch config confirm
	says 'nothing waits'
	expect [ "$(status POST /v1/config/confirm)" = 409 ]
	expect [ "$(find "$LAB_DIR" -maxdepth 1 -name '.perch.yaml*' | wc -l)" = 0 ]
}

# member METHOD PATH: as a member of the group that has the socket
member() {
	in_ns lb setpriv --reuid nobody --regid nogroup --clear-groups curl -s -m 5 -X "$1" \
		--data-binary @- --unix-socket "$LAB_DIR/perch.sock" "http://perch$2"
}

# perchd reads files as root: what they hold is not for everybody who may ask.
test_mistakes_in_files_of_others_are_not_quoted() {
	local request method path answer
	chmod 711 "$LAB_DIR"
	chgrp nogroup "$LAB_DIR/perch.sock"
	echo 'root:hunter2:19000' > "$LAB_DIR/shadow"
	chmod 600 "$LAB_DIR/shadow"
	sed 's/^    rollout: /    rules: [{ sourceFile: shadow, version: canary }]\n&/' "$LAB_DIR/perch.yaml" > "$LAB_DIR/new.yaml"
	for request in 'PUT /v1/config' 'POST /v1/config/diff'; do
		read -r method path <<< "$request"
		answer=$(member "$method" "$path" < "$LAB_DIR/new.yaml")
		echo "$answer"
		expect grep -q 'shadow:1: ' <<< "$answer"
		expect refused grep -q hunter2 <<< "$answer"
	done
	unchanged perch config apply "$LAB_DIR/new.yaml"
	says 'shadow:1: .*hunter2'
	ln -s shadow "$LAB_DIR/a:1b"
	answer=$(sed 's/sourceFile: shadow/sourceFile: "a:1b"/' "$LAB_DIR/new.yaml" | member PUT /v1/config)
	expect grep -q 'a:1b:1: is wrong' <<< "$answer"
	# the text itself is its own
	expect grep -q 'perch.yaml:1: nonsense' <<< "$(member PUT /v1/config <<< 'nonsense: 1')"
}

# A large text is taken here, and nowhere else.
test_body_limit_is_raised_for_configurations_alone() {
	{ cat "$LAB_DIR/perch.yaml"; head -c 3000000 /dev/zero | tr '\0' '#'; } > "$LAB_DIR/new.yaml"
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 200 ]
	expect [ "$(stat -c %s "$LAB_DIR/perch.yaml")" -gt 3000000 ]
	expect [ "$(status PUT /v1/services/web/weights --data-binary "@$LAB_DIR/new.yaml")" = 413 ]
	{ cat "$LAB_DIR/new.yaml"; head -c 14500000 /dev/zero | tr '\0' '#'; } > "$LAB_DIR/newer.yaml"
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/newer.yaml")" = 413 ]
	changed 's/##*$//'
	expect perch config apply "$LAB_DIR/new.yaml"
}

test_defaults_of_the_file_hold_for_applied_services_too() {
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	expect established app drain
	sed 's/^defaults: .*/defaults: { rollback: { established: sever } }/' "$LAB_DIR/perch.yaml" > "$LAB_DIR/new.yaml"
	expect perch config apply "$LAB_DIR/new.yaml"
	expect established app sever
	expect established web sever
	expect perch config apply "$LAB_DIR/before.yaml"
	expect established app drain
}

test_link_and_read_only_file_are_refused_with_the_remedy() {
	mv "$LAB_DIR/perch.yaml" "$LAB_DIR/elsewhere.yaml"
	ln -s elsewhere.yaml "$LAB_DIR/perch.yaml"
	cp "$LAB_DIR/elsewhere.yaml" "$LAB_DIR/new.yaml"
	unchanged perch config apply "$LAB_DIR/new.yaml"
	says 'symbolic link.*change it where it comes from'
	expect [ "$(status PUT /v1/config --data-binary "@$LAB_DIR/new.yaml")" = 409 ]
	mv "$LAB_DIR/elsewhere.yaml" "$LAB_DIR/perch.yaml"
	expect wait_for 5 loaded true
}

# apply_client SECONDS: what is to be confirmed
apply_client() {
	changed 's/affinity: connection/affinity: client/'
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	expect perch config apply "$LAB_DIR/new.yaml" confirm "$1" comment trial
	expect is_affinity client
}

# Weights are state: they stay as they are whatever becomes of the file.
test_unconfirmed_configuration_is_taken_back() {
	local event
	apply_client 2s
	expect [ "$(shown .pending.user)" = root ]
	expect grep -q 'not confirmed' <<< "$(perch status)"
	expect perch weight set service app canary 25
	expect wait_for 5 reverted
	event=$(last_event '.kind == "config"')
	echo "$event"
	expect [ "$(field "$event" '.to + " " + .comment + " " + .actor.user')" = "reverted trial root" ]
	expect grep -q 'not confirmed within 2 s' <<< "$event"
	expect [ "$(version app v2 .weight)" = 25 ]
	expect [ "$(shown .pending)" = null ]
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
	sleep 0.5
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = reverted ]
}

test_confirmed_configuration_stays() {
	apply_client 2s
	expect perch config confirm comment good
	expect [ "$(field "$(last_event '.kind == "config"')" '.to + " " + .comment')" = "confirmed good" ]
	stop_perchd KILL
	sleep 2
	start_perchd
	expect is_affinity client
	expect perch config apply "$LAB_DIR/before.yaml"
}

# One after the other, the second in time: back to what was confirmed last.
test_second_trial_goes_back_to_what_was_before_the_first() {
	apply_client 30s
	sed 's/commit: ab12/commit: ab13/' "$LAB_DIR/new.yaml" > "$LAB_DIR/newer.yaml"
	expect perch config apply "$LAB_DIR/newer.yaml" confirm 1s
	expect [ "$(version web v2 .labels.commit)" = ab13 ]
	expect wait_for 5 reverted
	expect [ "$(version web v2 .labels.commit)" = ab12 ]
}

test_killed_agent_takes_it_back_at_its_start_when_overdue() {
	apply_client 2s
	stop_perchd KILL
	sleep 2
	expect cmp "$LAB_DIR/new.yaml" "$LAB_DIR/perch.yaml"
	start_perchd
	expect reverted
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = reverted ]
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
}

test_killed_agent_goes_on_waiting_after_its_start() {
	apply_client 12s
	stop_perchd KILL
	start_perchd
	expect is_affinity client
	expect [ "$(shown .pending.user)" = root ]
	expect wait_for 25 reverted
	apply_client 60s
	stop_perchd TERM
	start_perchd
	expect perch config confirm
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
	expect perch config apply "$LAB_DIR/before.yaml"
}

has_commit() {
	[ "$(version web v2 .labels.commit)" = "$1" ]
}

test_hand_that_writes_the_file_meanwhile_is_not_undone() {
	apply_client 2s
	sed 's/commit: ab12/commit: ab14/' "$LAB_DIR/new.yaml" > "$LAB_DIR/perch.yaml"
	expect wait_for 2 has_commit ab14
	sleep 2
	expect has_commit ab14
	expect is_affinity client
	expect [ "$(field "$(last_event '.kind == "config"')" .to)" = superseded ]
	cp "$LAB_DIR/before.yaml" "$LAB_DIR/perch.yaml"
	expect wait_for 5 is_affinity connection
}

# Neither half of a configuration: the old one, or the new one that waits.
test_killed_inside_config_apply_it_is_the_old_or_the_new() {
	local window
	changed 's/affinity: connection/affinity: client/'
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	for window in kept unwritten; do
		killed_at "config/$window" perch config apply "$LAB_DIR/new.yaml" confirm 60s
		expect reverted
		expect [ "$(field "$(last_event '.kind == "config"')" .to)" = lost ]
		expect [ "$(shown .pending)" = null ]
		expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
	done
	expect [ ! -e "$LAB_DIR/.perch.yaml.new" ]
	killed_at config/written perch config apply "$LAB_DIR/new.yaml" confirm 60s
	expect is_affinity client
	expect cmp "$LAB_DIR/new.yaml" "$LAB_DIR/perch.yaml"
	expect [ "$(shown .pending.user)" = root ]
	expect perch config apply "$LAB_DIR/before.yaml"
	killed_at revert/written perch config apply "$LAB_DIR/new.yaml" confirm 1s
	expect reverted
	expect [ "$(shown .pending)" = null ]
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
}

test_killed_inside_a_second_trial_the_first_one_still_waits() {
	apply_client 60s
	sed 's/commit: ab12/commit: ab13/' "$LAB_DIR/new.yaml" > "$LAB_DIR/newer.yaml"
	killed_at config/unwritten perch config apply "$LAB_DIR/newer.yaml" confirm 10s
	expect is_affinity client
	expect has_commit ab12
	expect [ "$(shown .pending.user)" = root ]
	expect wait_for 25 reverted
	expect [ ! -e "$LAB_DIR/.perch.yaml.before" ]
}

run test_diff_says_what_would_change test_show_tells_what_is_in_force_and_where_it_is_from \
	test_applied_configuration_is_in_force_and_in_the_file \
	test_mistakes_in_an_applied_configuration_change_nothing test_mistakes_in_files_of_others_are_not_quoted \
	test_body_limit_is_raised_for_configurations_alone \
	test_defaults_of_the_file_hold_for_applied_services_too \
	test_link_and_read_only_file_are_refused_with_the_remedy test_unconfirmed_configuration_is_taken_back \
	test_confirmed_configuration_stays test_second_trial_goes_back_to_what_was_before_the_first \
	test_killed_agent_takes_it_back_at_its_start_when_overdue test_killed_agent_goes_on_waiting_after_its_start \
	test_hand_that_writes_the_file_meanwhile_is_not_undone \
	test_killed_inside_config_apply_it_is_the_old_or_the_new \
	test_killed_inside_a_second_trial_the_first_one_still_waits
finish
