# bash completion for httoken                            -*- shell-script -*-
# Copyright (C) 2026 the mod_authn_token authors
# SPDX-License-Identifier: Apache-2.0
#
# Commands, and the options that the command at hand takes. No database is
# asked: names and ids are not completed.

_httoken()
{
    local current=${COMP_WORDS[COMP_CWORD]}
    local previous=${COMP_WORDS[COMP_CWORD-1]}
    local commands="init create list show rotate revoke verify purge import"
    local options="-d --driver -p --params -f --file --json --prefix -h --help"
    local command='' i

    COMPREPLY=()
    case $previous in
        -d | --driver)
            mapfile -t COMPREPLY < <(compgen -W "pgsql sqlite3" -- "$current")
            return
            ;;
        -f | --file)
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        -p | --params | --prefix | -c | --client | -s | --scope | \
            -e | --lifetime | -n | --networks | --user | --age)
            return
            ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -d | -p | -f | --driver | --params | --file | --prefix) ((i++)) ;;
            -*) ;;
            *)
                command=${COMP_WORDS[i]}
                break
                ;;
        esac
    done
    case $command in
        '') options="$commands $options" ;;
        init) options+=" --print" ;;
        create | import) options+=" -c --client -s --scope -e --lifetime -n --networks" ;;
        revoke) options+=" --user" ;;
        purge) options+=" --age" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
}

complete -F _httoken httoken
