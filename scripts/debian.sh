# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# Packages of this Debian release, of its backports suite, or of another suite at the same sites, downloaded without
# touching apt's own state and without any right but writing to one directory. Whoever sources this has $work, an empty
# directory, and says die(). Where $archived is set, suites may be older than their files say they are good for: nobody
# signs those of old releases anew. Signatures are checked all the same.

# The configured source with the site $1, in its own format and with its own keyring, for suite $2 only.
source_for()
{
	local list parts file
	eval "$(apt-config shell list Dir::Etc::sourcelist/f parts Dir::Etc::sourceparts/d)"
	for file in "$list" "$parts"/*.list; do
		[[ -r $file ]] && line_source "$1" "$2" "$file" && return
	done >"$work/site.list"
	for file in "$parts"/*.sources; do
		[[ -r $file ]] && stanza_source "$1" "$2" "$file" && return
	done >"$work/site.sources"
	return 1
}

line_source()
{
	awk -v site="$1" -v suite="$2" '
		$1 == "deb" {
			uri = 2
			if ($2 ~ /^\[/)
				while ($(uri++) !~ /\]$/ && uri < NF)
					;
			plain = $uri
			sub(/\/+$/, "", plain)
			if (plain != site)
				next
			line = $1
			for (i = 2; i <= uri; i++)
				line = line " " $i
			print line, suite, "main"
			found = 1
			exit
		}
		END { exit !found }' "$3"
}

stanza_source()
{
	awk -v site="$1" -v suite="$2" '
		function flush() {
			if (hit && stanza !~ /(^|\n)Enabled: *no/) {
				printf "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n%s", site, suite, kept
				found = 1
				exit
			}
			stanza = kept = ""
			hit = 0
		}
		/^#/ { next }
		/^[ \t]*$/ { flush(); next }
		{ stanza = stanza $0 "\n" }
		/^[^ \t]/ { field = tolower($1) }
		field == "uris:" {
			for (i = 1; i <= NF; i++) {
				sub(/\/+$/, "", $i)
				hit = hit || $i == site
			}
		}
		field !~ /^(types|uris|suites|components|enabled):$/ { kept = kept $0 "\n" }
		END { if (!found) flush(); exit !found }' "$3"
}

# Sites that may carry the release, those known to be Debian first. Before the first "apt-get update" nothing is known
# but what the sources say.
sites()
{
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(SITE)|$(ORIGIN)|$(CODENAME)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' |
		awk -F '|' -v release="$release" '
			$5 == "main" && ($3 == release || $4 ~ "^(" release "|stable|oldstable|testing)$") {
				print ($2 == "Debian" ? 0 : 1), $1
			}' |
		sort -u | cut -d ' ' -f 2
}

private_apt()
{
	local tool=$1
	shift
	"$tool" -c "$work/apt.conf" -o "Dir::Etc::sourcelist=$work/site.list" -o "Dir::Etc::sourceparts=$work/parts" \
		-o "Dir::State=$work/state" -o "Dir::State::Lists=$work/state/lists" \
		-o "Dir::State::status=$work/status" \
		-o "Dir::Cache=$work/cache" -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=3 \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
		${archived:+-o Acquire::Check-Valid-Until=false} "$@"
}

# open_suite SITE SUITE: after it, private_apt sees that suite and nothing else.
open_suite()
{
	rm -rf "$work"/{state,cache,parts,site.list,site.sources}
	mkdir -p "$work"/{state/lists/partial,cache/archives/partial,parts}
	source_for "$1" "$2" || return 1
	if [[ -e $work/site.sources ]]; then
		mv "$work/site.sources" "$work/parts/"
	fi
	private_apt apt-get update -qq >>"$work/log" 2>&1
}

# download_packages NAME...: into $work
download_packages()
{
	local size
	size=$(private_apt apt-cache show --no-all-versions "$@" 2>/dev/null |
		awk '$1 == "Size:" { sum += $2 } END { print int(sum / 1e6) }')
	echo "scripts/${0##*/}: downloading $* ($size MB)" >&2
	(cd "$work" && private_apt apt-get download -qq "$@") >>"$work/log" 2>&1
}

# try_suites FUNCTION [SUITE]...: calls it with each suite open until it succeeds. Without a SUITE those of this
# release, backports first.
try_suites()
{
	local release site suite function=$1
	shift
	# shellcheck disable=SC1091
	release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[[ -n $release ]] || die 'this system has no release name: not a Debian release'
	(($#)) || set -- "$release-backports" "$release"
	for suite; do
		for site in $(sites); do
			if open_suite "$site" "$suite" && "$function"; then
				return
			fi
		done
	done
	die "no configured source offers it in $*: $(grep -h '^E:' "$work/log" 2>/dev/null | head -n 1)"
}

unpack_packages()
{
	local file
	for file in "$work"/*.deb; do
		dpkg-deb -x "$file" "$1" || die "cannot unpack ${file##*/}"
	done
}

# fetch_into DIR FUNCTION: while nobody else does, unless DIR/version is there already. FUNCTION leaves the contents in
# $work/new; a fetch that is killed leaves no DIR.
fetch_into()
{
	local dir=$1
	[[ ! -e $dir/version ]] || return 0
	mkdir -p "$(dirname "$dir")"
	exec 9>"$dir.lock"
	flock 9
	if [[ ! -e $dir/version ]]; then
		# What a killed fetch has left; nobody else writes there while the lock is held.
		work=$dir.partial
		rm -rf "$work"
		trap 'rm -rf "$work"' EXIT
		mkdir -p "$work/new"
		: >"$work/status"
		printf '#clear APT::Update::%s;\n' Pre-Invoke Post-Invoke Post-Invoke-Success >"$work/apt.conf"
		"$2"
		mv -T "$work/new" "$dir" || die "cannot write $dir"
	fi
	flock -u 9
}
