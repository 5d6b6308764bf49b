#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Who owns what: services of files, of included files, and those that were applied.
# modes: tc
# shellcheck source=owner.sh
. "$(dirname "$0")/owner.sh"

owner_up

test_applied_service_serves_beside_the_files() {
	app 81 > "$LAB_DIR/app.yaml"
	expect perch service apply "$LAB_DIR/app.yaml" comment "first one"
	expect reaches 81 v1
	expect reaches 80 v1
	expect [ "$(shown '.services[] | select(.name == "app").owner')" = api ]
	expect [ "$(shown '.services[] | select(.name == "web").owner')" = file ]
	expect grep -q 'made by hand' <<< "$(shown '.services[] | select(.name == "app").text')"
	expect [ "$(field "$(last_event '.service == "app" and .to == "applied"')" .comment)" = "first one" ]
	# again the same is no change
	expect perch service apply "$LAB_DIR/app.yaml" comment again
	expect [ "$(field "$(last_event '.service == "app" and .to == "applied"')" .comment)" = "first one" ]
}

test_json_body_and_stdin_are_taken_too() {
	local json='{"name":"extra","listen":["'$VIP4':90/tcp"],"versions":[{"name":"v1","role":"stable","backends":["10.2.0.12:7000"]}]}'
	expect [ "$(status PUT /v1/services/extra -d "$json")" = 200 ]
	expect reaches 90 v2
	expect [ "$(status DELETE /v1/services/extra)" = 200 ]
	expect perch service apply - <<< "$json"
	expect reaches 90 v2
	expect perch service delete extra
	expect [ "$(status GET /v1/services/extra)" = 404 ]
}

test_services_of_files_are_changed_in_files_alone() {
	local line
	line=$(grep -n 'name: web' "$LAB_DIR/perch.yaml" | cut -d: -f1)
	sed 's/name: app/name: web/' "$LAB_DIR/app.yaml" > "$LAB_DIR/web.yaml"
	unchanged perch service apply "$LAB_DIR/web.yaml"
	says "'web' is written in $LAB_DIR/perch.yaml:$line; change it there"
	unchanged perch service delete web
	says "perch.yaml:$line"
	unchanged perch version add service web v3 backend 10.2.0.12:7001
	says "perch.yaml:$line"
	unchanged perch version delete service web v2
	says "perch.yaml:$line"
	expect [ "$(status PUT /v1/services/web --data-binary "@$LAB_DIR/web.yaml")" = 409 ]
	expect [ "$(status DELETE /v1/services/web)" = 409 ]
	expect [ "$(status DELETE /v1/services/web/versions/v2)" = 409 ]
	expect [ "$(status POST /v1/services/web/versions -d '{"name":"v3","backends":["10.2.0.12:7001"]}')" = 409 ]
}

test_mistakes_in_what_is_applied_change_nothing() {
	sed 's/affinity/afinity/' "$LAB_DIR/app.yaml" > "$LAB_DIR/bad.yaml"
	unchanged perch service apply "$LAB_DIR/bad.yaml"
	says "service app:4: afinity.*did you mean 'affinity'"
	expect [ "$(status PUT /v1/services/app --data-binary "@$LAB_DIR/bad.yaml")" = 400 ]
	# the file's listener
	app 80 > "$LAB_DIR/bad.yaml"
	unchanged perch service apply "$LAB_DIR/bad.yaml"
	says "service app:3: listen\[0\].*perch.yaml"
	# a new one without stable
	sed 's/name: app/name: new/; s/role: stable/role: canary/; s/:81/:82/' "$LAB_DIR/app.yaml" > "$LAB_DIR/bad.yaml"
	unchanged perch service apply "$LAB_DIR/bad.yaml"
	says 'service new:.*stable'
	# another name than the path
	expect [ "$(status PUT /v1/services/other --data-binary "@$LAB_DIR/app.yaml")" = 400 ]
	expect [ "$(status PUT /v1/services/other)" = 400 ]
	unchanged perch service apply "$LAB_DIR/perch.yaml"
	says 'perch.yaml:.*config apply'
	unchanged perch service apply "$LAB_DIR/nowhere.yaml"
	says 'nowhere.yaml.*No such file'
	expect [ "$(perch service apply >/dev/null 2>&1; echo $?)" = 2 ]
	expect [ "$(perch service delete >/dev/null 2>&1; echo $?)" = 2 ]
	unchanged perch service delete nobody
	says "no service 'nobody'"
}

test_versions_are_added_with_labels_and_taken_out() {
	local seen
	expect perch version add service app v2 backend 10.2.0.12:7000 10.2.0.12:7001 label commit=ef56 pipeline=18 comment new
	expect perch version show service app
	expect grep -q 'commit=ef56 pipeline=18' <<< "$(perch version show service app)"
	expect [ "$(version app v2 .role)" = canary ]
	expect [ "$(version app v2 '.backends | length')" = 2 ]
	expect [ "$(field "$(last_event '.kind == "version" and .reason == "v2"')" .labels.commit)" = ef56 ]
	unchanged perch version add service app v2 backend 10.2.0.12:7000
	says "version 'v2' is there already"
	unchanged perch version add service app v3 backend 10.2.0.300
	says 'service app:.*10.2.0.300'
	expect [ "$(perch version add service app v3 >/dev/null 2>&1; echo $?)" = 2 ]
	expect [ "$(perch version add service app v3 backend 10.0.0.1 label commit >/dev/null 2>&1; echo $?)" = 2 ]
	expect perch weight set service app v2 20
	expect [ "$(field "$(last_event '.kind == "weights"')" .labels.commit)" = ef56 ]
	unchanged perch version delete service app v2
	says 'perch weight set service app v2 0'
	unchanged perch version delete service app v1
	says 'is stable'
	unchanged perch version delete service app v9
	says "no version 'v9'"
	expect perch weight set service app v2 0
	# a newer one passes it, and leaves
	expect perch version add service app v3 backend 10.2.0.12:7000
	expect [ "$(version app v2 .role)" = none ]
	expect perch version delete service app v3
	unchanged perch rollout start app
	says "a newer one took the place of 'v2': take it out of service app and put it back"
	unchanged perch rollout start app version v2
	says "a newer one took the place of 'v2'"
	expect perch version delete service app v2
	seen=$(version app v2 .role)
	expect [ "$seen" = retiring ] || [ -z "$seen" ]
}

test_labels_are_in_the_events_of_a_rollout() {
	expect perch weight set service web canary 0
	expect perch rollout start web
	expect perch rollback web
	perch -j event show limit 20 | jq -c '.[] | select(.service == "web") | [.kind, .labels]'
	expect [ "$(field "$(last_event '.kind == "rollback"')" .labels.commit)" = ab12 ]
	expect [ "$(field "$(last_event '.kind == "step"')" .labels.pipeline)" = 17 ]
	expect [ "$(field "$(last_event '.kind == "start"')" .labels)" = null ]
}

test_applied_service_survives_restarts_with_its_state() {
	expect perch version add service app v2 backend 10.2.0.12:7000
	expect perch weight set service app canary 40
	stop_perchd KILL
	start_perchd
	expect [ "$(version app v2 .weight)" = 40 ]
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 81)" v2)" 330 470
	stop_perchd TERM
	# the maps are gone as after a reboot
	expect in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach
	expect refused reaches 81 v2
	start_perchd
	expect [ "$(version app v2 .weight)" = 40 ]
	expect reaches 81 v2
}

# A file that comes to name it: both places are said, nothing moves.
test_file_that_names_an_applied_service_is_refused() {
	local before error
	before=$(state)
	{ echo 'services:'; sed '1d; 2s/^/- /; 2!s/^/  /' "$LAB_DIR/app.yaml"; } > "$LAB_DIR/services.d/app.yaml"
	cat "$LAB_DIR/services.d/app.yaml"
	expect wait_for 5 loaded false
	error=$(shown .error)
	echo "$error"
	expect grep -q 'services.d/app.yaml:2' <<< "$error"
	expect grep -q 'service app' <<< "$error"
	expect [ "$(state)" = "$before" ]
	rm "$LAB_DIR/services.d/app.yaml"
	expect wait_for 5 loaded true
	expect [ "$(state)" = "$before" ]
}

# included NAME PORT: services.d/NAME.yaml
included() {
	printf 'services:\n  - name: %s\n    listen: ["%s:%s/tcp"]\n    versions: [{ name: v1, role: stable, backends: ["10.2.0.12:7000"] }]\n' \
		"$1" "$VIP4" "$2"
}

test_included_files_are_watched_as_they_come_change_and_go() {
	included one 85 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 knows_service one
	expect reaches 85 v2
	included one 86 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 reaches 86 v2
	# a mistake in it, and its remedy
	included one 80 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 loaded false
	expect grep -q 'services.d/one.yaml:3' <<< "$(shown .error)"
	expect reaches 86 v2
	included one 86 > "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 loaded true
	rm "$LAB_DIR/services.d/one.yaml"
	expect wait_for 5 knows_no_service one
}

# ..data leads to a folder that is swapped by one rename.
test_swapped_link_of_a_configmap_is_seen() {
	local d=$LAB_DIR/services.d
	mkdir "$d/..1" "$d/..2"
	included one 85 > "$d/..1/one.yaml"
	included one 86 > "$d/..2/one.yaml"
	ln -s ..1 "$d/..data"
	ln -s ..data/one.yaml "$d/one.yaml"
	expect wait_for 5 reaches 85 v2
	ln -s ..2 "$d/..new"
	mv -T "$d/..new" "$d/..data"
	rm -r "$d/..1"
	expect wait_for 5 reaches 86 v2
	mkdir "$d/..3"
	included one 87 > "$d/..3/one.yaml"
	ln -s ..3 "$d/..new"
	mv -T "$d/..new" "$d/..data"
	expect wait_for 5 reaches 87 v2
	rm -r "$d"
	expect wait_for 5 knows_no_service one
	mkdir "$d"
	included two 88 > "$d/two.yaml"
	expect wait_for 5 knows_service two
	rm "$d/two.yaml"
	expect wait_for 5 knows_no_service two
}

test_list_of_addresses_is_watched_too() {
	local d=$LAB_DIR/services.d
	echo 10.1.9.0/24 > "$d/employees.txt"
	cat > "$d/listed.yaml" <<-END
		services:
		  - name: listed
		    listen: ["$VIP4:89/tcp"]
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		    rules: [{ sourceFile: employees.txt, version: v2 }]
	END
	expect wait_for 5 reaches 89 v1
	expect refused reaches 89 v2
	echo 10.1.1.0/24 > "$d/employees.txt"
	expect wait_for 5 reaches 89 v2
	echo 10.1.1.0/33 > "$d/employees.txt"
	expect wait_for 5 loaded false
	expect grep -q 'employees.txt:1' <<< "$(shown .error)"
	expect reaches 89 v2
	rm "$d/listed.yaml" "$d/employees.txt"
	expect wait_for 5 loaded true
}

test_files_that_do_not_load_are_named_to_who_applies_a_service() {
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	sed -i 's/affinity: connection/affinity: clint/' "$LAB_DIR/perch.yaml"
	expect wait_for 5 loaded false
	unchanged perch version add service app v7 backend 10.2.0.12:7000
	says 'perch.yaml:[0-9]*: .*clint.*; mend the files first'
	cp "$LAB_DIR/before.yaml" "$LAB_DIR/perch.yaml"
	expect wait_for 5 loaded true
}

alarm() {
	perch -j status | jq -e --arg kind "$1" '.alarms[] | select(.kind == $kind)'
}

no_alarm() {
	! alarm "$1"
}

# The kernel still steers it, and says what it can.
test_applied_service_outlives_the_state_directory() {
	sed 's/affinity: connection/affinity: connection\nrollback: { established: sever }/' "$LAB_DIR/app.yaml" > "$LAB_DIR/app2.yaml"
	expect perch weight set service app canary 0
	expect perch service apply "$LAB_DIR/app2.yaml"
	expect perch version add service app v2 backend 10.2.0.12:7000 label commit=ef56
	expect perch weight set service app canary 30
	stop_perchd KILL
	rm -r "$LAB_DIR/state"
	start_perchd
	expect [ "$(field "$(alarm applied)" .service)" = app ]
	expect [ "$(version app v2 .weight)" = 30 ]
	expect [ "$(field "$(perch -j service show app)" '.[0] | .affinity + " " + .established')" = "connection sever" ]
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 81)" v2)" 230 370
	expect [ "$(shown '.services[] | select(.name == "app").owner')" = api ]
	stop_perchd KILL
	rm "$LAB_DIR"/state/state.db-*
	head -c 65536 /dev/urandom > "$LAB_DIR/state/state.db"
	start_perchd
	expect [ "$(version app v2 .weight)" = 30 ]
	expect wait_for 5 no_alarm store
	sed '$a\  - { name: v2, backends: ["10.2.0.12:7000"], labels: { commit: ef56 } }' "$LAB_DIR/app2.yaml" > "$LAB_DIR/app3.yaml"
	expect perch service apply "$LAB_DIR/app3.yaml"
	expect [ "$(version app v2 .labels.commit)" = ef56 ]
	expect no_alarm applied
}

# Not gone, but out of reach at the start: the text counts again when it is back.
test_applied_text_is_taken_back_from_a_store_that_returns() {
	stop_perchd KILL
	mv "$LAB_DIR/state" "$LAB_DIR/away"
	touch "$LAB_DIR/state"
	start_perchd
	expect alarm applied
	expect reaches 81 v1
	expect [ "$(version app v2 .labels.commit)" = null ]
	sed 's/:81/:83/; s/name: app/name: more/' "$LAB_DIR/app.yaml" > "$LAB_DIR/more.yaml"
	unchanged perch service apply "$LAB_DIR/more.yaml"
	says 'nothing was changed'
	unchanged perch service delete app
	says 'nothing was changed'
	rm "$LAB_DIR/state"
	mv "$LAB_DIR/away" "$LAB_DIR/state"
	expect wait_for 10 no_alarm applied
	expect [ "$(version app v2 .labels.commit)" = ef56 ]
	expect [ "$(version app v2 .weight)" = 30 ]
	expect grep -q 'made by hand' <<< "$(shown '.services[] | select(.name == "app").text')"
}

test_killed_while_a_service_is_applied_or_deleted_it_is_one_or_none() {
	sed 's/commit: cd34/commit: cd35/' "$LAB_DIR/app.yaml" > "$LAB_DIR/app35.yaml"
	killed_at service/stored perch service apply "$LAB_DIR/app35.yaml"
	expect [ "$(version app v1 .labels.commit)" = cd35 ]
	expect reaches 81 v1
	# connections of what is deleted without a drain are waited for by nobody
	start_long gone -n 10 -i 50 -s 10.1.1.0 -m 10 "$VIP4" 81
	expect wait_for 10 long_ready
	killed_at service/forgotten perch service delete app
	expect knows_no_service app
	expect refused reaches 81 v1
	lab_kill TERM "$LONG"
	expect perch service apply "$LAB_DIR/app.yaml"
}

# Stored, it would keep every perchd from starting.
test_applied_service_that_clashes_never_reaches_the_store() {
	sed 's/:81/:80/; s/name: app/name: clash/' "$LAB_DIR/app.yaml" > "$LAB_DIR/clash.yaml"
	stop_perchd KILL
	PERCH_FAULT=service/stored start_perchd
	unchanged perch service apply "$LAB_DIR/clash.yaml"
	says 'service clash:'
	stop_perchd KILL
	start_perchd
	expect reaches 81 v1
}

drained() {
	perch -j backend show service app | jq -e '.[] | select(.state == "draining")'
}

# What the store forgot with it is there after a boot.
test_delete_that_is_refused_forgets_nothing() {
	expect perch backend drain service app address 10.2.0.11:7000 force
	expect drained
	cp "$LAB_DIR/perch.yaml" "$LAB_DIR/before.yaml"
	sed -i 's/affinity: connection/affinity: clint/' "$LAB_DIR/perch.yaml"
	unchanged perch service delete app
	says 'mend the files first'
	cp "$LAB_DIR/before.yaml" "$LAB_DIR/perch.yaml"
	expect wait_for 10 loaded true
	stop_perchd KILL
	expect in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach
	start_perchd
	expect drained
	expect perch backend resume service app address 10.2.0.11:7000
}

# Its event could not be written down.
test_change_with_a_comment_that_is_no_text_is_refused() {
	expect [ "$(status DELETE '/v1/services/app?comment=%ff')" = 400 ]
	expect [ "$(status DELETE '/v1/services/%ff?comment=good')" = 404 ]
	expect reaches 81 v1
}

test_delete_is_refused_in_a_rollout_unless_forced() {
	app 81 '  - { name: v5, role: canary, backends: ["10.2.0.12:7000"] }
rollout: { steps: [50, 100], interval: 10m }' > "$LAB_DIR/app5.yaml"
	expect perch service apply "$LAB_DIR/app5.yaml"
	expect perch rollout start app
	unchanged perch service delete app
	says 'rollout of .v5. is under way; .*abort app'
	unchanged perch service apply "$LAB_DIR/app.yaml"
	says 'perch rollout abort app'
	expect perch service delete app force comment "not needed"
	expect knows_no_service app
	expect refused reaches 81 v1
	expect [ "$(field "$(last_event '.service == "app" and .kind == "service"')" .comment)" = "not needed" ]
	# gone for good, and a name that comes back begins anew
	stop_perchd KILL
	start_perchd
	expect knows_no_service app
	sed 's/v1,/v9,/' "$LAB_DIR/app.yaml" > "$LAB_DIR/app9.yaml"
	expect perch service apply "$LAB_DIR/app9.yaml"
	expect [ "$(version app v9 .role)" = stable ]
}

test_delete_with_drain_lets_connections_end() {
	start_long leave -n 100 -i 50 -s 10.1.1.0 -m 100 "$VIP4" 81
	expect wait_for 10 long_ready
	expect perch service delete app drain 20s
	expect [ "$(field "$(perch -j service show app)" '.[0].phase')" = Leaving ]
	expect refused reaches 81 v1
	unchanged perch service delete app
	says 'leaving already'
	sleep 0.5
	expect [ "$(field "$(long_state)" '.open')" = 100 ]
	lab_kill TERM "$LONG"
	expect wait_for 10 knows_no_service app
}

run test_applied_service_serves_beside_the_files test_json_body_and_stdin_are_taken_too \
	test_services_of_files_are_changed_in_files_alone test_mistakes_in_what_is_applied_change_nothing \
	test_versions_are_added_with_labels_and_taken_out test_labels_are_in_the_events_of_a_rollout \
	test_applied_service_survives_restarts_with_its_state test_file_that_names_an_applied_service_is_refused \
	test_included_files_are_watched_as_they_come_change_and_go test_swapped_link_of_a_configmap_is_seen \
	test_list_of_addresses_is_watched_too \
	test_files_that_do_not_load_are_named_to_who_applies_a_service \
	test_applied_service_outlives_the_state_directory test_applied_text_is_taken_back_from_a_store_that_returns \
	test_killed_while_a_service_is_applied_or_deleted_it_is_one_or_none \
	test_applied_service_that_clashes_never_reaches_the_store test_delete_that_is_refused_forgets_nothing \
	test_change_with_a_comment_that_is_no_text_is_refused \
	test_delete_is_refused_in_a_rollout_unless_forced test_delete_with_drain_lets_connections_end
finish
