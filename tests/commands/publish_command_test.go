package commands_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"belfry/client"
	"belfry/tests/harness"
)

// TestPublishCommand: what is published is what was said, to the byte.
func TestPublishCommand(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	for _, c := range []struct {
		stdin string
		args  []string
		want  string // as it is delivered
	}{
		{"", []string{" two words "}, " two words "},
		{"", []string{""}, ""},
		{"", []string{"--", "--lines"}, "--lines"},
		{"with a line end\n", nil, "with a line end"},
		{"two\r\n\r\n", []string{"-"}, `two\r\n`},
		{"", []string{"é <&> \u2028"}, `é <&> \u2028`},
		{`{ "a": "<&\u00e9>", "n": 1.50 }` + "\n", []string{"--json"}, `{"a":"<&\u00e9>","n":1.50}`},
		{"", []string{"--json", "null"}, "null"},
		{"", []string{"x", "--user", "7"}, ""},
	} {
		topic := fmt.Sprint("t.", len(c.args), len(c.stdin), len(c.want), c.want == "")
		out, errs := belfry(b, t, 0, c.stdin, append([]string{"publish", topic}, c.args...)...)
		if !strings.HasPrefix(out, `{"id":"`) || strings.Count(out, "\n") != 1 || errs != "" {
			t.Errorf("%q: %s%s", c.args, out, errs)
		}
		if slices.Contains(c.args, "--user") {
			continue // nobody else sees it
		}
		if got := tail(b, t, "1", topic); !slices.Equal(got, []string{topic + " " + c.want}) {
			t.Errorf("%q %q: got %q", c.args, c.stdin, got)
		}
	}
	j := begin(t, setting{terminal: true, environ: here(b, nil).environ, in: strings.NewReader("x")}, "publish", "terminal", "--id", "\u009b", "--key", "k")
	j.wait(t, 2) // control characters
	j = begin(t, setting{terminal: true, environ: here(b, nil).environ, in: strings.NewReader("x")}, "publish", "terminal", "--id", "i")
	j.wait(t, 0)
	if out := j.out.String(); !strings.HasPrefix(out, "terminal: for 0 clients, 0 of them connected (id i, cursor ") || !strings.Contains(j.err.String(), "Ctrl-D") {
		t.Errorf("on a terminal: %q %q", out, j.err.String())
	}
}

// TestPublishCommandRefused: errors are printed, with a status.
func TestPublishCommandRefused(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	folder := t.TempDir()
	for args, want := range map[string]struct {
		status int
		says   string
	}{
		"publish":                            {2, "want a topic to publish to, or --file"},
		"publish a b c":                      {2, "unexpected argument c"},
		"publish a b --lines":                {2, "--lines with a message"},
		"publish a --lines --key x":          {2, "--lines with --id or --key"},
		"publish a --file x":                 {2, "--file with a topic"},
		"publish a b --key bk_secret":        {2, "--key is an API key: want it in $BELFRY_KEY"},
		"publish a b --key é":                {2, `--key="é": want 1 to 255`},
		"publish a b --expires-in -1s":       {2, "--expires-in"},
		"publish a b --url ftp://x":          {2, "want http://HOST:PORT"},
		"publish a b --key-file nowhere":     {2, "--key-file=nowhere"},
		"publish a b --ca README.md":         {2, "want certificates in the PEM format"},
		"publish a..b x":                     {1, "invalid_topic (400): "},
		"publish $x x":                       {1, "topic_reserved (403): "},
		"publish a {] --json":                {1, "the message is not JSON"},
		"publish --file nowhere":             {1, "nowhere: no such file"},
		"publish --file " + folder:           {1, "is a folder"},
		"publish a \xff":                     {1, "the message is not UTF-8"},
		"publish a b --url http://" + closed: {1, "connection refused"},
	} {
		_, errs := belfry(b, t, want.status, "", append(strings.Fields(args), quick(args)...)...)
		if !strings.Contains(errs, want.says) || strings.Contains(errs, "bk_") {
			t.Errorf("%s: %q, want %q", args, errs, want.says)
		}
	}
}

// closed is an address where nobody listens.
const closed = "127.0.0.1:1"

// quick has a command not try again where nobody will answer.
func quick(args string) []string {
	if strings.Contains(args, closed) {
		return []string{"--retry-for", "0s"}
	}
	return nil
}

// TestPublishLines: each line is an event, in order, at once.
func TestPublishLines(t *testing.T) {
	t.Parallel()
	b := harness.Start(t, "--history-events=10000")
	const count = 1000
	var text strings.Builder
	var want []string
	for i := range count {
		fmt.Fprintf(&text, "line %d\n", i)
		want = append(want, fmt.Sprintf("n line %d", i))
	}
	out, _ := belfry(b, t, 0, text.String(), "publish", "n", "--lines")
	if !strings.HasPrefix(out, `{"accepted":1000,"rejected":0,"first_cursor":"`) {
		t.Error(out)
	}
	if got := tail(b, t, fmt.Sprint(count), "n"); !slices.Equal(got, want) {
		t.Errorf("got %d lines: %.200q", len(got), got)
	}
	out, errs := belfry(b, t, 1, "1\n2\n{\n4\n", "publish", "json", "--lines", "--json")
	if !strings.HasPrefix(out, `{"accepted":2,`) || !strings.Contains(errs, "line 3: the message is not JSON") {
		t.Error(out, errs)
	}
	out, errs = belfry(b, t, 1, "1\n"+strings.Repeat("x", 70_000)+"\n", "publish", "long", "--lines")
	if !strings.HasPrefix(out, `{"accepted":`) || !strings.Contains(errs, "line 2: message_too_large (413)") {
		t.Error(out, errs)
	}
}

// TestPublishLinesInterrupted: lines are published as they come, and after an interrupt
// their number is printed.
func TestPublishLinesInterrupted(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	in, lines := io.Pipe()
	defer lines.Close()
	j := begin(t, here(b, in), "publish", "live", "--lines")
	fmt.Fprint(lines, "one\ntwo\n")
	if got := tail(b, t, "2", "live"); !slices.Equal(got, []string{"live one", "live two"}) {
		t.Error(got)
	}
	j.stop(t, 0)
	if out := j.out.String(); !strings.HasPrefix(out, `{"accepted":2,`) {
		t.Error(out)
	}
	for _, args := range []string{"--lines", "--json", "-"} {
		in, lines := io.Pipe()
		j := begin(t, here(b, in), "publish", "live", args)
		j.stop(t, 130)
		if j.out.String() != "" || !strings.Contains(j.err.String(), "interrupted") {
			t.Error(j.out.String(), j.err.String())
		}
		lines.Close()
	}
}

// TestPublishFile: a stream of events, how far it is, and what was refused.
func TestPublishFile(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	name := filepath.Join(t.TempDir(), "events.ndjson")
	content := strings.Repeat(`{"topic":"f","message":1}`+"\n", 50) + `{"topic":"f"}` + "\n"
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	j := begin(t, setting{terminal: true, environ: here(b, nil).environ}, "publish", "--file", name)
	j.wait(t, 1)
	if out := j.out.String(); !strings.HasPrefix(out, "50 events are published, 1 rejected; cursors ") {
		t.Error(out)
	}
	for _, want := range []string{"[==============================] 100%  1.3 KiB of 1.3 KiB", "line 51: invalid_message: ", "1 lines were rejected"} {
		if !strings.Contains(j.err.String(), want) {
			t.Errorf("no %q in %q", want, j.err.String())
		}
	}
	in, lines := io.Pipe()
	j = begin(t, here(b, in), "publish", "--file", "-")
	fmt.Fprintln(lines, `{"topic":"piped","message":"one"}`)
	if got := tail(b, t, "1", "piped"); !slices.Equal(got, []string{"piped one"}) {
		t.Error(got)
	}
	j.stop(t, 0)
	if out, errs := j.out.String(), j.err.String(); !strings.HasPrefix(out, `{"accepted":1,"rejected":0,`) || errs != "" {
		t.Error(out, errs)
	}
	lines.Close()
}

// lossy makes calls, and loses the first answers.
type lossy struct {
	lose int
	http.RoundTripper
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := l.RoundTripper.RoundTrip(r)
	if l.lose--; err == nil && l.lose >= 0 {
		res.Body.Close()
		return nil, errors.New("the answer is lost")
	}
	return res, err
}

// TestPublisherExact: a publish whose answer is lost is published once.
func TestPublisherExact(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	calls := &http.Client{Transport: &lossy{3, b.HTTP.Transport}}
	p := client.NewPublisher("http://"+b.Addr, &client.PublisherOptions{HTTPClient: calls, MinBackoff: 1, MaxBackoff: 1})
	all, err := p.PublishAll(t.Context(), []client.Publication{
		{Topic: "x", Data: []byte(`"one"`)}, {Topic: "x", Data: []byte(`"two"`)},
	}, "")
	if err != nil || len(all) != 2 || !all[0].Duplicate || !all[1].Duplicate {
		t.Errorf("%+v %v", all, err)
	}
	if r, err := p.Publish(t.Context(), client.Publication{Topic: "x", Data: []byte(`"three"`)}, "k"); err != nil || r.Duplicate {
		t.Errorf("%+v %v", r, err)
	}
	_, err = p.Publish(t.Context(), client.Publication{Topic: "x", Data: []byte(`"four"`)}, "k")
	if problem, ok := errors.AsType[*client.Problem](err); !ok || problem.Code != "idempotency_key_reused" {
		t.Error(err)
	}
	if got := tail(b, t, "3", "x"); !slices.Equal(got, []string{"x one", "x two", "x three"}) {
		t.Error(got)
	}
}
