package client

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"
)

// A Client is a connection to the broker that is made again whenever it is
// lost. Its methods may be called from any goroutine.
type Client struct {
	url       func(context.Context) (string, error)
	renewable bool // another call of url may give another URL
	opts      Options
	queue     *queue
	wake      chan struct{} // of capacity 1: the ledger has something to send

	ctx    context.Context // ends when the client is closed
	cancel context.CancelFunc
	ended  chan struct{} // closed when nothing runs any more

	mu     sync.Mutex
	ledger ledger
	err    error // why the client has ended
}

// New returns a client of the broker at a URL, and begins to connect: to
// ws://host:8000/ws?topic=cats without a registration, or to the URL that
// POST /register has answered. Call [Client.Close] when it is of no more use.
//
// What comes of connecting is told by [Client.Next], as messages as long as
// there is hope.
func New(url string, opts *Options) *Client {
	return start(func(context.Context) (string, error) { return url, nil }, false, opts)
}

// NewFunc is like [New] for URLs that end, such as those of registrations: it
// calls url for the first one, and for another when the broker says that the
// one it had is gone (close codes 4000, 4003 and 4004). With it the client
// goes on from where it was.
//
// An error of url counts as a failed attempt to connect, unless it has a method
// Permanent() bool that reports true: that ends the client.
func NewFunc(url func(context.Context) (string, error), opts *Options) *Client {
	return start(url, true, opts)
}

func start(url func(context.Context) (string, error), renewable bool, o *Options) *Client {
	opts := settings(o)
	c := &Client{
		url: url, renewable: renewable, opts: opts,
		queue: newQueue(opts.Buffer, opts.After), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		ledger: ledger{memory: opts.ReplayMemory, cursor: opts.After},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c
}

// Next waits for the next message and returns it. It fails with ctx's error,
// with [ErrClosed] behind [Client.Close], or, when all that was received is
// returned, with what ended the client for good: a [*CloseError] of the codes
// 4000 to 4099, a [*TooLargeError], a URL that is none, or what its URL
// function said.
//
// Call it again soon: a client that is kept waiting reads no more from its
// connection once [Options.Buffer] is full, does not answer the broker then,
// and is disconnected by and by (codes 4100 and 4101). It comes back and goes
// on where it was as long as the broker retains what it has missed.
func (c *Client) Next(ctx context.Context) (Message, error) { return c.queue.get(ctx) }

// Cursor returns the resume point: everything for the client up to it has been
// returned by [Client.Next]. A client that begins with it as [Options.After]
// goes on from there. It may be ahead of the last event's, since the broker
// tells how far it is when nothing happens, too; so ask in the goroutine that
// calls Next, when what that returned is dealt with. It is "" if there is none
// yet.
func (c *Client) Cursor() string { return c.queue.at() }

// Subscribe asks for topics, in addition to those that the URL or the
// registration brings, and returns at once: [Client.Next] tells the outcome by
// an [*Ack], behind which the first event comes, or a [*Refused]. A
// subscription outlives the connection. If it is made while there is none it
// waits for the next.
//
// With After or Last a replay follows the Ack: events with [Event.Replay] set,
// and a [*Live]. They may be such as were had before by another subscription.
// Other events don't come before it is over.
//
// Subscribe fails for what is no subscription (no topics, text that is not
// UTF-8, both After and Last) and for a client that has ended.
func (c *Client) Subscribe(s Subscription) (*Request, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	return c.ask(newRequest(s, false))
}

// Unsubscribe ends subscriptions to topics, named as they were subscribed;
// those that there are not do not matter. It returns at once, and fails, like
// [Client.Subscribe].
//
// When a registration has ended and another one takes its place that brings
// the topics again, they are unsubscribed again; an event may slip through
// before that is done.
func (c *Client) Unsubscribe(topics ...string) (*Request, error) {
	if err := check(Subscription{Topics: topics}); err != nil {
		return nil, err
	}
	return c.ask(newRequest(Subscription{Topics: topics}, true))
}

func (c *Client) ask(r *Request) (*Request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return nil, c.err
	}
	c.ledger.ask(r)
	signal(c.wake)
	return r, nil
}

// Close ends the client and its connection. It waits until nothing of it runs
// any more: a second at most for the broker's answer, and for the URL function
// if that is at work. What Next has not returned is dropped.
func (c *Client) Close() {
	c.end(ErrClosed, true)
	c.cancel()
	<-c.ended
}

// end makes the client take and tell nothing more. Only the first reason
// counts.
func (c *Client) end(err error, drop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.ledger.end(c.err)
	c.queue.end(c.err, drop)
}

// put gives the application a message, when there is room. It reports false if
// the client has ended.
func (c *Client) put(m Message) bool {
	c.mu.Lock()
	at := c.ledger.at()
	c.mu.Unlock()
	return c.queue.put(m, at)
}

// run makes one connection after another.
func (c *Client) run() {
	defer close(c.ended)
	defer c.cancel()
	pause := backoff{least: c.opts.MinBackoff, most: c.opts.MaxBackoff}
	for url := ""; ; {
		var e ending
		if url == "" {
			url, e.err = c.url(c.ctx)
		}
		if e.err == nil {
			e = c.connect(url)
		}
		var closed *CloseError
		renew := c.renewable && errors.As(e.err, &closed) && closed.gone()
		switch {
		case c.ctx.Err() != nil:
			return
		case renew:
			url = ""
			c.forget()
		case permanent(e.err):
			c.end(e.err, false)
			return
		}
		retry := pause.next(e, renew)
		if !c.put(&Disconnected{Err: e.err, RetryIn: retry}) || !c.sleep(retry) {
			return
		}
	}
}

// forget prepares the ledger for another URL.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ledger.anonymous = false
}

// sleep reports false if the client has ended.
func (c *Client) sleep(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// connect makes a connection and serves it until it ends.
func (c *Client) connect(raw string) (e ending) {
	c.mu.Lock()
	address, err := c.ledger.address(raw, c.opts.Last)
	c.mu.Unlock()
	if err != nil {
		return ending{err: &urlError{concealed(err)}}
	}
	s, err := c.dial(address)
	if err != nil {
		return ending{err: concealed(err)}
	}
	return s.serve()
}

// concealed returns an error without the URL that it is about: whoever has
// that may connect, and errors end up in logs.
func concealed(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}
