extension CompletionScript {
    static func bash(_ program: ProgramSpecification) -> String {
        let all = flags(of: program) + program.subcommands.flatMap { flags(of: $0) }
        func pattern(_ wanted: Values) -> String? {
            var names: [String] = []
            for flag in all where flag.value != nil && Values(flag.value) == wanted {
                if !names.contains(flag.name) { names.append(flag.name) }
            }
            return names.isEmpty ? nil : names.joined(separator: "|")
        }
        var cases = ""
        for (values, action) in [
            (Values.files, "files"), (.folders, "folders"), (.none, "nothing"),
        ] {
            guard let names = pattern(values) else { continue }
            cases += "        \(names)) kind=\(action) ;;\n"
        }
        var commands = ""
        for subcommand in program.subcommands {
            let words = flags(of: subcommand).map(\.name).joined(separator: " ")
            let takesFiles = subcommand.operands.contains { Values($0.name) == .files }
            commands +=
                "        \(subcommand.name)) words=\(quoted(words)) operands=\(takesFiles ? "files" : "nothing") ;;\n"
        }
        let words = flags(of: program).map(\.name) + program.subcommands.map(\.name)
        return """
            # bash completion for \(program.name)
            \(function(program))() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
                local command='' words='' operands=nothing kind=words
                if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then command=${COMP_WORDS[1]}; fi
                case $command in
            \(commands)        *) words=\(quoted(words.joined(separator: " "))) ;;
                esac
                case $previous in
            \(cases)    esac
                if [[ $kind == words && $current != -* && $operands == files ]]; then kind=files; fi
                COMPREPLY=()
                case $kind in
                    words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
                    files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
                    folders) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
                esac
            }
            complete -F \(function(program)) \(program.name)

            """
    }
}
