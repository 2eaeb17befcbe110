// Package cli has the commands that talk to a broker from outside: publish, subscribe,
// health, top and, in a sub-package, bench. They get options, and know nothing about
// flags.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// Streams are a command's input and outputs.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	InTerminal, OutTerminal, ErrTerminal bool

	Colour bool                       // Out shows colours
	Size   func() (columns, rows int) // of Out, if it is a terminal
}

// StreamsOf examines the streams. Colours are only for terminals, unless NO_COLOR is set
// (no-color.org) or TERM is dumb.
func StreamsOf(in io.Reader, out, err io.Writer, environ []string) Streams {
	s := Streams{In: in, Out: out, Err: err}
	_, s.InTerminal = terminal(in)
	_, s.ErrTerminal = terminal(err)
	fd, ok := terminal(out)
	s.OutTerminal = ok
	s.Colour = ok && !slices.ContainsFunc(environ, func(v string) bool {
		return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR=" || v == "TERM=dumb"
	})
	s.Size = func() (columns, rows int) {
		if columns, rows, err := term.GetSize(fd); err == nil && columns > 0 && rows > 0 {
			return columns, rows
		}
		return 80, 24
	}
	return s
}

// terminal reports whether a stream is a terminal, and its descriptor.
func terminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// ErrInterrupted says that a command was interrupted before it had an effect.
var ErrInterrupted = errors.New("interrupted")

// Status reports a command's error on stderr and returns the exit status.
func Status(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(stderr, printable(line))
	}
	if errors.Is(err, ErrInterrupted) {
		return 130 // as shells do for SIGINT
	}
	return 1
}

// interruptible is a reader that fails with ctx's error as soon as ctx ends, even while it
// waits for a keyboard or a pipe. A goroutine does the reading. It ends when the reader is
// closed and its last read has returned.
func interruptible(ctx context.Context, r io.Reader) io.ReadCloser {
	in, out := io.Pipe()
	stop := context.AfterFunc(ctx, func() { out.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(out, r)
		stop()
		out.CloseWithError(err)
	}()
	return in
}
