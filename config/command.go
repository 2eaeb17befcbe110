package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
)

// ErrDone says that the answer (help, version) was printed and there is nothing to run: exit with 0.
var ErrDone = errors.New("done")

// commandLine is every command and what it takes. A new one is a field here and a case in ParseCommand.
type commandLine struct {
	Version kong.VersionFlag `help:"Print the version."`

	Serve Config `cmd:"" default:"withargs" help:"Run the broker; also what happens without a command."`
	Key   struct {
		Create KeyCreate `cmd:"" help:"Make an API key."`
	} `cmd:"" help:"Make API keys."`
	Token struct {
		Create TokenCreate `cmd:"" help:"Make a token, for tests and small set-ups."`
		Check  TokenCheck  `cmd:"" help:"Say what the broker would make of a token, and why."`
	} `cmd:"" help:"Make and check tokens (JWTs)."`
}

// The commands whose flags are the settings.
const (
	serve      = "serve"
	tokenCheck = "token check"
)

// ParseCommand returns what the command line asks for: a [Config] to serve with, or another command's struct. It is told
// wrong input, and asked for settings, like [Parse].
func ParseCommand(args, environ []string, version string, stdout, stderr io.Writer) (any, error) {
	var cli commandLine
	in := input{environ: ours(environ), wrong: map[string]bool{}}
	done := false
	parser, err := newParser(&cli, &in,
		kong.Vars{"version": "belfry " + version},
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { done = true }),
	)
	if err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(args)
	if done {
		return nil, ErrDone
	}
	if err != nil {
		in.problems = append(in.problems, withoutTokens(err))
		return nil, in.err()
	}
	switch parsed.Command() {
	case serve:
		in.settings(&cli.Serve, parsed)
		return cli.Serve, in.err()
	case "key create":
		return cli.Key.Create, in.err()
	case "token create":
		in.signingKey(&cli.Token.Create)
		return cli.Token.Create, in.err()
	case tokenCheck, tokenCheck + " <token>":
		in.settings(&cli.Token.Check.Config, parsed)
		return cli.Token.Check, in.err()
	}
	return nil, fmt.Errorf("nothing runs %s", parsed.Command()) // a command without its case
}

func newParser(cli *commandLine, in *input, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(cli, append(options,
		kong.Name("belfry"),
		kong.Description("A real-time event broker: backends publish over HTTP, browsers receive over WebSocket."),
		kong.Help(printHelp),
		kong.Resolvers(kong.ResolverFunc(in.resolve)),
		kong.TypeMapper(reflect.TypeFor[string](), in),
		kong.TypeMapper(reflect.TypeFor[[]string](), in),
		kong.TypeMapper(reflect.TypeFor[int](), in),
		kong.TypeMapper(reflect.TypeFor[bool](), switches{in}),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), in),
	)...)
}

// err is all that is wrong.
func (in *input) err() error {
	if in.more > 0 {
		in.problems = append(in.problems, fmt.Errorf("and %d more", in.more))
	}
	return errors.Join(in.problems...)
}
