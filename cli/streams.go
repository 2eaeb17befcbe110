// Package cli has the commands that talk to a broker from outside: publish,
// subscribe, health, top and, below it, bench. What a command line says is told
// to them as options; they know nothing of flags.
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

// Streams are what a command reads and writes, and what that is.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer

	InTerminal, OutTerminal, ErrTerminal bool

	Colour bool                       // of Out
	Size   func() (columns, rows int) // of Out, if that is a terminal
}

// StreamsOf finds out what streams are. Colours are for terminals only, and not
// for who has set NO_COLOR to anything (no-color.org) or whose TERM is dumb.
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

// terminal reports whether a stream is one, and its descriptor.
func terminal(stream any) (fd int, ok bool) {
	f, ok := stream.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// ErrInterrupted is a command that was ended before it had done anything.
var ErrInterrupted = errors.New("interrupted")

// Status tells what has become of a command: on stderr, and as the exit status.
func Status(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(stderr, printable(line))
	}
	if errors.Is(err, ErrInterrupted) {
		return 130 // as shells say of SIGINT
	}
	return 1
}

// interruptible is a reader that fails with ctx's error as soon as ctx ends, even
// while it waits for a keyboard or a pipe. Reading is left to a goroutine, which
// ends when the reader is closed and what it waits for has come.
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
