package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"belfry/client"
)

// Bounds of a batch, for lines that come faster than answers.
const (
	batchLines = 256
	batchBytes = 256 << 10
)

// A batch has lines that are published together.
type batch struct {
	first  int // number of its first line
	bytes  int
	events []client.Publication
}

func (b *batch) full() bool { return len(b.events) >= batchLines || b.bytes >= batchBytes }

// lines publishes the lines of stdin as they come, and prints a summary.
func (p *publishing) lines(ctx context.Context) error {
	in := interruptible(ctx, p.In)
	defer in.Close()
	found := make(chan string, batchLines)
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxMessage)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		defer close(found)
		for scanner.Scan() {
			select {
			case found <- scanner.Text():
			case <-stop:
				return
			}
		}
	}()
	summary := client.Summary{Errors: []client.LineError{}}
	err := p.publishLines(ctx, found, &summary)
	if err == nil && scanner.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("line %d: %w", summary.Accepted+1, scanner.Err())
	}
	if ctx.Err() != nil && summary.Accepted == 0 {
		return interrupted(ctx, err)
	}
	return errors.Join(p.summarize(&summary), err)
}

// publishLines publishes lines until the input ends.
func (p *publishing) publishLines(ctx context.Context, found <-chan string, summary *client.Summary) error {
	for number := 1; ; {
		b := batch{first: number}
		for line, ok := <-found; ok; line, ok = next(found) {
			event, err := p.event(line)
			if err != nil {
				return errors.Join(p.publishBatch(ctx, b, summary), fmt.Errorf("line %d: %w", number, err))
			}
			b.events = append(b.events, event)
			b.bytes += len(line)
			if number++; b.full() {
				break
			}
		}
		if len(b.events) == 0 {
			return nil
		}
		if err := p.publishBatch(ctx, b, summary); err != nil {
			return err
		}
	}
}

// next returns a line if one is ready.
func next(found <-chan string) (line string, ok bool) {
	select {
	case line, ok = <-found:
	default:
	}
	return line, ok
}

func (p *publishing) publishBatch(ctx context.Context, b batch, summary *client.Summary) error {
	if len(b.events) == 0 {
		return nil
	}
	last := b.first + len(b.events) - 1
	receipts, err := p.to.PublishAll(ctx, b.events, "")
	if err == nil && len(receipts) != len(b.events) {
		err = fmt.Errorf("%w: %d receipts", client.ErrProtocol, len(receipts))
	}
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Index >= 0 {
		return fmt.Errorf("line %d: %w; none of the lines %d to %d is published", b.first+problem.Index, problem, b.first, last)
	}
	if err != nil {
		return fmt.Errorf("lines %d to %d: %w", b.first, last, err)
	}
	if summary.Accepted == 0 {
		summary.FirstCursor = receipts[0].Cursor
	}
	summary.LastCursor = receipts[len(receipts)-1].Cursor
	summary.Accepted += len(receipts)
	return nil
}

// summarize prints the outcome of many events.
func (p *publishing) summarize(summary *client.Summary) error {
	if !p.OutTerminal {
		return printJSON(p.Out, summary)
	}
	_, err := fmt.Fprintf(p.Out, "%d events are published, %d rejected", summary.Accepted, summary.Rejected)
	if err == nil && summary.Accepted > 0 {
		_, err = fmt.Fprintf(p.Out, "; cursors %s to %s", summary.FirstCursor, summary.LastCursor)
	}
	fmt.Fprintln(p.Out)
	return err
}
