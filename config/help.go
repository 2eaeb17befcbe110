package config

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

const helpNotes = `Every flag is also a variable: --history-events is $BELFRY_HISTORY_EVENTS. The flag wins.
In a file (--config) it is events in the group history. Only the file can have API keys.
Durations are written as 90s, 10m or 1h30m. Sizes are in bytes. Commas separate lists.`

// printHelp shows the broker's settings with their defaults, one in each line.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	serve := ctx.Model.DefaultCmd
	if selected := ctx.Selected(); selected != nil && selected != serve {
		for _, flag := range selected.Flags {
			// It accepts every setting; these are the relevant ones.
			flag.Hidden = selected.Path() == tokenCheck && flag.Name != fileFlag && !strings.HasPrefix(flag.Name, "jwt-")
		}
		return kong.DefaultHelpPrinter(options, ctx)
	}
	var out strings.Builder
	row := func(left, right string) { fmt.Fprintf(&out, "  %-30s  %s\n", left, right) }

	fmt.Fprintf(&out, "%s\n\nUsage: belfry [<command>] [flags]\n\nCommands\n", ctx.Model.Help)
	for _, command := range ctx.Model.Leaves(true) {
		row(command.Path(), command.Help)
	}
	row("-h, --help", "Print this.")
	row("--version", "Print the version.")
	fmt.Fprintf(&out, "\n%s\n", helpNotes)
	group := ""
	for _, flag := range serve.Flags {
		if flag.Group.Title != group {
			group = flag.Group.Title
			fmt.Fprintf(&out, "\n%s\n", group)
		}
		value := "=" + cmp.Or(flag.PlaceHolder, flag.Default)
		if flag.IsBool() {
			value = ""
		}
		row("--"+flag.Name+value, flag.Help)
	}
	_, err := fmt.Fprint(ctx.Stdout, out.String())
	return err
}
