"""The subcommand `completion`: a script that completes the words of `redoubt` in bash or zsh."""

import argparse
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redoubt.cli import Parser

EPILOG = """\
The script knows the subcommands, their options and the choices of these; anything else is completed as a file.

examples:
  source <(redoubt completion bash)                              this shell
  redoubt completion bash > ~/.local/share/bash-completion/completions/redoubt
  source <(redoubt completion zsh)                               in ~/.zshrc, after compinit
"""
# Written once for both: zsh runs bash's completions after `bashcompinit`.
SCRIPT = """\
_redoubt() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=""
    if [ "$COMP_CWORD" -eq 1 ]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{choices}
            *)
                case "${{COMP_WORDS[1]}}" in
{options}
                esac
                case "$word" in -*) ;; *) words="$first" ;; esac ;;
        esac
    fi
    COMPREPLY=( $(compgen -W "$words" -- "$word") )
}}
complete -o default -F _redoubt redoubt
"""
ZSH = "autoload -U +X bashcompinit && bashcompinit\n"


def add_to(commands: "argparse._SubParsersAction[Parser]") -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "completion",
        help="print a script that completes this command's words in bash or zsh",
        description="Print a script for a shell's completion.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda args: run(args, commands))
    parser.add_argument("shell", choices=("bash", "zsh"), help="for which shell")


def run(args: argparse.Namespace, commands: "argparse._SubParsersAction[Parser]") -> int:
    """Print the script."""
    from redoubt.scenarios.catalogue import CATALOGUE
    from redoubt.studies.catalogue import NAMES

    print(
        (ZSH if args.shell == "zsh" else "") + script(commands.choices, {"attack": CATALOGUE, "study": NAMES}), end=""
    )
    return 0


def script(commands: "Mapping[str, Parser]", names: Mapping[str, Iterable[str]]) -> str:
    """The script for a command whose subcommands have these parsers.

    Args:
        commands: parsers by name.
        names: of some subcommands the words that their first argument may be, which no parser knows.
    """
    choices = [line for name, parser in commands.items() for line in _choices(name, parser)]
    options = []
    for name, parser in commands.items():
        first = [*_first(parser), *names.get(name, ())]
        options.append(f'                    {name}) words="{" ".join(_options(parser))}" first="{" ".join(first)}" ;;')
    return SCRIPT.format(commands=" ".join(commands), choices="\n".join(choices), options="\n".join(options))


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings if option.startswith("--")]


def _choices(name: str, parser: argparse.ArgumentParser) -> Iterator[str]:
    """A line per option that takes one of a few words."""
    for action in parser._actions:
        words = _words(action)
        if words and action.option_strings:
            cases = "|".join(f'"{name} {option}"' for option in action.option_strings)
            yield f'            {cases}) words="{" ".join(words)}" ;;'


def _first(parser: argparse.ArgumentParser) -> list[str]:
    """The words of a positional argument that has choices."""
    return [word for action in parser._actions if not action.option_strings for word in _words(action)]


def _words(action: argparse.Action) -> list[str]:
    """The choices that are words: what a shell would have to quote, such as a comma or a space, is not completed."""
    return [str(choice) for choice in action.choices or () if re.fullmatch(r"[\w-]+", str(choice))]
