package transport

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/hub"
)

// What the peers of a simulation do.

var (
	simTopics   = []string{"a", "a.b", "a.c", "b", "c.d.e"}
	simPatterns = []string{"a", "a.b", "a.c", "b", "c.d.e", "a.*", ">", "*", "a.>", "*.b"}
)

// simMatches tells which topics a pattern covers.
var simMatches = func() map[string][]bool {
	m := make(map[string][]bool)
	for _, p := range simPatterns {
		for _, t := range simTopics {
			m[p] = append(m[p], hub.Match(p, t))
		}
	}
	return m
}()

// A peer is a client on the other side of the network. It outlives its
// connections.
type peer struct {
	sim        *sim
	name       string
	kind       protocol
	h2         bool // over HTTP/2; of server-sent events
	registered bool
	id         hub.ID // of its registration
	user       string
	topics     []string // that it connects with
	slow       hub.SlowPolicy
	line       *line // its connection; nil without

	// Of a protocol with cursors.
	sparse hub.Position    // up to here it gets only the newest events
	cursor hub.Cursor      // the last that it was told; of no log at first
	newest [5]hub.Position // by topic: the newest event that it has had
	wishes []*wish         // replays that are not over

	// Of the protocol without.
	fresh bool         // its events begin with its next connection
	seen  hub.Position // it has had what it may see up to here
}

// A wish is a replay that a peer asks for again and again until it is over.
type wish struct {
	topics []string
	from   hub.From
}

// A request is what a peer asked for over a connection.
type request struct {
	ref    string
	op     string
	topics []string
	from   hub.From
	wish   *wish
	head   hub.Position // of the log when the hub took it
}

func newPeer(s *sim, n int) *peer {
	p := &peer{sim: s, name: fmt.Sprint("peer ", n), registered: s.rng.IntN(2) == 0, fresh: true}
	p.kind = either[protocol](s, v1{}, v1{}, sse{}, bare{})
	if p.registered {
		p.user = either(s, "u", "v", "")
	}
	if s.slow && p.cursors() {
		p.slow = either(s, hub.SlowClose, hub.SlowDropOldest, hub.SlowLatest)
		p.h2 = (p.kind == sse{}) && s.rng.IntN(2) == 0
	}
	for len(p.topics) == 0 || s.rng.IntN(3) > 0 && len(p.topics) < 3 {
		if name := either(s, simPatterns...); !slices.Contains(p.topics, name) {
			p.topics = append(p.topics, name)
		}
	}
	if p.registered {
		p.register()
	}
	return p
}

// register registers a peer anew.
func (p *peer) register() {
	p.id, p.fresh, p.sparse = p.sim.id(), true, 0
	p.sim.logf("%s registers, user %q, %v", p.name, p.user, p.topics)
	if _, err := p.sim.state.Register(hub.Registration{ID: p.id, User: p.user, Topics: p.topics}); err != nil && err != hub.ErrDraining {
		p.sim.failf("%s: %v", p.name, err)
	}
}

// cursors reports whether a peer is told cursors.
func (p *peer) cursors() bool { return p.kind != bare{} }

// act has a peer do something.
func (p *peer) act() {
	s := p.sim
	switch n := s.rng.IntN(20); {
	case p.line == nil:
		if n < 12 {
			p.connect()
		}
	case n < 3:
		p.cut()
	case n < 4:
		p.leave()
	case n < 5:
		p.connect() // beside the connection that it has
	case n < 9:
		p.ask(&request{op: "subscribe", topics: p.someTopics()})
	case n < 12:
		r := &request{op: "subscribe", topics: p.someTopics()}
		if s.rng.IntN(4) == 0 {
			r.from.Last = either(s, 1, 3, hub.MaxLast)
		} else {
			after := s.position()
			r.from.After = &after
		}
		r.wish = &wish{r.topics, r.from}
		p.ask(r)
	case n < 15:
		p.ask(&request{op: "unsubscribe", topics: p.someTopics()})
	case n < 16:
		p.ask(&request{op: "ping"})
	case n < 18:
		p.line.stalled = !p.line.stalled
	}
}

func (p *peer) someTopics() []string {
	names := []string{either(p.sim, simPatterns...)}
	if other := either(p.sim, simPatterns...); other != names[0] && p.sim.rng.IntN(2) == 0 {
		names = append(names, other)
	}
	return names
}

// connect begins a connection, as the HTTP server has it begin.
func (p *peer) connect() {
	s := p.sim
	if p.line != nil {
		p.line.sock.peer = nil // it is not read from any more
		p.forgetLine()
	}
	var from hub.From
	if after := p.cursor; after.Epoch > 0 {
		from.After = &after
	} else if p.cursors() && s.rng.IntN(3) == 0 {
		from.Last = either(s, 1, 3, hub.MaxLast)
	}
	want := hub.Want{Registered: p.registered, ID: p.id, Topics: p.topics, From: from, Slow: &p.slow}
	if !p.registered {
		want.ID = s.id()
	}
	c := &conn{server: s.server, speaks: p.kind, opening: &opening{answer: []byte(answer)}}
	if (p.kind == sse{}) {
		c.deaf, c.discards = true, true
		c.opening = &opening{answer: []byte("200\r\n\r\nretry: 1\n"), refuse: func(_ *conn, f farewell) []byte {
			if f.comesBack() {
				return []byte("200\r\n\r\nretry: 1\n")
			}
			return []byte("204\r\n\r\n")
		}}
	}
	k := &simSock{sim: s, conn: c, peer: p}
	c.sock, c.sink = k, tcpSink{}
	if p.h2 {
		c.sock, c.sink = simStream{k}, http2Sink{simStream{k}}
		c.opening = &opening{answer: []byte("retry: 1\n"), refuse: func(_ *conn, f farewell) []byte {
			if f.comesBack() {
				return []byte("retry: 1\n")
			}
			return nil
		}}
	}
	s.server.assign(c, want)
	k.post = s.posts[c.courier.number]
	c.courier.coming.add(c)
	s.socks = append(s.socks, k)
	s.server.open.Add(1)
	l := newLine(p, k, from)
	l.answered = p.h2 // that is not of its bytes
	p.line = l
	s.logf("%s connects, %T, %v, after %v, last %d", p.name, p.kind, p.topics, p.cursor, from.Last)
	s.send(func() { p.attach(l, c, want) })
}

// attach is what the hub does for a new connection.
func (p *peer) attach(l *line, c *conn, want hub.Want) {
	state := p.sim.state
	head := hub.Position(len(p.sim.log()))
	if want.From.Last > 0 {
		p.sparse = head
	}
	if want.From.After == nil {
		l.sparse = p.sparse // also if an earlier connection asked for it and did not begin
	}
	if want.Registered {
		if p.fresh && state.Admit(want.ID) == nil && p.id == want.ID {
			p.fresh, p.seen = false, head
		}
		state.Attach(want.ID, &c.Conn, want.From)
		return
	}
	if p.line == l {
		p.seen = head
	}
	state.Connect(hub.Registration{ID: want.ID, Topics: want.Topics}, &c.Conn, want.From)
}

// ask sends a request, in the form in which a program does.
func (p *peer) ask(r *request) {
	l := p.line
	if (p.kind != v1{}) || !l.welcomed || l.over || l.sock.told {
		return
	}
	s := p.sim
	l.refs++
	r.ref = strconv.Itoa(l.refs)
	l.asked = append(l.asked, r)
	if r.wish != nil && !slices.Contains(p.wishes, r.wish) {
		p.wishes = append(p.wishes, r.wish)
	}
	if s.told {
		s.logf("%s asks %+v", p.name, *r)
	}
	c := l.sock.conn
	ref := []byte(`"` + r.ref + `"`)
	do := func() {
		r.head = hub.Position(len(s.log()))
		var err error
		switch r.op {
		case "subscribe":
			err = s.state.Subscribe(&c.Conn, hub.Subscribe{Topics: r.topics, From: r.from, Ref: ref})
		case "unsubscribe":
			err = s.state.Unsubscribe(&c.Conn, r.topics, ref)
		default:
			say(s.state, c, `{"type":"pong"`, ref)
		}
		if err == hub.ErrTooManyTopics || err == hub.ErrTooManyReplays {
			say(s.state, c, `{"type":"error"`, ref)
		}
	}
	s.send(func() {
		if !s.state.Defer(&c.Conn, do) {
			do()
		}
	})
}

func say(state *hub.State, c *conn, text string, ref jsontext.Value) {
	state.Say(&c.Conn, &hub.Frame{Bytes: appendFrame(nil, opText, append(appendRef([]byte(text), ref), '}'))})
}

// cut has a peer's line end: its kernel's bytes are lost. The broker hears of it,
// or does not.
func (p *peer) cut() {
	l := p.line
	if l == nil {
		return
	}
	p.sim.logf("%s is cut", p.name)
	l.sock.peer = nil
	if p.sim.rng.IntN(2) == 0 {
		l.sock.gone()
	}
	p.forgetLine()
}

// leave has a peer close its connection in good order.
func (p *peer) leave() {
	l := p.line
	if l.sock.told || l.sock.conn.phase == phaseNew || (p.kind == sse{}) {
		return
	}
	p.sim.logf("%s leaves", p.name)
	l.sock.told, l.sock.peer = true, nil
	l.sock.post.tell(report{kind: reportClose, c: l.sock.conn, code: closeNormal})
	p.forgetLine()
}

// lineEnded has a peer see the end of its connection, when it has read what had
// arrived, or some of it.
func (p *peer) lineEnded() {
	if p.line == nil {
		return
	}
	p.read(either(p.sim, 0, 100, 1<<20))
	if p.line != nil {
		p.line.sock.peer = nil
		p.forgetLine()
	}
}

// forgetLine forgets a connection and what it was about to answer.
func (p *peer) forgetLine() { p.line.over, p.line = true, nil }
