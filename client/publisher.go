package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// A Publisher publishes events over HTTP. Its methods are safe for concurrent use.
//
// A publish without an answer is tried again with the same idempotency key, so that it
// takes effect once. The broker remembers the key for its dedupe_window (2m by default;
// see [PublisherOptions.RetryFor]). A restart loses the keys, together with all events.
type Publisher struct {
	url  string
	opts PublisherOptions
}

// PublisherOptions configure a [Publisher]. Zero values mean defaults.
type PublisherOptions struct {
	// HTTPClient makes the calls; http.DefaultClient by default.
	HTTPClient *http.Client
	// Header is sent with each call, such as Authorization.
	Header http.Header
	// Timeout bounds the wait for one answer; 15s by default.
	Timeout time.Duration
	// RetryFor is how long after the first attempt another one may begin; 30s by default,
	// a negative value disables retries. It must be less than the broker's dedupe_window.
	RetryFor time.Duration
	// MinBackoff and MaxBackoff bound the pause before another attempt, as those of
	// [Options] do; 100ms and 5s by default. The pause is at least what the broker asks
	// for (Retry-After, RFC 9110 section 10.2.3).
	MinBackoff, MaxBackoff time.Duration
	// OnRetry is called after each attempt that will be repeated; it may be nil.
	OnRetry func(err error, retryIn time.Duration)
}

// NewPublisher returns a publisher to the broker at a URL, such as http://127.0.0.1:8000.
// It need not be closed.
func NewPublisher(url string, o *PublisherOptions) *Publisher {
	if o == nil {
		o = &PublisherOptions{}
	}
	opts := *o
	opts.Header = opts.Header.Clone()
	opts.HTTPClient = cmp.Or(opts.HTTPClient, http.DefaultClient)
	opts.Timeout = cmp.Or(opts.Timeout, 15*time.Second)
	opts.RetryFor = cmp.Or(opts.RetryFor, 30*time.Second)
	opts.MinBackoff = cmp.Or(opts.MinBackoff, 100*time.Millisecond)
	opts.MaxBackoff = max(cmp.Or(opts.MaxBackoff, 5*time.Second), opts.MinBackoff)
	return &Publisher{url: strings.TrimRight(url, "/") + "/publish", opts: opts}
}

// A Publication is an event to publish.
type Publication struct {
	Topic     string
	Data      json.RawMessage // the message as JSON
	UserID    string          // only for this user's clients; "": for everybody
	ID        string          // "": the broker makes one
	ExpiresIn time.Duration   // how long it is useful; 0: as long as it is retained
}

// text returns the event in the broker's form.
func (p Publication) text() (publicationText, error) {
	for _, text := range []string{p.Topic, p.UserID, p.ID} {
		if !utf8.ValidString(text) {
			return publicationText{}, errors.New("a topic, user id or event id is not UTF-8")
		}
	}
	return publicationText{p.Topic, p.Data, p.UserID, p.ID, p.ExpiresIn.Seconds()}, nil
}

type publicationText struct {
	Topic     string          `json:"topic"`
	Message   json.RawMessage `json:"message"`
	UserID    string          `json:"user_id,omitempty"`
	ID        string          `json:"id,omitempty"`
	ExpiresIn float64         `json:"expires_in,omitempty"` // seconds
}

// encode returns JSON in which a message is unchanged.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return out.Bytes(), err
}

// A Receipt is the answer about a published event.
type Receipt struct {
	ID        string `json:"id"`
	Cursor    string `json:"cursor"`
	Topic     string `json:"topic"`
	Matched   int    `json:"matched"`   // clients with a matching subscription
	Queued    int    `json:"queued"`    // those of them that are connected and will receive it
	Scope     string `json:"scope"`     // what Matched and Queued count: "node"
	Duplicate bool   `json:"duplicate"` // it had been published before with the same key
}

// Publish publishes an event. Publishing the same event again with the same key (1 to 255
// printable ASCII characters) has no effect. If the key is "", the publisher makes one. It
// fails with a [*Problem] if the broker refuses, and with an [*UnansweredError] if the
// outcome is unknown. It also fails with ctx's error, or because the broker cannot be
// reached.
func (p *Publisher) Publish(ctx context.Context, e Publication, key string) (*Receipt, error) {
	text, err := e.text()
	if err != nil {
		return nil, err
	}
	body, err := encode(text)
	if err != nil {
		return nil, err
	}
	receipt := new(Receipt)
	return receipt, p.retry(ctx, body, key, receipt, func() bool { return receipt.Cursor != "" })
}

// PublishAll publishes events, all of them or none, in their order. It fails
// like [Publisher.Publish].
func (p *Publisher) PublishAll(ctx context.Context, events []Publication, key string) ([]Receipt, error) {
	texts := make([]publicationText, len(events))
	for i, e := range events {
		text, err := e.text()
		if err != nil {
			return nil, err
		}
		texts[i] = text
	}
	body, err := encode(texts)
	if err != nil {
		return nil, err
	}
	var receipts []Receipt
	err = p.retry(ctx, body, key, &receipts, func() bool {
		return len(receipts) == len(events) && !slices.ContainsFunc(receipts, func(r Receipt) bool { return r.Cursor == "" })
	})
	return receipts, err
}

// maxKey is the length of the longest idempotency key.
const maxKey = 255

// retry makes attempts until one gets a final answer: a refusal or a complete success. A
// success that is not complete may come from a proxy.
func (p *Publisher) retry(ctx context.Context, body []byte, key string, answer any, whole func() bool) error {
	if key == "" {
		key = rand.Text()
	}
	if len(key) > maxKey || strings.ContainsFunc(key, func(c rune) bool { return c < ' ' || c > '~' }) {
		return fmt.Errorf("an idempotency key must have 1 to %d printable ASCII characters", maxKey)
	}
	end := time.Now().Add(p.opts.RetryFor)
	pause := backoff{least: p.opts.MinBackoff, most: p.opts.MaxBackoff}
	doubt := false // an attempt may have taken effect
	for {
		err := p.attempt(ctx, body, key, answer)
		if err == nil && !whole() {
			err = fmt.Errorf("%w: the answer has no receipt of each event", ErrProtocol)
		}
		again, after := retryable(err)
		if err == nil || !again && !doubt {
			return err
		}
		doubt = doubt || mayHaveBeenTaken(err)
		pause.failures++
		wait := max(pause.jitter(), after)
		if ctx.Err() != nil || !again || time.Now().Add(wait).After(end) {
			return p.end(ctx, err, key, doubt)
		}
		if p.opts.OnRetry != nil {
			p.opts.OnRetry(err, wait)
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return p.end(ctx, err, key, doubt)
		}
	}
}

// end returns the error of a publish that is given up.
func (p *Publisher) end(ctx context.Context, err error, key string, doubt bool) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if doubt {
		return &UnansweredError{Key: key, Err: err}
	}
	return err
}

func (p *Publisher) attempt(ctx context.Context, body []byte, key string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.Timeout)
	defer cancel()
	return p.post(ctx, bytes.NewReader(body), "application/json", answer, "Idempotency-Key", `"`+key+`"`) // the broker removes the quotes
}

// maxAnswer bounds an answer, in bytes.
const maxAnswer = 16 << 20

// post makes a call and reads its answer.
func (p *Publisher) post(ctx context.Context, body io.Reader, kind string, answer any, header ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, body)
	if err != nil {
		return &urlError{concealed(err)}
	}
	for name, values := range p.opts.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", kind)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := p.opts.HTTPClient.Do(req)
	if err != nil {
		return concealed(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case res.StatusCode != http.StatusOK:
		return ReadProblem(res, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%w: the answer: %w", ErrProtocol, err)
	}
	return nil
}

// retryable reports whether another attempt may help, and the pause that the broker asks
// for.
func retryable(err error) (again bool, after time.Duration) {
	if problem, ok := errors.AsType[*Problem](err); ok {
		status := problem.Status
		return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout, problem.RetryAfter
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	return err != nil && !untrusted && !permanent(err), 0
}

// mayHaveBeenTaken reports whether the broker may have published in spite of an error: not
// if it refused or was never reached.
func mayHaveBeenTaken(err error) bool {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem.Status == http.StatusInternalServerError || problem.Code == "" && problem.Status > 500
	}
	failed, ok := errors.AsType[*net.OpError](err)
	return !ok || failed.Op != "dial"
}
