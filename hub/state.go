package hub

import "time"

// State is the hub as a value: it does what the commands say and collects
// what is to be sent. It is not safe for concurrent use, and needs none.
type State struct {
	opts     Options
	now      time.Time     // by the clock of the machine, for what others know the time of
	age      time.Duration // how long the hub has been at work, for what ends after a time
	draining bool

	clients      map[ID]*client
	clientList   pagedList[*client]
	topicList    pagedList[*topic]
	users        map[string]*user
	topics       map[string]*topic
	patterns     node
	patternCount int
	window       window
	authority    authority
	storing      storing

	unconnected schedule // registered and never connected
	away        schedule // disconnected, may still come back
	changes     Changes  // of grants, the latest
	leases      leases   // connected for a limited time

	reading  deque[*client] // those that read, in turn; may hold clients that do so no longer
	polls    map[*Poll]struct{}
	woken    []*Poll            // to be told so
	ahead    matching           // of the next event
	releases deque[ConnReport]  // of which it is not known yet how far they came
	asked    map[*Conn][]func() // what waits for the beginning of connections: few ask before it
	late     []func()           // to be done at the end of the step
	news     news
	outboxes []outbox
	stats    Stats
	held     int    // bytes for clients, topics without events, and requests that wait
	work     uint64 // comparisons made
	overdue  bool   // the last tick has left something
	step     uint64 // of them in a step: stepWork
	turn     uint64 // comparisons at which the turn is over; 0: there are no turns
	kind     int    // of work that was gone on with last

	// Scratch space, valid within one command.
	found   []*entry
	sources []source
	losses  lossSearch
	mine    []*topic
}

// NewState returns an empty hub.
func NewState(opts Options) *State {
	s := &State{
		opts:        opts,
		step:        stepWork,
		ahead:       matching{marks: true},
		clients:     make(map[ID]*client),
		users:       make(map[string]*user),
		topics:      make(map[string]*topic),
		polls:       make(map[*Poll]struct{}),
		asked:       make(map[*Conn][]func()),
		authority:   authority{epoch: opts.Epoch, keys: dedupe{records: make(map[[16]byte]*record)}},
		window:      window{retention: retention{maxEvents: opts.HistoryEvents, maxAge: opts.HistoryAge, maxBytes: opts.HistoryBytes}},
		unconnected: schedule{wait: opts.RegisterTTL},
		away:        schedule{wait: opts.ResumeWindow},
		outboxes:    make([]outbox, opts.Couriers),
	}
	if opts.Stored {
		s.storing.next = new(Commit)
	}
	for i := range s.outboxes {
		s.outboxes[i] = outbox{batch: &Batch{}, gather: make([][]*Conn, len(opts.Encoders))}
	}
	s.stats.Disconnects = make([]uint64, reasons)
	s.stats.Removals = make([]uint64, reasons)
	return s
}

// SetLimits replaces the limits. Nobody loses what it has.
func (s *State) SetLimits(l Limits) { s.opts.Limits = l }
