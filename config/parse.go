package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Parse reads the settings from the arguments after the program's name, from the
// environment (as of os.Environ), and from the file that one of them names. An error has
// one line for each problem. An empty variable counts as unset.
func Parse(args, environ []string, version string, stdout, stderr io.Writer) (Config, error) {
	return settingsOf(ParseCommand(args, environ, version, stdout, stderr))
}

// settingsOf returns the settings for a command that must be serve.
func settingsOf(command any, err error) (Config, error) {
	if err != nil {
		return Config{}, err
	}
	settings, ok := command.(Config)
	if !ok {
		return Config{}, errors.New("want the settings of serve, not another command")
	}
	return settings, nil
}

// settings completes the settings of serve.
func (in *input) settings(c *Config, parsed *kong.Context) {
	if !in.file.unread {
		in.conflicts(*c, parsed)
		in.tokenKeys(&c.JWT, parsed)
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	c.Keys = in.file.keys
	c.Warnings = in.file.warnings
	for _, flag := range parsed.Model.DefaultCmd.Flags {
		delete(in.environ, variable(flag.Name))
	}
	delete(in.environ, variable(urlFlag)) // belongs to other commands
	delete(in.environ, keyVariable)
	c.Unknown = slices.Sorted(maps.Keys(in.environ))
}

// input is kong's source of settings. It collects all problems instead of stopping at the
// first.
type input struct {
	environ  map[string]string // the BELFRY_* variables
	again    bool              // the files have been read before (a reload)
	wrong    map[string]bool   // flags with a problem already reported
	problems []error
	more     int   // problems beyond maxProblems
	file     *file // read when the first flag is resolved
}

// sourced is a value of the environment and the variable's name.
type sourced struct{ name, text string }

// resolve returns the value of a flag that is not on the command line.
func (in *input) resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if !hasSettings(parent) {
		if text := in.variable(flag.Name); flag.Name == urlFlag && text != "" {
			return sourced{variable(flag.Name), text}, nil
		}
		return nil, nil
	}
	if in.file == nil {
		in.load(ctx)
	}
	if text := in.variable(flag.Name); text != "" {
		return sourced{variable(flag.Name), text}, nil
	}
	if found, ok := in.file.values[flag.Name]; ok {
		return found, nil
	}
	return nil, nil
}

// variable returns the value of a flag's variable.
func (in *input) variable(flag string) string { return strings.TrimSpace(in.environ[variable(flag)]) }

// Decode makes input a kong.Mapper: it reads one value into one field. It never fails, so
// that kong continues.
func (in *input) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	given := sourced{name: "--" + ctx.Value.Name}
	token := ctx.Scan.Peek()
	switch value := token.Value.(type) {
	case fileValue: // checked when the file was read
		ctx.Scan.Pop()
		target.Set(value.value)
		return nil
	case sourced:
		given = value
	case string:
		given.text = value
	}
	if target.Kind() == reflect.Bool && token.Type != kong.FlagValueToken { // --insecure alone
		target.SetBool(true)
		return nil
	}
	missing := !token.IsValue() && !negative(given.text)
	if missing {
		in.problem(ctx.Value.Name, "%s needs a value: want %s", given.name, wantOf(ctx.Value))
		return nil
	}
	ctx.Scan.Pop()
	if !read(given.text, ctx.Value.Tag, target) {
		in.problem(ctx.Value.Name, "%s=%.100q: want %s", given.name, given.text, wantOf(ctx.Value))
	}
	return nil
}

// switches are the flags that need no value.
type switches struct{ *input }

// IsBool makes switches a kong.BoolMapper.
func (switches) IsBool() bool { return true }

// maxProblems bounds the reported problems: a wrong file would have one in each line.
const maxProblems = 100

func (in *input) problem(flag, format string, args ...any) {
	in.wrong[flag] = true
	if len(in.problems) == maxProblems {
		in.more++
		return
	}
	in.problems = append(in.problems, fmt.Errorf(format, args...))
}

// negative tells the number -5 from the flag -h.
func negative(text string) bool {
	return len(text) > 1 && text[0] == '-' && '0' <= text[1] && text[1] <= '9'
}

// rules relate two settings, which are named by their flags.
var rules = []struct {
	a, b string
	ok   func(Config) bool
	want string // for the error
	why  string // for the documentation
}{
	{
		"max-message", "max-body", func(c Config) bool { return c.MaxMessage <= c.MaxBody },
		"max_message <= max_body", "a message is sent in a body",
	},
	{
		"client-queue-bytes", "max-message", func(c Config) bool { return c.ClientQueueBytes >= 2*c.MaxMessage },
		"client_queue_bytes >= 2 * max_message", "one large message must not make a client count as slow",
	},
	{
		"tls-cert-file", "tls-key-file", func(c Config) bool { return (c.TLS.CertFile == "") == (c.TLS.KeyFile == "") },
		"both or none", "a certificate is of no use without its key",
	},
	{
		"tls-cert-file", "tls-acme-hosts", func(c Config) bool { return c.TLS.CertFile == "" || len(c.TLS.ACMEHosts) == 0 },
		"one of them", "certificates come from files or from ACME",
	},
	{
		"tls-acme-hosts", "tls-acme-dir", func(c Config) bool { return len(c.TLS.ACMEHosts) == 0 || c.TLS.ACMEDir != "" },
		"a folder to keep certificates in", "without it each start would ask the issuer again, which limits that",
	},
	{
		"default-topics", "max-subscriptions", func(c Config) bool { return len(c.DefaultTopics) <= c.MaxSubscriptions },
		"at most max_subscriptions topics", "a registration that names no topics would be refused",
	},
}

// conflicts reports settings that are valid alone but not together.
func (in *input) conflicts(c Config, parsed *kong.Context) {
	for _, rule := range rules {
		if !rule.ok(c) && !in.wrong[rule.a] && !in.wrong[rule.b] {
			in.problem(rule.a, "%s with %s: want %s", in.written(rule.a, parsed), in.written(rule.b, parsed), rule.want)
		}
	}
}

// written is a setting as the user wrote it, if the user set it.
func (in *input) written(name string, parsed *kong.Context) string {
	for _, step := range parsed.Path {
		if step.Flag == nil || step.Flag.Name != name {
			continue
		}
		switch from, ok := in.file.values[name]; {
		case step.Resolved && in.variable(name) != "":
			return variable(name) + "=" + text(step.Flag)
		case step.Resolved && ok:
			return fmt.Sprintf("%s=%s (%s:%d)", inFile(step.Flag), text(step.Flag), in.file.name, from.line)
		}
		return "--" + name + "=" + text(step.Flag)
	}
	for _, flag := range parsed.Flags() {
		if flag.Name == name {
			return inFile(flag) + "=" + text(flag) + " (the default)"
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

// variable returns the name of a flag's variable.
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
