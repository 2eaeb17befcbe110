package config

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// ErrDone says that help or the version was printed and there is nothing to run: exit with
// 0.
var ErrDone = errors.New("done")

// commandLine has every command and its flags. A new command is a field here and a case in
// ParseCommand.
type commandLine struct {
	Version kong.VersionFlag `help:"Print the version."`

	Serve Config `cmd:"" default:"withargs" help:"Run the broker. It is also run without a command."`
	Key   struct {
		Create KeyCreate `cmd:"" help:"Make an API key."`
	} `cmd:"" help:"Make API keys."`
	Token struct {
		Create TokenCreate `cmd:"" help:"Make a token, for tests and small set-ups."`
		Check  TokenCheck  `cmd:"" help:"Check a token as the broker does, and print each check."`
	} `cmd:"" help:"Make and check tokens (JWTs)."`
	Log struct {
		Verify  LogVerify  `cmd:"" help:"Read all of a log on the disk, and report whether it is whole."`
		Dump    LogDump    `cmd:"" help:"Print the events of a log on the disk."`
		Compact LogCompact `cmd:"" help:"Make the file of a log smaller."`
		Renew   LogRenew   `cmd:"" help:"Give a log that was put back from an older copy another epoch."`
	} `cmd:"" help:"Look after a log on the disk while no broker uses it."`

	Publish        Publish    `cmd:"" help:"Publish one event or many."`
	Subscribe      Subscribe  `cmd:"" help:"Print events as they come."`
	Health         Health     `cmd:"" help:"Check the health of the broker."`
	Top            Top        `cmd:"" help:"Show the broker's rates and sizes."`
	Bench          Bench      `cmd:"" help:"Measure the broker."`
	VersionCommand Version    `cmd:"" name:"version" help:"Print the version, the revision and the platform."`
	Completion     Completion `cmd:"" help:"Print a script that makes a shell complete commands."`
}

// The commands whose flags are the settings.
const (
	serve      = "serve"
	tokenCheck = "token check"
)

// ParseCommand returns the parsed command line: a [Config] to serve with, or another
// command's struct. It reports errors and reads settings like [Parse].
func ParseCommand(args, environ []string, version string, stdout, stderr io.Writer) (any, error) {
	in := input{environ: ours(environ), wrong: map[string]bool{}}
	return in.parse(args, version, stdout, stderr)
}

func (in *input) parse(args []string, version string, stdout, stderr io.Writer) (any, error) {
	var cli commandLine
	done := false
	parser, err := newParser(&cli, in,
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
	command, _, _ := strings.Cut(parsed.Command(), " <") // without the names of arguments
	switch command {
	case serve:
		in.settings(&cli.Serve, parsed)
		return cli.Serve, in.err()
	case "key create":
		return cli.Key.Create, in.err()
	case "token create":
		in.signingKey(&cli.Token.Create)
		return cli.Token.Create, in.err()
	case tokenCheck:
		in.settings(&cli.Token.Check.Config, parsed)
		return cli.Token.Check, in.err()
	}
	return in.client(&cli, command, parser.Model)
}

// client returns the parsed command of a client.
func (in *input) client(cli *commandLine, command string, model *kong.Application) (any, error) {
	switch command {
	case "publish":
		in.publish(&cli.Publish)
		return cli.Publish, in.err()
	case "subscribe":
		in.subscribe(&cli.Subscribe)
		return cli.Subscribe, in.err()
	case "health":
		in.health(&cli.Health)
		return cli.Health, in.err()
	case "top":
		in.broker(&cli.Top.Broker)
		return cli.Top, in.err()
	case "bench":
		in.bench(&cli.Bench)
		return cli.Bench, in.err()
	case "log verify":
		return cli.Log.Verify, in.err()
	case "log dump":
		return cli.Log.Dump, in.err()
	case "log compact":
		return cli.Log.Compact, in.err()
	case "log renew":
		return cli.Log.Renew, in.err()
	case "version":
		return cli.VersionCommand, in.err()
	case "completion":
		cli.Completion.complete(model)
		return cli.Completion, in.err()
	}
	return nil, fmt.Errorf("nothing runs %s", command) // a command is missing above
}

func newParser(cli *commandLine, in *input, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(cli, append(options,
		kong.Name("belfry"),
		kong.Description("A real-time event broker: backends publish over HTTP, browsers receive over WebSocket."),
		kong.Help(printHelp),
		kong.Resolvers(kong.ResolverFunc(in.resolve)),
		kong.TypeMapper(reflect.TypeFor[string](), in),
		kong.TypeMapper(reflect.TypeFor[[]string](), in),
		kong.TypeMapper(reflect.TypeFor[Words](), words{in}),
		kong.TypeMapper(reflect.TypeFor[*string](), verbatim{in}),
		kong.TypeMapper(reflect.TypeFor[int](), in),
		kong.TypeMapper(reflect.TypeFor[bool](), switches{in}),
		kong.TypeMapper(reflect.TypeFor[time.Duration](), in),
	)...)
}

// err returns all problems as one error.
func (in *input) err() error {
	if in.more > 0 {
		in.problems = append(in.problems, fmt.Errorf("and %d more", in.more))
	}
	return errors.Join(in.problems...)
}
