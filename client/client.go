package client

import (
	"context"
	"errors"
	"net/url"
	"sync"
)

// A Client is a connection to the broker that reconnects whenever it is lost. Its methods
// are safe for concurrent use.
type Client struct {
	url       func(context.Context) (string, error)
	renewable bool // another call of url may give another URL
	opts      Options
	queue     *queue
	credential
	wake chan struct{} // of capacity 1: the session state has something to send

	ctx    context.Context // ends when the client is closed
	cancel context.CancelFunc
	ended  chan struct{} // closed when all goroutines have ended

	mu    sync.Mutex
	state sessionState
	err   error // why the client has ended
}

// New returns a client of the broker at a URL, and begins to connect. The URL is
// ws://host:8000/ws?topic=cats without a registration, or the one that POST /register
// returned. Call [Client.Close] when it is no longer needed.
//
// The outcome of connecting comes from [Client.Next]: as messages, unless the failure is
// permanent.
func New(url string, opts *Options) *Client {
	return start(func(context.Context) (string, error) { return url, nil }, false, opts)
}

// NewFunc is like [New] for URLs that expire, such as those of registrations. It calls url
// for the first one. It calls url again when the broker says that the present URL is gone
// (close codes 4000, 4003 and 4004). The client then continues from its resume point.
//
// An error of url counts as a failed attempt to connect. If it has a method Permanent()
// bool that reports true, it ends the client.
func NewFunc(url func(context.Context) (string, error), opts *Options) *Client {
	return start(url, true, opts)
}

func start(url func(context.Context) (string, error), renewable bool, o *Options) *Client {
	opts := settings(o)
	c := &Client{
		url: url, renewable: renewable, opts: opts,
		credential: credential{ask: opts.Token},
		queue:      newQueue(opts.Buffer, opts.After), wake: make(chan struct{}, 1), ended: make(chan struct{}),
		state: sessionState{memory: opts.ReplayMemory, cursor: opts.After},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	go c.run()
	return c
}

// Next waits for the next message and returns it. It fails with ctx's error, and with
// [ErrClosed] after [Client.Close]. If the client ended for good, it first returns
// everything received. It then fails with the reason: a [*CloseError] of the codes 4000 to
// 4099, a [*TooLargeError], an invalid URL, or an error of the URL function.
//
// Call it again soon. A client that waits stops reading from its connection once
// [Options.Buffer] is full. Then it no longer answers the broker, which disconnects it
// after a while (codes 4100 and 4101). It reconnects and continues from its resume point,
// as long as the broker retains what it has missed.
func (c *Client) Next(ctx context.Context) (Message, error) { return c.queue.get(ctx) }

// Cursor returns the resume point: [Client.Next] has returned everything for the client up
// to it. A new client with this cursor as [Options.After] continues from there. It may be
// later than the last event, because the broker also sends its position when nothing
// happens. So call it in the goroutine that calls Next, when the last message has been
// handled. It is "" if there is no resume point yet.
func (c *Client) Cursor() string { return c.queue.at() }

// Subscribe subscribes to topics, in addition to those of the URL or the registration, and
// returns at once. [Client.Next] returns the outcome: an [*Ack], after which the first
// event comes, or a [*Refused]. A subscription outlives the connection. A Subscribe
// without a connection waits for the next one.
//
// With After or Last a replay follows the Ack: events with [Event.Replay] set, and then a
// [*Live]. It may repeat events of other subscriptions. Other events of its topics come
// only after it.
//
// Subscribe fails for an invalid subscription (no topics, text that is not UTF-8, both
// After and Last) and for a client that has ended.
func (c *Client) Subscribe(s Subscription) (*Request, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	return c.ask(newRequest(s, false))
}

// Unsubscribe ends subscriptions to topics, named as they were subscribed. Topics without
// a subscription are ignored. It returns at once, and fails like [Client.Subscribe].
//
// A new registration may bring the topics again. They are then unsubscribed again, but an
// event may arrive before that is done.
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
	c.state.ask(r)
	signal(c.wake)
	return r, nil
}

// Close ends the client and its connection. It waits until all its goroutines have ended:
// at most a second for the broker's answer, and for the URL or token function if one is
// running.
// Messages that Next has not returned are dropped.
func (c *Client) Close() {
	c.end(ErrClosed, true)
	c.cancel()
	<-c.ended
}

// end stops the client: it takes and returns nothing more. Only the first reason counts.
func (c *Client) end(err error, drop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.state.end(c.err)
	c.queue.end(c.err, drop)
}

// put queues a message for the application when there is room. It reports false if the
// client has ended.
func (c *Client) put(m Message) bool {
	c.mu.Lock()
	at := c.state.at()
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
		expired := c.credential.ended(e.err)
		switch {
		case c.ctx.Err() != nil:
			return
		case expired:
		case renew:
			url = ""
			c.forget()
		case permanent(e.err):
			c.end(e.err, false)
			return
		}
		retry := pause.next(e, renew || expired)
		if !c.put(&Disconnected{Err: e.err, RetryIn: retry}) || !sleep(c.ctx, retry) {
			return
		}
	}
}

// forget prepares the session state for another URL.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.anonymous = false
}

// connect makes a connection and serves it until it ends.
func (c *Client) connect(raw string) (e ending) {
	c.mu.Lock()
	address, err := c.state.address(raw, c.opts.Last)
	c.mu.Unlock()
	if err != nil {
		return ending{err: &urlError{concealed(err)}}
	}
	token, err := c.credential.get(c.ctx)
	if err != nil {
		return ending{err: err}
	}
	s, err := c.dial(address, token)
	if err != nil {
		return ending{err: concealed(err)}
	}
	return s.serve()
}

// concealed returns an error without the URL. Anybody with the URL may connect, and errors
// end up in logs.
func concealed(err error) error {
	var about *url.Error
	if errors.As(err, &about) {
		return about.Err
	}
	return err
}
