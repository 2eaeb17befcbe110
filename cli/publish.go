package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"belfry/client"
)

// PublishOptions say what to publish.
type PublishOptions struct {
	Topic     string
	Message   *string // nil: what stdin has
	JSON      bool    // messages are JSON, not text
	Lines     bool    // each line of stdin is an event
	File      string  // events of a file, one in each line, instead of all that; "-" is stdin
	User      string
	ID        string
	Key       string        // by which the broker knows repeats; "": one is made up
	ExpiresIn time.Duration // 0: never, by itself
	RetryFor  time.Duration // 0: not at all
}

// maxMessage bounds what is read from stdin as one message, in bytes. It is as
// much as any broker may be told to take.
const maxMessage = 16 << 20

// publishing is the command at work.
type publishing struct {
	PublishOptions
	Streams
	to *client.Publisher
}

// Publish publishes an event, or many, and prints what has become of them.
func Publish(ctx context.Context, b Broker, o PublishOptions, s Streams) error {
	calls := b.HTTP(1)
	defer calls.CloseIdleConnections()
	if o.RetryFor == 0 {
		o.RetryFor = -1
	}
	p := &publishing{o, s, client.NewPublisher(b.Base(), &client.PublisherOptions{
		HTTPClient: calls, Header: b.Header(), RetryFor: o.RetryFor,
		OnRetry: func(err error, retryIn time.Duration) {
			fmt.Fprintf(s.Err, "%s; trying again in %v\n", printable(err.Error()), retryIn.Round(time.Millisecond))
		},
	})}
	switch {
	case o.File != "":
		return p.file(ctx)
	case o.Lines:
		return p.lines(ctx)
	}
	return p.one(ctx)
}

// one publishes one event.
func (p *publishing) one(ctx context.Context) error {
	text, err := p.message(ctx)
	if err != nil {
		return err
	}
	event, err := p.event(text)
	if err != nil {
		return err
	}
	receipt, err := p.to.Publish(ctx, event, p.Key)
	if err != nil {
		return interrupted(ctx, err)
	}
	if !p.OutTerminal {
		return printJSON(p.Out, receipt)
	}
	again := ""
	if receipt.Duplicate {
		again = "; it had been published before"
	}
	_, err = fmt.Fprintf(p.Out, "%s: for %d clients, %d of them connected%s (id %s, cursor %s)\n",
		printable(receipt.Topic), receipt.Matched, receipt.Queued, again, printable(receipt.ID), receipt.Cursor)
	return err
}

// interrupted is what becomes of a call that has failed: it matters whether
// somebody has ended the command meanwhile.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if _, ok := errors.AsType[*client.UnansweredError](err); ok {
		return fmt.Errorf("%w: whether it was published is not known", ErrInterrupted)
	}
	return ErrInterrupted
}

// message is what the arguments or stdin say, without the line end that a shell's
// commands leave.
func (p *publishing) message(ctx context.Context) (string, error) {
	if p.Message != nil {
		return *p.Message, nil
	}
	if p.InTerminal {
		fmt.Fprintln(p.Err, "the message, then Ctrl-D:")
	}
	in := interruptible(ctx, p.In)
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
	switch {
	case ctx.Err() != nil:
		return "", ErrInterrupted
	case err != nil:
		return "", fmt.Errorf("read the message: %w", err)
	case len(text) > maxMessage:
		return "", fmt.Errorf("the message has more than %d bytes", maxMessage)
	}
	return withoutLineEnd(string(text)), nil
}

func withoutLineEnd(text string) string {
	if n := len(text); n > 0 && text[n-1] == '\n' {
		if text = text[:n-1]; n > 1 && text[n-2] == '\r' {
			text = text[:n-2]
		}
	}
	return text
}

// event is the one with a message.
func (p *publishing) event(text string) (client.Publication, error) {
	e := client.Publication{Topic: p.Topic, UserID: p.User, ID: p.ID, ExpiresIn: p.ExpiresIn}
	switch {
	case !utf8.ValidString(text):
		return e, errors.New("the message is not UTF-8")
	case !p.JSON:
		e.Data, _ = json.Marshal(text) // of UTF-8 it is
	case !json.Valid([]byte(text)):
		return e, errors.New("the message is not JSON")
	default:
		e.Data = json.RawMessage(text)
	}
	return e, nil
}
