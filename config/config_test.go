package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func parse(environ []string, args ...string) (Config, error) {
	return Parse(args, environ, "1.2.3", io.Discard, io.Discard)
}

func mustParse(t *testing.T, environ []string, args ...string) Config {
	t.Helper()
	c, err := parse(environ, args...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// setting is a setting as the tests see it: its names, its tags and where it is in a Config.
type setting struct {
	flag, variable string
	key            string // in a file
	field          reflect.StructField
	index          []int
}

// written is the default as it stands in a file.
func (s setting) written() string {
	if standard := s.field.Tag.Get("default"); standard != "" {
		if s.field.Tag.Get("form") == "mode" {
			return `"` + standard + `"` // else it is a number to YAML
		}
		return standard
	}
	return `""`
}

func settings() []setting {
	var all []setting
	var walk func(in reflect.Type, group string, index []int)
	walk = func(in reflect.Type, group string, index []int) {
		for i := range in.NumField() {
			field, at := in.Field(i), append(index[:len(index):len(index)], i)
			if field.Type.Kind() == reflect.Struct {
				walk(field.Type, strings.ToLower(field.Name)+".", at)
			} else if field.Tag.Get("kong") != "-" {
				key := group + strings.ReplaceAll(cmp.Or(field.Tag.Get("name"), strings.TrimPrefix(snake.Replace(field.Name), "_")), "-", "_")
				name := strings.ReplaceAll(key, ".", "_")
				all = append(all, setting{"--" + strings.ReplaceAll(name, "_", "-"), "BELFRY_" + strings.ToUpper(name), key, field, at})
			}
		}
	}
	walk(reflect.TypeFor[Config](), "", nil)
	return all
}

var snake = func() *strings.Replacer {
	pairs := []string{"URL", "_url", "TTL", "_ttl", "JWKS", "_jwks", "TLS", "_tls", "ACME", "_acme", "HTTP", "_http"}
	for letter := 'A'; letter <= 'Z'; letter++ {
		pairs = append(pairs, string(letter), "_"+strings.ToLower(string(letter)))
	}
	return strings.NewReplacer(pairs...)
}()

// another is a right value of a setting that is not its default.
func another(t *testing.T, s setting) string {
	t.Helper()
	standard := s.field.Tag.Get("default")
	switch s.field.Type {
	case reflect.TypeFor[int]():
		number, _ := strconv.Atoi(standard)
		return strconv.Itoa(number + 1)
	case reflect.TypeFor[time.Duration]():
		duration, _ := time.ParseDuration(standard)
		return (duration + time.Millisecond).String()
	}
	switch s.flag {
	case "--jwt-secret-file":
		return write(t, strings.Repeat("s", 32))
	case "--jwt-public-keys":
		return write(t, publicPEM(t))
	}
	text, ok := map[string]string{
		"--insecure": "true", "--jwt-jwks-url": "https://id.example.com/jwks.json", "--jwt-issuer": "https://id.example.com", "--jwt-audience": "belfry,chat",
		"--addr": "[::1]:0", "--public-url": "https://events.example.com/live", "--default-topics": "a.b,c",
		"--allowed-origins": "https://a.example,https://b.example:8443", "--protocols": "http1+http2", "--log-level": "debug", "--log-format": "json",
		"--tls-cert-file": "/certs/cert.pem", "--tls-key-file": "/certs/key.pem", "--tls-acme-hosts": "a.example.com,b.example.com", "--tls-acme-dir": "/certs", "--data-dir": "/data",
		"--tls-acme-email": "ops@example.com", "--tls-acme-url": "https://acme.example.com/directory", "--admin-addr": "127.0.0.1:8001",
		"--slow-policy": "latest", "--cloudevents-source": "https://a.example", "--cloudevents-type": "com.example.a", "--socket-mode": "0600", "--trusted-proxies": "10.0.0.0/8,unix", "--proxy-header": "forwarded",
	}[s.flag]
	if !ok {
		t.Fatalf("no value to try with %s", s.flag)
	}
	return text
}

// companions are what a setting must not be without.
var companions = map[string][]string{
	"--tls-cert-file":  {"--tls-key-file=key.pem"},
	"--tls-key-file":   {"--tls-cert-file=cert.pem"},
	"--tls-acme-hosts": {"--tls-acme-dir=certs"},
}

func TestEverySettingHasAFlagAVariableAndAKey(t *testing.T) {
	t.Parallel()
	standard := mustParse(t, nil)
	for _, s := range settings() {
		if s.flag == "--config" {
			continue
		}
		t.Run(s.flag, func(t *testing.T) {
			t.Parallel()
			value := another(t, s)
			parse := func(environ []string, args ...string) Config {
				t.Helper()
				return mustParse(t, environ, append(args, companions[s.flag]...)...)
			}
			byFlag := parse(nil, s.flag+"="+value)
			byVariable := parse([]string{s.variable + "=" + value})
			byBoth := parse([]string{s.variable + "=" + s.field.Tag.Get("default")}, "serve", s.flag+"="+value)
			field := func(c Config) string { return fmt.Sprint(reflect.ValueOf(c).FieldByIndex(s.index)) }
			if got := field(byFlag); got == field(standard) || got != field(byVariable) || got != field(byBoth) {
				t.Errorf("%q: by flag %s, by variable %s, by both %s, by default %s",
					value, got, field(byVariable), field(byBoth), field(standard))
			}
			if !reflect.DeepEqual(byFlag, byVariable) {
				t.Errorf("flag and variable change different settings:\n%+v\n%+v", byFlag, byVariable)
			}
			name := write(t, nested(s.key, value))
			byFile := parse(nil, "--config="+name)
			overruled := parse([]string{s.variable + "=" + value}, "--config="+write(t, nested(s.key, s.written())))
			if field(byFile) != field(byFlag) || field(overruled) != field(byFlag) {
				t.Errorf("%q: by file %s, by a variable over a file %s", value, field(byFile), field(overruled))
			}
			byFile.File = ""
			if !reflect.DeepEqual(byFile, byFlag) {
				t.Errorf("flag and file change different settings:\n%+v\n%+v", byFlag, byFile)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := mustParse(t, []string{"PATH=/bin", "BELFRY_ADDR=", "BELFRY_RESUME_WINDOW= "})
	if want := mustParse(t, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("empty variables are not as if unset: %+v", got)
	}
	if got.Addr != "127.0.0.1:8000" || got.ResumeWindow != 30*time.Second || got.History != (History{100, 10 * time.Minute, 64 << 20}) ||
		got.PublicURL != "" || !reflect.DeepEqual(got.DefaultTopics, []string{"cats"}) || len(got.Unknown) != 0 {
		t.Errorf("defaults: %+v", got)
	}
}

func TestOutOfRange(t *testing.T) {
	t.Parallel()
	const tries = 6
	var args, environ, wantArgs, wantEnviron [tries][]string // by try: of all settings at once
	for _, s := range settings() {
		low, high, numeric := strings.Cut(s.field.Tag.Get("range"), "..")
		if !numeric {
			continue
		}
		values := [tries]string{"-1", "x", "1.5", "99999999999999999999", "1KB"}
		if s.field.Type == reflect.TypeFor[time.Duration]() {
			longest, err := time.ParseDuration(high)
			if err != nil {
				t.Errorf("%s: range: %v", s.flag, err)
			}
			values = [tries]string{"-1s", "30", "1d", "soon", "1 s", (longest + 1).String()}
		} else if most, err := strconv.Atoi(high); err != nil {
			t.Errorf("%s: range: %v", s.flag, err)
		} else {
			values[tries-1] = strconv.Itoa(most + 1)
		}
		for i, value := range values {
			want := fmt.Sprintf("=%q: want a TYPE of %s to %s, such as %s", value, low, high, s.field.Tag.Get("default"))
			args[i], wantArgs[i] = append(args[i], s.flag+"="+value), append(wantArgs[i], s.flag+want)
			environ[i], wantEnviron[i] = append(environ[i], s.variable+"="+value), append(wantEnviron[i], s.variable+want)
		}
	}
	for i := range tries {
		for _, test := range []struct {
			failed error
			want   []string
		}{
			{second(parse(nil, args[i]...)), wantArgs[i]},
			{second(parse(environ[i])), wantEnviron[i]},
		} {
			got := strings.NewReplacer("a whole number of", "a TYPE of", "a duration of", "a TYPE of").Replace(fmt.Sprint(test.failed))
			slices.Sort(test.want)
			if lines := slices.Sorted(strings.Lines(got + "\n")); strings.Join(lines, "") != strings.Join(test.want, "\n")+"\n" {
				t.Errorf("got\n%swant\n%s", strings.Join(lines, ""), strings.Join(test.want, "\n"))
			}
		}
	}
}

func second(_ Config, err error) error { return err }

func TestText(t *testing.T) {
	t.Parallel()
	type texts struct{ right, wrong []string }
	flags := map[string]texts{
		"--addr": {
			[]string{":0", "0.0.0.0:80", "localhost:65535", "[::]:1"},
			[]string{"", "8000", "localhost", "::1:80", "localhost:65536", "localhost:-1", "localhost:http", "http://localhost:80", ":", ":080"},
		},
		"--public-url": {
			[]string{"", "http://a", "https://a.example:8443", "ws://a/b", "wss://[::1]:9"},
			[]string{"a.example", "ftp://a", "https://", "https:///x", "//a", "https://a/?", "https://a?x=1", "https://a#b", "https://u@a", "https://a b"},
		},
		"--allowed-origins": {
			[]string{"", "*", "https://a.example", "http://localhost:3000, https://www.a.example", "capacitor://localhost"},
			[]string{"a.example", "https://a/", "https://A.example", "https://a,nonsense", "null", "https://a/b"},
		},
		"--default-topics": {
			[]string{"", "cats", "cats, dogs", "orders.*.paid", "größe", strings.Repeat("x", 255)},
			[]string{"cats,,dogs", ",", "a\xff", "a\nb", strings.Repeat("x", 256)},
		},
		"--insecure": {[]string{"true", "false", "1", "0"}, []string{"", "yes", "TRUE", "2"}},
		"--jwt-jwks-url": {
			[]string{"", "https://id.example.com/keys?v=1", "http://localhost:8080/jwks", "http://127.0.0.2/", "http://[::1]:1"},
			[]string{"http://id.example.com/", "https://", "id.example.com", "https://u:p@id.example.com", "https://id.example.com/#x", "file:///etc/keys"},
		},
		"--jwt-audience": {[]string{"", "a, b", "https://api.example.com"}, []string{",", "a,,b", "a\nb"}},
		"--jwt-issuer":   {[]string{"", "https://id.example.com/"}, []string{"a\nb"}},
		"--config":       {[]string{""}, []string{"a\nb"}},
		"--log-level":    {[]string{"debug", "info", "warn", "error"}, []string{"", "loud", "INFO", "debug|info"}},
		"--log-format":   {[]string{"auto", "json", "console"}, []string{"", "text"}},
	}
	for i := range 10 { // of each flag one value at a time
		var right, wrong, wants []string
		for flag, values := range flags {
			if len(values.right) > 10 || len(values.wrong) > 10 {
				t.Fatalf("%s has more values than are tried", flag)
			}
			if i < len(values.right) {
				right = append(right, flag+"="+values.right[i])
			}
			if i < len(values.wrong) {
				wrong = append(wrong, flag+"="+values.wrong[i])
				wants = append(wants, fmt.Sprintf("%s=%.100q: want ", flag, values.wrong[i]))
			}
		}
		if _, err := parse(nil, right...); err != nil {
			t.Errorf("refused: %v", err)
		}
		_, err := parse(nil, wrong...)
		told := slices.Collect(strings.Lines(fmt.Sprint(err)))
		for _, want := range wants {
			if !slices.ContainsFunc(told, func(line string) bool { return strings.HasPrefix(line, want) }) {
				t.Errorf("accepted, or not told: %s\n%v", want, err)
			}
		}
		if len(told) != len(wrong) {
			t.Errorf("of %d values that are wrong %d are told:\n%v", len(wrong), len(told), err)
		}
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		environ, args, want []string
	}{
		{nil, nil, []string{"cats"}},
		{[]string{"BELFRY_DEFAULT_TOPICS=a, b"}, nil, []string{"a", "b"}},
		{[]string{"BELFRY_DEFAULT_TOPICS=a"}, []string{"--default-topics", "b,c", "--default-topics", `d\,e`}, []string{"b", "c", "d,e"}},
		{nil, []string{"--default-topics="}, []string{}},
	} {
		if got := mustParse(t, test.environ, test.args...).DefaultTopics; !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q %q: %q, want %q", test.environ, test.args, got, test.want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environ, args string
		want          string
	}{
		"everything at once": {
			"BELFRY_PING_INTERVAL=soon BELFRY_HISTORY_BYTES=64MiB BELFRY_LOG_LEVEL=loud",
			"--max-clients -5 --addr nowhere",
			`--max-clients="-5": want a whole number of 1 to 10000000, such as 200000
--addr="nowhere": want host:port or unix:PATH, such as 127.0.0.1:8000 or :0
BELFRY_HISTORY_BYTES="64MiB": want a whole number of 65536 to 68719476736, such as 67108864
BELFRY_PING_INTERVAL="soon": want a duration of 10ms to 1h, such as 25s
BELFRY_LOG_LEVEL="loud": want one of debug, info, warn, error`,
		},
		"no value":  {"", "--drain --addr :0", "--drain needs a value: want a duration of 0s to 1h, such as 10s"},
		"at an end": {"", "--drain", "--drain needs a value: want a duration of 0s to 1h, such as 10s"},
		"a misspelled flag": {"", "--couriers=x --resume-windov 3s",
			`--couriers="x": want a whole number of 0 to 1024, such as 0
unknown flag --resume-windov, did you mean "--resume-window"? (belfry --help lists what there is)`},
		"no such command": {"", "sing", "unexpected argument sing (belfry --help lists what there is)"},
		"together": {"BELFRY_MAX_BODY=1000", "--max-subscriptions=1 --default-topics=a,b",
			`max_message=65536 (the default) with BELFRY_MAX_BODY=1000: want max_message <= max_body
--default-topics=a,b with --max-subscriptions=1: want at most max_subscriptions topics`},
		"queue": {"", "--max-message=1000000",
			"client_queue_bytes=1048576 (the default) with --max-message=1000000: want client_queue_bytes >= 2 * max_message"},
		"nothing follows from a wrong value": {"", "--max-body=0", `--max-body="0": want a whole number of 1 to 1073741824, such as 1048576`},
	} {
		_, err := parse(strings.Fields(test.environ), strings.Fields(test.args)...)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: got\n%v\nwant\n%s", name, err, test.want)
		}
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"--addr :0", "--addr=:0", "serve --addr :0", "--addr :0 serve", "--addr :1 --addr :0"} {
		if c := mustParse(t, nil, strings.Fields(args)...); c.Addr != ":0" {
			t.Errorf("%s: %+v", args, c)
		}
	}
	if c := mustParse(t, nil, "--public-url=https://a/b/"); c.PublicURL != "https://a/b" {
		t.Errorf("public_url %q", c.PublicURL)
	}
}

func TestSwitch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		environ, args string
		want          bool
	}{
		{"", "", false}, {"", "--insecure", true}, {"", "--insecure --addr :0", true}, {"", "--insecure=false", false}, {"", "--insecure serve", true},
		{"BELFRY_INSECURE=true", "", true}, {"BELFRY_INSECURE=1", "", true}, {"BELFRY_INSECURE=true", "--insecure=0", false}, {"BELFRY_INSECURE=", "", false},
	} {
		if c := mustParse(t, strings.Fields(test.environ), strings.Fields(test.args)...); c.Insecure != test.want {
			t.Errorf("%q %q: %t", test.environ, test.args, c.Insecure)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	c := mustParse(t, []string{"BELFRY_PORT=tcp://10.0.0.1:80", "BELFRY_DRAIN=1s", "HOME=/", "BELFRY_HELP=1", "BELFRY_VERSION=x", "XBELFRY_A=1"})
	if want := []string{"BELFRY_HELP", "BELFRY_PORT", "BELFRY_VERSION"}; !reflect.DeepEqual(c.Unknown, want) || c.Drain != time.Second {
		t.Errorf("unknown %q, want %q; drain %s", c.Unknown, want, c.Drain)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var out, complaints strings.Builder
	for _, args := range []string{"--help", "-h", "serve --help", "--addr :0 --help"} {
		out.Reset()
		if _, err := Parse(strings.Fields(args), []string{"BELFRY_DRAIN=x"}, "1.2.3", &out, &complaints); !errors.Is(err, ErrDone) {
			t.Errorf("%s: %v", args, err)
		}
		if !strings.Contains(out.String(), "\nListening\n  --addr=127.0.0.1:8000 ") {
			t.Errorf("%s:\n%s", args, &out)
		}
	}
	help := out.String()
	for _, s := range settings() {
		value := s.field.Tag.Get("default")
		if value == "" {
			value = s.field.Tag.Get("placeholder")
		}
		row := "\n  " + s.flag + "=" + value + " "
		if s.field.Type.Kind() == reflect.Bool {
			row = "\n  " + s.flag + " "
		}
		if !strings.Contains(help, row) || s.field.Tag.Get("help") == "" {
			t.Errorf("%s=%s is not in the help", s.flag, value)
		}
	}
	for line := range strings.Lines(help) {
		if len(line) > 101 || strings.TrimRight(line, " \n")+"\n" != line {
			t.Errorf("too long, or blanks at its end: %q", line)
		}
	}
	rest := help
	for _, group := range []string{"Commands", "Configuration", "Listening", "TLS", "Clients", "Access", "Retention", "Limits", "Timeouts", "Internals", "Logging"} {
		_, after, found := strings.Cut(rest, "\n\n"+group+"\n")
		if rest = after; !found {
			t.Errorf("no %s, or not there:\n%s", group, help)
		}
	}
	if complaints.Len() > 0 {
		t.Errorf("on stderr: %s", &complaints)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if _, err := Parse([]string{"--version"}, nil, "1.2.3", &out, io.Discard); !errors.Is(err, ErrDone) || out.String() != "belfry 1.2.3\n" {
		t.Errorf("%q, %v", &out, err)
	}
}
