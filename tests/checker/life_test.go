package checker_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"belfry/hub"
)

// What the checker's subscribers do.

// A checkKind is a way to be a subscriber.
type checkKind struct {
	name       string
	open       func(w *checkWorld, to target) (line, error) // nil: it polls
	registered bool
	resumes    bool // comes back with the last cursor that it was told
	welcomed   bool // is told first where a connection begins
	webSocket  bool
	asks       bool // for more topics while connected
}

var kinds = []*checkKind{
	{"bare", openBare, true, false, false, true, false},
	{"bare, unregistered", openBare, false, false, false, true, false},
	{"belfry.v1 with after", openV1, true, true, true, true, true},
	{"belfry.v1 without after", openV1, true, false, true, true, false},
	{"belfry.v1, unregistered", openV1, false, true, true, true, true},
	{"SSE", (*checkWorld).stream, true, true, true, false, false},
	{"SSE without cursors", (*checkWorld).stream, true, false, true, false, false},
	{"SSE, unregistered", (*checkWorld).stream, false, true, true, false, false},
	{"SSE over HTTP/2", (*checkWorld).stream2, true, true, true, false, false},
	{"SSE over HTTP/2, unregistered", (*checkWorld).stream2, false, true, true, false, false},
	{"polling", nil, false, true, false, false, false},
}

func openBare(w *checkWorld, to target) (line, error) { return w.webSocket(to, parseBare) }

func openV1(w *checkWorld, to target) (line, error) {
	to.header += "Sec-WebSocket-Protocol: belfry.v1\r\n"
	return w.webSocket(to, parseV1)
}

// A checked is a subscriber. What it was told is judged in the end.
type checked struct {
	w      *checkWorld
	number int
	kind   *checkKind
	random *rand.Rand
	user   int // 0: nobody in particular
	tally  map[string]int

	path    string       // of the registered client; "" before, and when it has to register again
	floor   hub.Position // of a registration: what was published before it
	fresh   bool         // nothing that came before counts for the next session
	have    []string     // its subscriptions
	maybe   []string     // what may be one, or may be none: the answer has not come
	open    []*asking    // not answered in full on this connection
	again   []*asking    // to be repeated on the next
	looks   []look
	refs    int
	cursor  hub.Cursor // the last that it was told
	ending  bool       // all is published
	session *session
	all     []*session
}

func (s *checked) String() string { return fmt.Sprintf("subscriber %d (%s)", s.number, s.kind.name) }

func newChecked(w *checkWorld, number int, random *rand.Rand) *checked {
	s := &checked{w: w, number: number, kind: kinds[number%len(kinds)], random: random, tally: make(map[string]int)}
	if s.kind.registered {
		s.user = 1 + random.IntN(checkUsers+1) // to the last of them nothing is directed
	}
	for range 1 + random.IntN(4) {
		s.have = union(s.have, s.anyName())
	}
	if s.kind.asks && s.random.IntN(3) == 0 {
		s.have = []string{"t.0.>", "t.1.>", "t.2.>"} // much to read, and others to ask for
	}
	s.have = union(s.have, "end")
	s.fresh = true
	return s
}

// anyName returns something to subscribe to.
func (s *checked) anyName() string {
	switch n := s.random.IntN(40); {
	case n < 26:
		return checkedTopics[s.random.IntN(endTopic)]
	case n < 33:
		return fmt.Sprintf("t.*.%d", s.random.IntN(10))
	case n < 37:
		return fmt.Sprintf("t.%d.>", s.random.IntN(5))
	default:
		return []string{"t.>", "t.*.*", ">"}[n-37]
	}
}

func union(names []string, more ...string) []string {
	names = slices.Clone(names)
	for _, name := range more {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// A session is what a subscriber was told over one connection, or by all polls.
type session struct {
	fresh  bool         // the first of a registration, or of a client without one
	names  []string     // its subscriptions at the beginning
	floor  hub.Position // nothing up to here may come
	after  *hub.Cursor  // where it asked to begin
	last   int          // with the newest so many of each topic
	before hub.Position // what was published for certain when it was opened,
	opened hub.Position // when it was open,
	cut    hub.Position // and when it was over
	// orderly: everything that the broker had written was read.
	orderly bool
	heard   []heard
	asks    map[int]*asking
	small   bool      // its receive buffer is
	early   *asking   // asked together with the handshake
	unlived []*asking // replays that were cut
}

// live comes and goes until all is published and received.
func (s *checked) live() error {
	if s.kind.open == nil {
		return s.poll()
	}
	var l line
	for {
		if l == nil {
			var err error
			if l, err = s.connect(); err != nil {
				return fmt.Errorf("connecting: %w", err)
			}
			if err := s.begin(); err != nil {
				l.end(true)
				return err
			}
		}
		next, done, err := s.listen(l)
		if done || err != nil {
			l.end(true)
			return err
		}
		if l = next; l == nil && s.random.IntN(2) == 0 {
			s.w.wait(s.random.IntN(s.away()))
		}
	}
}

// away is the most events that a subscriber misses on purpose: enough now and
// then to be read in several chunks, and where little is retained, always more
// than that.
func (s *checked) away() int {
	switch {
	case s.w.plan.tight:
		return s.w.count / 6
	case s.random.IntN(4) == 0:
		return s.w.count / 4
	}
	return s.w.count / 40
}

// begin takes the welcome, and repeats what has to be.
func (s *checked) begin() error {
	if !s.kind.welcomed {
		for _, h := range s.session.heard {
			s.ending = s.ending || int(h.key) > s.w.count
		}
		return nil
	}
	w := s.session.heard[0]
	if w.kind != hWelcome {
		return fmt.Errorf("%w: it began with kind %d", errHeard, w.kind)
	}
	s.cursor = w.at
	if !s.kind.asks {
		return nil
	}
	for _, name := range w.detail.topics {
		if !slices.Contains(s.have, name) && !slices.Contains(s.maybe, name) {
			return fmt.Errorf("it was welcomed with the topic %s, and has %v", name, s.have)
		}
	}
	for _, name := range s.have {
		if !slices.Contains(w.detail.topics, name) && !slices.Contains(s.maybe, name) {
			return fmt.Errorf("it was welcomed without the topic %s, with %v", name, w.detail.topics)
		}
	}
	s.have, s.maybe = w.detail.topics, nil
	if s.session.early != nil {
		s.asked(s.session.early)
	}
	return nil
}

// listen takes what comes over a connection until it is cut. The next one is
// there already if it took over.
func (s *checked) listen(l line) (next line, done bool, err error) {
	for _, a := range s.again {
		s.repeat(l, a)
	}
	s.again = nil
	budget := 1 + int(s.random.ExpFloat64()*s.patience())
	for n := 0; ; n++ {
		switch {
		case s.ending && len(s.open) == 0:
			s.over(s.session, false)
			return nil, true, nil
		case s.ending:
		case n >= budget:
			next, err = s.cut(l)
			return next, false, err
		default:
			often := 25
			if n == 0 {
				often = 2 // it may still be read what was missed
			}
			if s.askAround(l, often) && s.random.IntN(2) == 0 {
				budget = min(budget, n+1+s.random.IntN(100))
			}
			if s.random.IntN(1500) == 0 {
				s.tally["pauses"]++
				s.w.wait(s.random.IntN(s.w.count / 10))
			}
		}
		h, err := l.Next()
		if bye, ok := errors.AsType[*goodbye](err); ok {
			err = s.sentAway(bye)
			l.end(false)
			return nil, false, err
		}
		if err == nil {
			err = s.hear(s.session, h)
		}
		if err != nil {
			return nil, false, fmt.Errorf("after %d messages: %w", n, err)
		}
	}
}

// patience is about how many messages a connection lasts: about a thirtieth of
// what there is for the subscriber.
func (s *checked) patience() float64 {
	topics := 0
	for _, topic := range checkedTopics {
		if slices.ContainsFunc(s.have, func(name string) bool { return admits(name, topic) }) {
			topics++
		}
	}
	return max(20, float64(s.w.count*topics/len(checkedTopics))/30)
}

// hear keeps what was told.
func (s *checked) hear(in *session, h heard) error {
	h.high = s.w.now()
	in.heard = append(in.heard, h)
	if h.kind == hEvent && int(h.key) > s.w.count {
		s.ending = true
	}
	if h.at != (hub.Cursor{}) {
		s.cursor = h.at
	}
	switch h.kind {
	case hAck:
		return s.acked(in, h)
	case hLive:
		return s.lived(in, h)
	case hWelcome:
		return fmt.Errorf("%w: another welcome", errHeard)
	}
	return nil
}

// over takes note of the end of a connection.
func (s *checked) over(of *session, orderly bool) {
	of.cut, of.orderly = s.w.now(), orderly
	s.abandon(of)
}
