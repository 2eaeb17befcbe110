package hub

import (
	"context"
	"slices"
)

// A result is a command's answer.
type result[T any] struct {
	value T
	err   error
}

// A request is a command with an answer.
type request[T any] struct {
	do    func(*State) (T, error)
	reply chan result[T] // of capacity 1: answering never blocks
}

func (r *request[T]) serve(h *Hub) {
	value, err := r.do(h.state)
	r.reply <- result[T]{value, err}
}

// ask sends a request and waits for the answer.
func ask[T any](h *Hub, do func(*State) (T, error)) (T, error) {
	r := &request[T]{do, make(chan result[T], 1)}
	if err := h.send(r); err != nil {
		var zero T
		return zero, err
	}
	return wait(h, r.reply)
}

// A request of a connection is answered when that has begun.
type spoken[T any] struct {
	request[T]
	conn *Conn
}

func (r *spoken[T]) serve(h *Hub) {
	answer := func() { r.request.serve(h) }
	if !h.state.Defer(r.conn, answer) {
		answer()
	}
}

// speak sends a connection's request and waits for the answer.
func speak[T any](h *Hub, conn *Conn, do func(*State) (T, error)) (T, error) {
	r := &spoken[T]{request[T]{do, make(chan result[T], 1)}, conn}
	if err := h.send(r); err != nil {
		var zero T
		return zero, err
	}
	return wait(h, r.reply)
}

func wait[T any](h *Hub, reply chan result[T]) (T, error) {
	select {
	case r := <-reply:
		return r.value, r.err
	case <-h.done:
		// The hub may have answered and ended in the meantime.
		select {
		case r := <-reply:
			return r.value, r.err
		default:
			var zero T
			return zero, ErrClosed
		}
	}
}

// A oneWay is a command without an answer.
type oneWay func(*State)

func (n oneWay) serve(h *Hub) { n(h.state) }

// Register adds a client. See [State.Register].
func (h *Hub) Register(r Registration) (Registered, error) {
	return ask(h, func(s *State) (Registered, error) { return s.Register(r) })
}

// Unregister forgets a client and reports whether it was there. See
// [State.Unregister].
func (h *Hub) Unregister(id ID) (bool, error) {
	return ask(h, func(s *State) (bool, error) { return s.Unregister(id), nil })
}

// UnregisterUser forgets all clients of a user. See [State.UnregisterUser].
func (h *Hub) UnregisterUser(name string) (removed int, err error) {
	for more := true; more; {
		n, err := ask(h, func(s *State) (n int, _ error) {
			n, more = s.UnregisterUser(name)
			return n, nil
		})
		if removed += n; err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// AddTopic subscribes a client to one more topic. See [State.AddTopic].
func (h *Hub) AddTopic(id ID, name string) error {
	_, err := ask(h, func(s *State) (struct{}, error) { return struct{}{}, s.AddTopic(id, name) })
	return err
}

// RemoveTopic ends a client's subscription. See [State.RemoveTopic].
func (h *Hub) RemoveTopic(id ID, name string) error {
	_, err := ask(h, func(s *State) (struct{}, error) { return struct{}{}, s.RemoveTopic(id, name) })
	return err
}

// SetLimits replaces the limits. It returns before the hub has done so.
func (h *Hub) SetLimits(l Limits) error {
	return h.send(oneWay(func(s *State) { s.SetLimits(l) }))
}

// Regrant looks again at the grants of all clients, and returns how many have ended.
// See [State.Regrant].
func (h *Hub) Regrant(changes Changes) (ended int, err error) {
	for after, more := uint64(0), true; more && err == nil; {
		var part int
		part, err = ask(h, func(s *State) (ended int, _ error) {
			ended, after, more = s.Regrant(changes, after)
			return ended, nil
		})
		ended += part
	}
	return ended, err
}

// Clients returns clients, a part after the other. See [State.Clients].
func (h *Hub) Clients(q ClientsQuery) (ClientsPage, error) {
	return ask(h, func(s *State) (ClientsPage, error) { return s.Clients(q), nil })
}

// Client returns a client by its id. See [State.Client].
func (h *Hub) Client(id ID) (ClientInfo, error) {
	return ask(h, func(s *State) (ClientInfo, error) { return s.Client(id) })
}

// Find returns a client by its handle. It fails with [ErrUnknownClient].
func (h *Hub) Find(handle Handle) (info ClientInfo, err error) {
	for after, more := uint64(0), true; more; {
		info, err = ask(h, func(s *State) (ClientInfo, error) {
			var found *ClientInfo
			if found, after, more = s.Find(handle, after); found != nil {
				more = false
				return *found, nil
			}
			return ClientInfo{}, ErrUnknownClient
		})
		if err != ErrUnknownClient {
			return info, err
		}
	}
	return info, err
}

// Topics returns topics, a part after the other. See [State.Topics].
func (h *Hub) Topics(after uint64, limit int, pattern string) (TopicsPage, error) {
	return ask(h, func(s *State) (TopicsPage, error) { return s.Topics(after, limit, pattern), nil })
}

// Topic returns what is known of a topic; ok is false if that is nothing.
func (h *Hub) Topic(name string) (info TopicInfo, ok bool, err error) {
	q := SearchTopic(name)
	for done := false; !done; {
		info, err = ask(h, func(s *State) (TopicInfo, error) {
			info, ok = s.Topic(name)
			info.Patterns, done = s.Patterns(q)
			return info, nil
		})
		if err != nil {
			return TopicInfo{}, false, err
		}
	}
	slices.Sort(info.Patterns)
	info.Patterns = slices.Compact(info.Patterns)
	return info, ok || len(info.Patterns) > 0, nil
}

// Present returns the users with connected clients that get a topic, in the order of
// their names.
func (h *Hub) Present(topic string) ([]Presence, error) {
	counts := make(map[string]int)
	q := SearchTopic(topic)
	for more := true; more; {
		_, err := ask(h, func(s *State) (struct{}, error) {
			more = s.Present(q, counts)
			return struct{}{}, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return sortedPresence(counts), nil
}

// Explain says what becomes of events of a topic for a client. See
// [State.Explain].
func (h *Hub) Explain(id ID, topic string) (Explanation, error) {
	return ask(h, func(s *State) (Explanation, error) { return s.Explain(id, topic), nil })
}

// ExplainEvent says what has become of an event, by its id, for a client. See
// [State.ExplainEvent].
func (h *Hub) ExplainEvent(id ID, event string) (Explanation, error) {
	var at Position
	for before, more := Position(0), true; more; {
		_, err := ask(h, func(s *State) (struct{}, error) {
			at, before = s.FindEvent(event, before)
			more = before > 0
			return struct{}{}, nil
		})
		if err != nil {
			return Explanation{}, err
		}
	}
	return ask(h, func(s *State) (Explanation, error) { return s.ExplainEvent(id, at), nil })
}

// Stats returns the hub's figures.
func (h *Hub) Stats() (Stats, error) {
	return ask(h, func(s *State) (Stats, error) {
		st := s.Stats()
		st.Commands = len(h.inbox)
		return st, nil
	})
}

// Admit tells whether a client may connect. See [State.Admit].
func (h *Hub) Admit(id ID) error {
	_, err := ask(h, func(s *State) (struct{}, error) { return struct{}{}, s.Admit(id) })
	return err
}

// AdmitNew tells whether a connection without a registration may be made. See
// [State.AdmitNew].
func (h *Hub) AdmitNew(user string, topics int) error {
	_, err := ask(h, func(s *State) (struct{}, error) { return struct{}{}, s.AdmitNew(user, topics) })
	return err
}

// Attach gives a client its connection. It returns before the hub has done so;
// what comes of it the connection's courier hears. See [State.Attach].
func (h *Hub) Attach(id ID, conn *Conn, from From) error {
	return h.send(oneWay(func(s *State) { s.Attach(id, conn, from) }))
}

// Connect makes a client for a connection. It returns before the hub has done
// so; what comes of it the connection's courier hears. See [State.Connect].
func (h *Hub) Connect(r Registration, conn *Conn, from From) error {
	return h.send(oneWay(func(s *State) { s.Connect(r, conn, from) }))
}

// Lag reports a connection that is slow. It returns before the hub has taken
// note. See [State.Lag].
func (h *Hub) Lag(conn *Conn) error {
	return h.send(oneWay(func(s *State) { s.Lag(conn) }))
}

// SetTopics replaces the topics of the client of a connection, and
// reports whether that was done. See [State.SetTopics].
func (h *Hub) SetTopics(conn *Conn, names []string) (bool, error) {
	return ask(h, func(s *State) (bool, error) { return s.SetTopics(conn, names), nil })
}

// Subscribe subscribes the client of a connection to more topics. See
// [State.Subscribe].
func (h *Hub) Subscribe(conn *Conn, r Subscribe) error {
	_, err := speak(h, conn, func(s *State) (struct{}, error) { return struct{}{}, s.Subscribe(conn, r) })
	return err
}

// Unsubscribe ends subscriptions of the client of a connection. See
// [State.Unsubscribe].
func (h *Hub) Unsubscribe(conn *Conn, names []string, ref []byte) error {
	_, err := speak(h, conn, func(s *State) (struct{}, error) { return struct{}{}, s.Unsubscribe(conn, names, ref) })
	return err
}

// Renew gives the client of a connection another grant. See [State.Renew].
func (h *Hub) Renew(conn *Conn, user string, g *Grant, ref []byte) error {
	_, err := speak(h, conn, func(s *State) (struct{}, error) { return struct{}{}, s.Renew(conn, user, g, ref) })
	return err
}

// Say gives a connection a frame that is no event. It waits until the hub has
// taken it, as all that a connection asks for does: so nobody can ask faster
// than is answered. See [State.Say].
func (h *Hub) Say(conn *Conn, f *Frame) error {
	_, err := speak(h, conn, func(s *State) (struct{}, error) { s.Say(conn, f); return struct{}{}, nil })
	return err
}

// History returns a part of what is retained of a topic for everybody. If that
// is nothing, it waits for an event until ctx ends. See [State.History] and
// [State.Await].
func (h *Hub) History(ctx context.Context, topic string, from From) (Page, error) {
	var poll *Poll
	woken := make(chan struct{})
	page, err := h.history(topic, from, func(s *State, page Page) (err error) {
		if len(page.Events) == 0 && ctx.Err() == nil {
			poll, err = s.Await(topic, woken)
		}
		return err
	})
	if err != nil || poll == nil {
		return page, err
	}
	select {
	case <-woken:
		return h.history(topic, From{After: &page.Cursor}, func(*State, Page) error { return nil })
	case <-h.done:
		return Page{}, ErrClosed
	case <-ctx.Done():
		return page, h.send(oneWay(func(s *State) { s.EndPoll(poll) }))
	}
}

// history looks for a part of a topic's history, and does something in the step in which
// it is found.
func (h *Hub) history(topic string, from From, do func(*State, Page) error) (page Page, err error) {
	q := SearchHistory(topic, from)
	for done := false; !done && err == nil; {
		page, err = ask(h, func(s *State) (page Page, err error) {
			if page, done, err = s.History(q); done && err == nil {
				err = do(s, page)
			}
			return page, err
		})
	}
	return page, err
}

// ConnEnded takes a courier's report. See [State.ConnEnded].
func (h *Hub) ConnEnded(r ConnReport) error {
	return h.send(oneWay(func(s *State) { s.ConnEnded(r) }))
}

// ChunkWritten takes a courier's report that an [OpChunk] was written. See
// [State.ChunkWritten].
func (h *Hub) ChunkWritten(conn *Conn) error {
	return h.send(oneWay(func(s *State) { s.ChunkWritten(conn) }))
}

// Batches is where a courier gets its work. It must answer each batch by
// [Hub.BatchDone] before it gets another.
func (h *Hub) Batches(courier int) <-chan *Batch { return h.couriers[courier].batches }

// BatchDone gives a batch back and asks for the next one.
func (h *Hub) BatchDone(courier int, b *Batch) error {
	select {
	case <-h.done:
		return ErrClosed // there is room all the same
	default:
	}
	h.spent <- spent{courier, b.empty()} // has room: a courier has one batch at a time
	return nil
}

// A spent is a batch that a courier is done with.
type spent struct {
	courier int
	batch   *Batch
}

// Drain closes every connection and refuses new ones. See [State.Drain].
func (h *Hub) Drain() error {
	for more := true; more; {
		var err error
		if more, err = ask(h, func(s *State) (bool, error) { return s.Drain(), nil }); err != nil {
			return err
		}
	}
	return nil
}
