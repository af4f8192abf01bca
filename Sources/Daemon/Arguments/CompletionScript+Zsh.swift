extension CompletionScript {
    static func zsh(_ program: ProgramSpecification) -> String {
        var commands = ""
        var cases = ""
        for subcommand in program.subcommands {
            let summary = subcommand.summary.replacing(":", with: "\\:")
            commands += "        \(quoted("\(subcommand.name):\(summary)"))\n"
            let lines = flags(of: subcommand).map(zsh) + subcommand.operands.map(zsh)
            cases += "        \(subcommand.name))\n            _arguments \\\n"
            cases += lines.map { "                \($0)" }.joined(separator: " \\\n") + " ;;\n"
        }
        let own = flags(of: program).map { "                \(zsh($0))" }.joined(separator: " \\\n")
        return """
            #compdef \(program.name)
            \(function(program))() {
                local -a commands=(
            \(commands)    )
                if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
                    _describe command commands
                    return
                fi
                if (( CURRENT > 2 )) && [[ $words[2] != -* ]]; then
                    shift words
                    (( CURRENT-- ))
                else
                    words[1]=''
                fi
                case $words[1] in
            \(cases)        *)
                        _arguments \\
            \(own) ;;
                esac
            }
            if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
                \(function(program)) "$@"
            else
                compdef \(function(program)) \(program.name)
            fi

            """
    }

    private static func zsh(_ flag: FlagSpecification) -> String {
        let help = escaped(flag.help)
        let head = flag.repeats ? "*" : ""
        guard let value = flag.value else { return quoted("\(head)\(flag.name)[\(help)]") }
        return quoted("\(head)\(flag.name)=[\(help)]:\(escaped(value)):\(action(flag.value))")
    }

    private static func zsh(_ operand: OperandSpecification) -> String {
        let colons = operand.isOptional ? "::" : ":"
        return quoted("\(colons)\(escaped(operand.name)):\(action(operand.name))")
    }

    private static func action(_ value: String?) -> String {
        switch Values(value) {
        case .files: "_files"
        case .folders: "_files -/"
        case .none: " "
        }
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            if "\\[]:".contains(character) { result += "\\" }
            result.append(character)
        }
        return result
    }
}
