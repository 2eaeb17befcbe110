package hub

import (
	"context"
	"errors"
	"time"
)

// What a command fails with when the hub does not take it.
var (
	// ErrClosed says that the hub has ended.
	ErrClosed = errors.New("the broker has stopped")
	// ErrBusy says that the hub had no room for an event before the
	// caller's deadline. The event was not published.
	ErrBusy = errors.New("the broker is busy; try again later")
)

// Options are the hub's limits and what it needs of the outside. All bounds
// are above zero unless said otherwise.
type Options struct {
	Epoch uint64           // names this log and no other; from 1, below 2^48
	Clock func() time.Time // the time
	// MaxStep is the most time that passes between two looks at the clock, for what
	// ends after a time; 0 is no bound. More of it was none in which clients could have
	// come: the process was stopped, or the clock was set.
	MaxStep time.Duration
	// Encoders write events as the protocols of connections send them; at least one.
	Encoders []Encoder
	// EncodePresence returns the message that tells of a change of presence: JSON.
	EncodePresence func(PresenceChange) []byte

	Limits
	RegisterTTL  time.Duration // a registration that never connects lives so long
	ResumeWindow time.Duration // a disconnected client lives so long; 0 forgets it at once

	HistoryEvents int           // events retained per topic and user; 0 or more
	HistoryAge    time.Duration // events are retained so long
	HistoryBytes  int           // bytes retained in all, overhead counted

	DedupeWindow time.Duration // keys of publications are remembered so long
	DedupeBytes  int           // bytes for that in all, overhead counted

	// Stored says that there is a store: what is published is handed over to be stored, and
	// has its effect when that is done. See [Hub.Commits].
	Stored bool

	Couriers     int // couriers
	Backlog      int // deliveries waiting for one courier, above which no more events are taken
	BacklogBytes int // bytes of frames waiting for one courier, above which no more events are taken
	Queue        int // commands waiting for the hub, above which adapters wait

	PublishTimeout time.Duration // how long an event may wait for the hub to take it
}

// Limits are those bounds that can change while the hub runs. Who is over a
// new one keeps what it has.
type Limits struct {
	MaxClients       int // registrations
	MaxUserClients   int // registrations of one user, if it has a name; 0 is no limit
	MaxConnections   int // connected clients
	MaxSubscriptions int // topics and patterns of one client
	MaxLagBytes      int // bytes of messages that a connection of [SlowDropOldest] may lag
}

// tickInterval is how often the hub looks for what has run out.
const tickInterval = 250 * time.Millisecond

// drainLimit bounds the commands taken before what they led to is sent.
const drainLimit = 256

// sparePublishes bounds the requests kept for reuse.
const sparePublishes = 64

// A Hub is the goroutine that owns a [State]. Its methods may be called from
// any goroutine; they wait for the hub, which waits for nobody.
type Hub struct {
	// Static after construction.
	inbox     chan command
	publishes chan *publish // unbuffered: what the hub has not taken has no effect
	spent     chan spent    // with room for one of each courier: who is done need not wake the hub
	done      chan struct{}
	couriers  []link
	opts      Options
	spares    chan *publish // for reuse

	// The line to the store. At most one commit is under way, so neither side waits.
	commits chan *Commit
	stored  chan stored

	// Owned by Run.
	state    *State
	storing  bool            // the store has a commit
	down     bool            // the store can take none now
	settled  []chan struct{} // to be closed when nothing waits for the store
	underway *publish        // that is under way, and has to be gone on with; else nil
	due      bool            // something waits for a courier that has a batch under way
	waking   bool            // there are polls that were not told yet
	last     int             // what takes a while and was gone on with last
}

// A link is the hub's line to one courier. It has at most one batch under
// way, so that sending never blocks: the courier gives it back when it is done,
// and what comes meanwhile is gathered.
type link struct {
	batches chan *Batch
	spare   *Batch // emptied; nil while a batch is under way
}

// A command is served by the hub, in its turn.
type command interface{ serve(h *Hub) }

// New returns a hub that takes commands as soon as Run is called.
func New(opts Options) *Hub {
	h := &Hub{
		inbox:     make(chan command, opts.Queue),
		publishes: make(chan *publish),
		spent:     make(chan spent, opts.Couriers),
		done:      make(chan struct{}),
		couriers:  make([]link, opts.Couriers),
		opts:      opts,
		state:     NewState(opts),
		spares:    make(chan *publish, sparePublishes),
		commits:   make(chan *Commit, 1),
		stored:    make(chan stored, 1),
	}
	for i := range h.couriers {
		h.couriers[i] = link{batches: make(chan *Batch, 1), spare: &Batch{}}
	}
	return h
}

// ready is a channel that can always be received from.
var ready = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// Run serves commands until ctx ends. It must be called once.
func (h *Hub) Run(ctx context.Context) {
	defer close(h.done)
	tick := time.NewTicker(tickInterval)
	defer tick.Stop()
	h.state.Tick(h.opts.Clock())
	for {
		h.state.Turn()
		publishes, spent, work, stored := h.open(), h.spent, (<-chan struct{})(nil), h.stored
		if h.state.Applying() {
			stored = nil
		}
		if !h.due {
			spent = nil
		}
		if !h.state.Congested() && (h.underway != nil || h.waking || h.state.Busy()) {
			work = ready
		}
		select {
		case c := <-h.inbox:
			h.serve(c)
		case p := <-publishes:
			h.serve(p)
		case b := <-spent:
			h.regain(b)
		case r := <-stored:
			h.settle(r)
		case <-work:
			h.work()
		case <-tick.C:
			h.state.Tick(h.opts.Clock())
			h.state.Announce()
		case <-ctx.Done():
			return
		}
		h.state.Settle()
		h.flush()
	}
}

// serve takes a command and those that have arrived after it, as far as a turn may,
// so that under load what they lead to leaves together.
func (h *Hub) serve(c command) {
	h.state.Tick(h.opts.Clock())
	c.serve(h)
	for range drainLimit {
		if h.state.Over() {
			return
		}
		select {
		case c := <-h.inbox:
			c.serve(h)
		case p := <-h.open():
			p.serve(h)
		default:
			return
		}
	}
}

// open returns where publishes come from, nil while none should be taken.
func (h *Hub) open() <-chan *publish {
	if h.underway != nil || h.down || h.state.Congested() || h.state.Full() {
		return nil
	}
	return h.publishes
}

// work goes on with something that takes a while, with another thing each turn.
func (h *Hub) work() {
	for done := false; !done; {
		h.last = (h.last + 1) % 3
		switch {
		case h.last == 0 && h.state.Busy():
			h.state.Work()
		case h.last == 1 && h.underway != nil:
			h.underway.goOn(h)
		case h.last == 2 && h.waking:
			h.wake()
		default:
			continue
		}
		done = true
	}
}

// wake tells polls that there is an event.
func (h *Hub) wake() {
	var woken []*Poll
	woken, h.waking = h.state.Woken()
	for _, p := range woken {
		close(p.Owner.(chan struct{})) // once
	}
}

// Cursor names a position of the hub's log.
func (h *Hub) Cursor(p Position) Cursor { return Cursor{h.opts.Epoch, p} }

// regain takes the batch that a courier has given back.
func (h *Hub) regain(b spent) { h.couriers[b.courier].spare = b.batch }

// flush hands each courier that is ready what waits for it, and the store. It wakes polls
// and answers publications.
func (h *Hub) flush() {
	h.wake()
	h.store()
	for len(h.spent) > 0 { // nobody else receives
		h.regain(<-h.spent)
	}
	h.due = false
	for i := range h.couriers {
		l := &h.couriers[i]
		if l.spare == nil {
			h.due = h.due || h.state.Waits(i)
			continue
		}
		if b := h.state.Take(i, l.spare); b != nil {
			l.spare = nil
			l.batches <- b // has room: the one before was taken
		}
	}
}

// send hands a command to the hub.
func (h *Hub) send(c command) error {
	select {
	case <-h.done:
		return ErrClosed // though there may be room in the inbox
	default:
	}
	select {
	case h.inbox <- c:
		return nil
	case <-h.done:
		return ErrClosed
	}
}

// Done is closed when the hub has ended.
func (h *Hub) Done() <-chan struct{} { return h.done }
