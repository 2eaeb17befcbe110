package hub

import "time"

// A From says where reading begins. Its zero value leaves that to the hub: at
// the head, or where an earlier connection came to.
type From struct {
	After *Cursor // behind what it names; nil says nothing
	Last  int     // with the newest so many events of each topic, [MaxLast] in all; only without After
}

func (f From) given() bool { return f.After != nil || f.Last > 0 }

// place says where a reading that begins as from says stands at first. If the
// cursor does not belong here, the result is a gap as well: of another log
// nothing is known, so everything retained follows; of the future nothing is
// there to follow.
func (s *State) place(from From, head Position) (rd reading, gap *Gap) {
	if from.After == nil {
		rd = reading{pos: head}
		if from.Last > 0 {
			rd.last = newNewest(from.Last, head)
		}
		return rd, nil
	}
	after := *from.After
	switch {
	case after.Epoch != s.opts.Epoch:
		return reading{}, &Gap{From: after, To: s.cursor(0), Reason: GapRestarted}
	case after.Position > s.log.head:
		return reading{pos: s.log.head}, &Gap{From: after, To: s.cursor(s.log.head), Reason: GapRestarted}
	}
	return reading{pos: after.Position}, nil
}

// beginFrom has a new connection read from where it asks to. What its client
// has read and lost before does not count, nor does what earlier connections
// still report.
func (s *State) beginFrom(c *client, from From) {
	rd, gap := s.place(from, s.log.head)
	c.readAt(rd)
	s.spend(len(c.subs))
	for i := range c.subs {
		c.subs[i].since = 0
	}
	if rd.last != nil {
		s.toLocating(c)
		return
	}
	if gap == nil {
		s.welcome(c, s.cursor(rd.pos))
	} else {
		// Until it has heard of the gap, its resume point is what it was.
		s.welcome(c, gap.From)
		if gap.Topics = s.topicsOf(c); len(gap.Topics) > 0 && !s.tellGaps(c, []Gap{*gap}, c.pos) {
			return
		}
	}
	s.toBeginning(c)
}

// A Want is what a new connection asks for.
type Want struct {
	Registered bool
	ID         ID       // of the registered client, or for the new one
	User       string   // of a new one
	Topics     []string // of a new one
	Grant      *Grant   // of a new one
	From       From
	Slow       *SlowPolicy // nil: the broker's
	Publish    Publisher   // nil: it may not publish
	Admin      bool        // it may subscribe to the broker's own topics
	Address    string      // of the peer, if its socket does not tell; else ""
}

// A PublishRequest asks for one event to be published, in whatever form it came. What it
// holds has not been checked.
type PublishRequest struct {
	Topic     string
	User      string    // "" is everybody
	Message   []byte    // valid UTF-8; nil is missing
	Text      bool      // the message is the text of a JSON string; else it is JSON
	ID        *string   // nil leaves it to the broker
	Key       *string   // the idempotency key; nil is none
	ExpiresIn *float64  // seconds; nil is never
	Expires   time.Time // instead of ExpiresIn; zero is never
	Details   *Details  // may be nil
}

// A Publisher publishes an event for a client. It returns when the hub has taken the
// event, and what waits for the receipt, which is to be called once.
type Publisher func(PublishRequest) (receipt func() (Receipt, error), err error)
