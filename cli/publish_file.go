package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"belfry/client"
)

// file publishes the events of a file in one stream, and prints a summary.
func (p *publishing) file(ctx context.Context) error {
	in, length := p.In, int64(0)
	if p.File != "-" {
		f, err := os.Open(p.File)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if info.IsDir() {
			return fmt.Errorf("%s is a folder", p.File)
		}
		in, length = f, info.Size()
	}
	source := interruptible(ctx, in)
	defer source.Close()
	events := &counted{r: source}
	if p.ErrTerminal && length > 0 {
		bar := startProgress(p.Err, events, length)
		defer bar.end()
	}
	// An interrupt ends the stream in order, so that the broker still reports what it has
	// published.
	answered, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(timeout, cancel) })
	defer stop()
	summary, err := p.to.Stream(answered, untilInterrupted{ctx, events})
	return p.streamed(ctx, summary, err)
}

// streamed prints the outcome of a stream.
func (p *publishing) streamed(ctx context.Context, summary *client.Summary, err error) error {
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w: it is unknown how much was published: %w", ErrInterrupted, err)
		}
		if _, ok := errors.AsType[*client.Problem](err); ok {
			return err
		}
		return fmt.Errorf("it is unknown how much was published: %w", err)
	}
	if ctx.Err() != nil && summary.Accepted == 0 {
		return ErrInterrupted
	}
	for _, e := range summary.Errors {
		fmt.Fprintf(p.Err, "line %d: %s: %s\n", e.Line, e.Code, printable(e.Detail))
	}
	if err := p.summarize(summary); err != nil {
		return err
	}
	if summary.Rejected > 0 {
		return fmt.Errorf("%d lines were rejected", summary.Rejected)
	}
	return nil
}

// untilInterrupted is a reader that ends with EOF when ctx ends.
type untilInterrupted struct {
	ctx context.Context
	r   io.Reader
}

// Read implements [io.Reader].
func (u untilInterrupted) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	if err != nil && u.ctx.Err() != nil {
		err = io.EOF
	}
	return n, err
}
