package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPrintable: no text does anything to a terminal.
func TestPrintable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain\té 漢 🐈":        "plain\té 漢 🐈",
		"\x1b[2J\r\n":         `\u001b[2J\r\n`,
		"\u009b\u202e\u200b":  `\u009b\u202e\u200b`,
		"\xff\U000e0001\x7f!": `�\U000e0001\u007f!`,
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestSize: bytes, for people.
func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 3 << 51: "6144.0 TiB"} {
		if got := size(n); got != want {
			t.Errorf("%v: %s, want %s", n, got, want)
		}
	}
}

// TestFigures: values by name, and by name and labels.
func TestFigures(t *testing.T) {
	t.Parallel()
	got := parseFigures([]byte("# HELP a b\na 1\nb{x=\"y z\"} 2\nb{x=\"q\"} 1e3\nc_bucket{le=\"1\"} 5\nnonsense\nd x\n"))
	want := figures{"a": 1, "b": 1002, `b{x="y z"}`: 2, `b{x="q"}`: 1000}
	if !maps.Equal(got, want) {
		t.Error(got)
	}
}

// TestStatus: errors are told, line by line, and harmless.
func TestStatus(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		says   string
	}{
		{nil, 0, ""},
		{errors.Join(errors.New("a\x1b"), errors.New("b")), 1, "a\\u001b\nb\n"},
		{fmt.Errorf("%w: c", ErrInterrupted), 130, "interrupted: c\n"},
	} {
		var said bytes.Buffer
		if status := Status(test.err, &said); status != test.status || said.String() != test.says {
			t.Errorf("%v: %d %q", test.err, status, said.String())
		}
	}
}

// TestColours: only a terminal has any.
func TestColours(t *testing.T) {
	t.Parallel()
	s := StreamsOf(strings.NewReader(""), io.Discard, io.Discard, nil)
	if columns, rows := s.Size(); s.InTerminal || s.OutTerminal || s.ErrTerminal || s.Colour || columns != 80 || rows != 24 {
		t.Errorf("%+v", s)
	}
}

// TestInterruptible: a reader that waits is interrupted, and one that is closed
// leaves nothing there.
func TestInterruptible(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	silent, end := io.Pipe()
	r := interruptible(ctx, silent)
	cancel()
	if _, err := r.Read(make([]byte, 1)); err != context.Canceled {
		t.Error(err)
	}
	end.Close()
	r = interruptible(t.Context(), strings.NewReader("never read"))
	r.Close()
	if text, err := io.ReadAll(interruptible(t.Context(), strings.NewReader("all"))); string(text) != "all" || err != nil {
		t.Errorf("%q %v", text, err)
	}
}
