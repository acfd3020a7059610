# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
# bash completion for viommu(1): commands, options, their keys and values, file names.

# The keys of an option's argument, as "key=" or "key=VALUE" or plain words; $2 is what stands before the one to
# complete.
_viommu_keys()
{
	case $1 in
	--memory) echo 'size= hugepages=on hugepages=off hugepage-size=2M hugepage-size=1G file=' ;;
	--iommu)
		case $2 in
		'') echo 'virtio intel none' ;;
		intel,*)
			echo 'aw-bits=39 aw-bits=48 aw-bits=57 input-bits= intremap=on intremap=off eim=on eim=off
				caching-mode=on caching-mode=off device-iotlb=on device-iotlb=off scalable=on
				scalable=off poll=off poll=auto poll=always'
			;;
		virtio,*)
			echo 'bypass=on bypass=off bypass=legacy input-bits= granule=4K granule=64K page-size-mask=
				resv= poll=off poll=auto poll=always'
			;;
		esac
		;;
	--disk)
		echo 'path= vhost-user= isolate=on isolate=off shared=on shared=off readonly=on readonly=off queues=
			indirect=on indirect=off poll=off poll=auto poll=always iommu=on iommu=off ats=on ats=off addr='
		;;
	--net)
		echo 'tap= vhost=on vhost=off vhost-user= isolate=on isolate=off shared=on shared=off mac= queues=
			indirect=on indirect=off poll=off poll=auto poll=always iommu=on iommu=off ats=on ats=off addr='
		;;
	--rng) echo 'iommu=on iommu=off ats=on ats=off addr=' ;;
	--test-device) echo 'edu iommu=on iommu=off ats=on ats=off addr=' ;;
	--serial) echo 'stdio none file=' ;;
	esac
}

_viommu_taps()
{
	local flags
	for flags in /sys/class/net/*/tun_flags; do
		[ -e "$flags" ] && basename "$(dirname "$flags")"
	done
}

# Candidates for one key's value: $1 is "key=", $2 what is typed of the value.
_viommu_value()
{
	case $1 in
	path= | file= | vhost-user=) compgen -f -- "$2" ;;
	tap=) compgen -W "$(_viommu_taps)" -- "$2" ;;
	queues=) compgen -W '1 2 3 4 5 6 7 8' -- "$2" ;;
	esac
}

# An argument of the form "word,key=value,...": the last element is completed, what stands before it is kept.
_viommu_list()
{
	local option=$1 typed=$2 before='' last candidate
	last=${typed##*,}
	[ "$last" = "$typed" ] || before=${typed%,*},
	if [[ $last == *=* ]]; then
		while IFS= read -r candidate; do
			[ ! -d "$candidate" ] || candidate+=/
			COMPREPLY+=("$before${last%%=*}=$candidate")
		done < <(_viommu_value "${last%%=*}=" "${last#*=}")
	fi
	while IFS= read -r candidate; do
		COMPREPLY+=("$before$candidate")
	done < <(compgen -W "$(_viommu_keys "$option" "$before")" -- "$last")
	# Readline counts "=" as the end of a word and replaces only what follows it.
	if [[ $COMP_WORDBREAKS == *=* && $typed == *=* ]]; then
		local prefix=${typed%"${typed##*=}"} i
		for i in "${!COMPREPLY[@]}"; do
			COMPREPLY[i]=${COMPREPLY[i]#"$prefix"}
		done
	fi
	compopt -o nospace 2>/dev/null
}

# Words that readline has cut at "=" put together again: _viommu_words gets them, _viommu_last the one to complete.
_viommu_join()
{
	local i
	_viommu_words=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		if ((i > 0)) && [[ ${COMP_WORDS[i]} == = || ${COMP_WORDS[i - 1]} == = ]] &&
			[[ ${_viommu_words[-1]} != --*=* ]]; then
			_viommu_words[-1]+=${COMP_WORDS[i]}
		else
			_viommu_words+=("${COMP_WORDS[i]}")
		fi
	done
	_viommu_last=${_viommu_words[-1]}
}

_viommu_files()
{
	compopt -o filenames 2>/dev/null
	mapfile -t COMPREPLY < <(compgen -f -- "$_viommu_last")
}

_viommu_run()
{
	local options='--kernel --initrd --cmdline --cpus --memory --iommu --disk --net --rng --test-device --control
		--serial --no-reboot --help'
	local option=${_viommu_words[-2]%=}
	case $option in
	--kernel | --initrd | --control) _viommu_files ;;
	--cmdline) ;;
	--cpus) mapfile -t COMPREPLY < <(compgen -W '1 2 4 8 16 32 64 128 255' -- "$_viommu_last") ;;
	--memory | --iommu | --disk | --net | --rng | --test-device | --serial)
		_viommu_list "$option" "$_viommu_last"
		;;
	*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$_viommu_last") ;;
	esac
}

# A socket first, then a command.
_viommu_ctl()
{
	local words='info stats faults stop --json --help' word given=0
	for word in "${_viommu_words[@]:2:${#_viommu_words[@]}-3}"; do
		[[ $word == -* ]] || given=$((given + 1))
	done
	if ((given == 0)) && [[ $_viommu_last != -* ]]; then
		_viommu_files
	else
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$_viommu_last")
	fi
}

_viommu()
{
	local _viommu_words _viommu_last
	COMPREPLY=()
	_viommu_join
	if ((${#_viommu_words[@]} == 2)); then
		mapfile -t COMPREPLY < <(compgen -W 'run ctl doctor bench help' -- "$_viommu_last")
		return
	fi
	case ${_viommu_words[1]} in
	run) _viommu_run ;;
	ctl) _viommu_ctl ;;
	doctor) mapfile -t COMPREPLY < <(compgen -W '--json --help' -- "$_viommu_last") ;;
	bench)
		local words='translate map walk iotlb --json --json= --help'
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$_viommu_last")
		;;
	esac
}

complete -F _viommu viommu
