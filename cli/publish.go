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
	Message   *string // nil: read it from stdin
	JSON      bool    // messages are JSON, not text
	Lines     bool    // each line of stdin is an event
	File      string  // publish the events of this file instead, one in each line; "-": stdin
	User      string
	ID        string
	Key       string        // the idempotency key; "": make one
	ExpiresIn time.Duration // 0: never
	RetryFor  time.Duration // 0: no retries
}

// maxMessage bounds one message read from stdin, in bytes. No broker can be configured to
// accept more.
const maxMessage = 16 << 20

// publishing is the running command.
type publishing struct {
	PublishOptions
	Streams
	to *client.Publisher
}

// Publish publishes one or many events and prints their receipts.
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

// interrupted returns the error of a failed call, or of the interrupt that ended it.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if _, ok := errors.AsType[*client.UnansweredError](err); ok {
		return fmt.Errorf("%w: it is unknown whether it was published", ErrInterrupted)
	}
	return ErrInterrupted
}

// message returns the message of the arguments or of stdin, without the line end that a
// shell's commands add.
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

// event returns the event with a message.
func (p *publishing) event(text string) (client.Publication, error) {
	e := client.Publication{Topic: p.Topic, UserID: p.User, ID: p.ID, ExpiresIn: p.ExpiresIn}
	switch {
	case !utf8.ValidString(text):
		return e, errors.New("the message is not UTF-8")
	case !p.JSON:
		e.Data, _ = json.Marshal(text) // text that is UTF-8 never fails
	case !json.Valid([]byte(text)):
		return e, errors.New("the message is not JSON")
	default:
		e.Data = json.RawMessage(text)
	}
	return e, nil
}
