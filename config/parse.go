package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// ErrDone says that the answer (help, version) was printed and there is nothing to run: exit with 0.
var ErrDone = errors.New("done")

type commandLine struct {
	Version kong.VersionFlag `help:"Print the version."`

	Serve Config `cmd:"" default:"withargs" help:"Run the broker; also what happens without a command."`
}

// Parse reads the settings from the environment (in the form of os.Environ) and from the arguments that follow the
// program's name. An error has one line for each thing that is wrong. An empty variable counts as unset.
func Parse(args, environ []string, version string, stdout, stderr io.Writer) (Config, error) {
	var cli commandLine
	in := input{environ: ours(environ), wrong: map[string]bool{}}
	done := false
	parser, err := kong.New(&cli,
		kong.Name("belfry"),
		kong.Description("A real-time event broker: backends publish over HTTP, browsers receive over WebSocket."),
		kong.Vars{"version": "belfry " + version},
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { done = true }),
		kong.Help(printHelp),
		kong.Resolvers(kong.ResolverFunc(in.resolve)),
		kong.TypeMapper(reflect.TypeFor[string](), &in),
		kong.TypeMapper(reflect.TypeFor[[]string](), &in),
		kong.TypeMapper(reflect.TypeFor[int](), &in),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), &in),
	)
	if err != nil {
		return Config{}, err
	}
	parsed, err := parser.Parse(args)
	if done {
		return Config{}, ErrDone
	}
	if err != nil {
		in.problems = append(in.problems, fmt.Errorf("%w (belfry --help lists what there is)", err))
	} else {
		in.conflicts(cli.Serve, parsed)
	}
	if len(in.problems) > 0 {
		return Config{}, errors.Join(in.problems...)
	}
	cli.Serve.PublicURL = strings.TrimRight(cli.Serve.PublicURL, "/")
	for _, flag := range parser.Model.DefaultCmd.Flags {
		delete(in.environ, variable(flag.Name))
	}
	cli.Serve.Unknown = slices.Sorted(maps.Keys(in.environ))
	return cli.Serve, nil
}

// input is what kong reads settings through. It keeps what is wrong instead of stopping at the first of it.
type input struct {
	environ  map[string]string // the BELFRY_* variables
	wrong    map[string]bool   // flags with a problem of their own
	problems []error
}

// sourced is a value that did not come from the command line, and the name by which its source knows it.
type sourced struct{ name, text string }

func (in *input) resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	name := variable(flag.Name)
	text := strings.TrimSpace(in.environ[name])
	if parent.Command == nil || text == "" { // the flags above the commands (--help, --version) are no settings
		return nil, nil
	}
	return sourced{name, text}, nil
}

// Decode makes input a kong.Mapper: it reads one value into one field. It never fails, so that kong goes on.
func (in *input) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	given := sourced{name: "--" + ctx.Value.Name}
	token := ctx.Scan.Peek()
	switch value := token.Value.(type) {
	case sourced:
		given = value
	case string:
		given.text = value
	}
	missing := !token.IsValue() && !negative(given.text)
	if missing {
		in.problem(ctx.Value.Name, "%s needs a value: want %s", given.name, want(ctx.Value))
		return nil
	}
	ctx.Scan.Pop()
	if !read(given.text, ctx.Value.Tag, target) {
		in.problem(ctx.Value.Name, "%s=%.100q: want %s", given.name, given.text, want(ctx.Value))
	}
	return nil
}

func (in *input) problem(flag, format string, args ...any) {
	in.wrong[flag] = true
	in.problems = append(in.problems, fmt.Errorf(format, args...))
}

// negative tells the number -5 from the flag -h.
func negative(text string) bool {
	return len(text) > 1 && text[0] == '-' && '0' <= text[1] && text[1] <= '9'
}

// conflicts tells which settings are right alone but not together.
func (in *input) conflicts(c Config, parsed *kong.Context) {
	for _, rule := range []struct {
		a, b string
		ok   bool
		want string
	}{
		{"max-message", "max-body", c.MaxMessage <= c.MaxBody, "max_message <= max_body"},
		{"client-queue-bytes", "max-message", c.ClientQueueBytes >= 2*c.MaxMessage, "client_queue_bytes >= 2 * max_message"},
		{"default-topics", "max-subscriptions", len(c.DefaultTopics) <= c.MaxSubscriptions, "at most max_subscriptions topics"},
	} {
		if !rule.ok && !in.wrong[rule.a] && !in.wrong[rule.b] {
			in.problem(rule.a, "%s with %s: want %s", written(rule.a, parsed), written(rule.b, parsed), rule.want)
		}
	}
}

// written is a setting and its value as the user wrote them, if the user did.
func written(name string, parsed *kong.Context) string {
	for _, step := range parsed.Path {
		if step.Flag == nil || step.Flag.Name != name {
			continue
		}
		if step.Resolved {
			return variable(name) + "=" + text(step.Flag)
		}
		return "--" + name + "=" + text(step.Flag)
	}
	for _, flag := range parsed.Flags() {
		if flag.Name == name {
			return strings.ReplaceAll(name, "-", "_") + "=" + text(flag) + " (the default)"
		}
	}
	return name
}

func text(flag *kong.Flag) string {
	if list, ok := flag.Target.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(flag.Target)
}

const prefix = "BELFRY_"

// variable is the environment's name for a flag.
func variable(flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func ours(environ []string) map[string]string {
	found := map[string]string{}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix) {
			found[name] = value
		}
	}
	return found
}
