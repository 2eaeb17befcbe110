package config

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Completion prints a script that makes a shell complete commands and flags.
type Completion struct {
	Shell string `arg:"" form:"bash|zsh|fish" help:"bash, zsh or fish."`

	script string
}

// Help has examples, as kong asks for them.
func (Completion) Help() string {
	return `
    source <(belfry completion bash)
    source <(belfry completion zsh)
    belfry completion fish > ~/.config/fish/completions/belfry.fish`
}

// Run prints the script.
func (c Completion) Run(stdout io.Writer) error {
	_, err := io.WriteString(stdout, c.script)
	return err
}

// complete writes the script from the parser's model.
func (c *Completion) complete(model *kong.Application) {
	all := nodes(model)
	var paths []string
	var cases strings.Builder
	for _, n := range all {
		var flags, files []string
		for _, flag := range n.flags {
			flags = append(flags, "--"+flag.Name)
			if flag.PlaceHolder == "FILE" {
				files = append(files, "--"+flag.Name)
			}
		}
		if n.path != "" {
			paths = append(paths, "'"+n.path+"'")
		}
		fmt.Fprintf(&cases, "  '%s') choice='%s' flags='%s' files=' %s ' ;;\n",
			n.path, strings.Join(n.words, " "), strings.Join(flags, " "), strings.Join(files, " "))
	}
	known := strings.Join(paths, " | ")
	switch c.Shell {
	case "bash":
		c.script = fmt.Sprintf(bashScript, known, cases.String())
	case "zsh":
		c.script = fmt.Sprintf(zshScript, known, cases.String())
	case "fish":
		c.script = fishScript(all)
	}
}

// A node is a place on the command line: a command or a group of commands, and the words
// that may follow.
type node struct {
	path  string // its name without the program's; "": the beginning
	words []string
	flags []*kong.Flag
}

// nodes returns all places; the first is the beginning.
func nodes(model *kong.Application) (all []node) {
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		at := node{path: path, flags: slices.Concat([]*kong.Flag{model.HelpFlag}, n.Flags)}
		if path == "" {
			at.flags = slices.Concat(n.Flags, model.DefaultCmd.Flags)
		}
		for _, child := range n.Children {
			at.words = append(at.words, child.Name)
		}
		for _, argument := range n.Positional {
			if choice := argument.Tag.Get("form"); strings.Contains(choice, "|") {
				at.words = append(at.words, strings.Split(choice, "|")...)
			}
		}
		all = append(all, at)
		for _, child := range n.Children {
			walk(child, strings.TrimSpace(path+" "+child.Name))
		}
	}
	walk(model.Node, "")
	return all
}

// bashScript is given the commands and the words that may follow each.
const bashScript = `_belfry() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at='' i choice flags files
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${at:+$at }${COMP_WORDS[i]}" in
    %s) at="${at:+$at }${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at" in
%s  esac
  if [[ $files == *" $prev "* ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  elif [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  else
    COMPREPLY=($(compgen -W "$choice" -- "$cur"))
  fi
}
complete -o filenames -F _belfry belfry
`

// zshScript is given the same.
const zshScript = `#compdef belfry
_belfry() {
  local cur=${words[CURRENT]} prev=${words[CURRENT-1]} at='' word choice flags files
  for word in "${(@)words[2,CURRENT-1]}"; do
    case "${at:+$at }$word" in
    (%s) at="${at:+$at }$word" ;;
    esac
  done
  case "$at" in
%s  esac
  if [[ $files == *" $prev "* ]]; then
    _files
  elif [[ $cur == -* ]]; then
    compadd -- ${=flags}
  else
    compadd -- ${=choice}
  fi
}
if [[ $funcstack[1] == _belfry ]]; then _belfry "$@"; else compdef _belfry belfry; fi
`

// fishScript has a line for each word and flag.
func fishScript(all []node) string {
	var out strings.Builder
	out.WriteString("complete -c belfry -f\n")
	for _, n := range all {
		where := "__fish_use_subcommand"
		if n.path != "" {
			where = "__fish_seen_subcommand_from " + strings.ReplaceAll(n.path, " ", "; and __fish_seen_subcommand_from ")
		}
		if len(n.words) > 0 {
			fmt.Fprintf(&out, "complete -c belfry -n '%s; and not __fish_seen_subcommand_from %[2]s' -a '%[2]s'\n", where, strings.Join(n.words, " "))
		}
		for _, flag := range n.flags {
			value := " -x"
			switch {
			case flag.IsBool():
				value = ""
			case flag.PlaceHolder == "FILE":
				value = " -rF"
			}
			help := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(flag.Help)
			fmt.Fprintf(&out, "complete -c belfry -n '%s' -l %s%s -d '%s'\n", where, flag.Name, value, help)
		}
	}
	return out.String()
}
