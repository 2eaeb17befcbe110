package hub

import "time"

// An Event is something published: the message and whom it is for.
type Event struct {
	ID      string    // unique, chosen by the edge
	Topic   string    // well-formed by [CheckTopic]
	User    string    // only this user's clients may see it; "" for everybody
	Time    time.Time // when it was accepted
	Message []byte    // valid UTF-8; must not be changed any more
	Text    bool      // Message is the text of a JSON string; else it is JSON itself
	Expires time.Time // from when on nobody gets it; zero is never
	Details *Details  // what few events have; may be nil
}

// Details are what the publisher has said about an event besides. The hub does
// not look at them.
type Details struct {
	Source      string // where it comes from; "" is not said
	Type        string // of what kind it is; "" is not said
	Published   string // when it happened, in the publisher's own words (RFC 3339); "" is not said
	TraceParent string // which trace it belongs to (W3C Trace Context section 3.2); "" is not said
	Attributes  []byte // further attributes of a CloudEvent as members of a JSON object, each behind a comma
	Base64      bool   // the message is the base64 of what was published
	NoData      bool   // nothing was published beside the attributes; the message is null
}

// MaxExpires is the longest that an event may be said to live.
const MaxExpires = 365 * 24 * time.Hour

// expired reports whether nobody gets an event any more.
func (ev *Event) expired(now time.Time) bool { return !ev.Expires.IsZero() && !now.Before(ev.Expires) }

// An Encoder writes an event as one protocol sends it. It must be a pure function.
type Encoder func(ev *Event, at Cursor) []byte

// An Encoding is the number of an encoder among [Options.Encoders].
type Encoding uint8

// A Frame is an event as the bytes of one encoding. All connections of that encoding
// share it, so it must not be changed.
type Frame struct {
	Bytes    []byte
	Position Position  // 0: it says nothing about how far its connection is
	Topic    string    // of the event
	Expires  time.Time // nobody gets the event from then on; zero is never

	encoding Encoding
	next     *Frame // of the same entry, in another encoding
}

// An entry is an event in the log.
type entry struct {
	Event
	position Position
	stream   *stream
	born     time.Duration // in the hub's time
	size     int           // bytes accounted for; 0 once evicted
	frames   *Frame        // one for each encoding that was asked for
}

// noEntry stands for the newest event of a topic that has had none.
var noEntry = &entry{}

func (e *entry) evicted() bool { return e.size == 0 }

// A stream is the part of the log that one topic and one user (or everybody)
// share: the index by which retention counts and readers read.
type stream struct {
	topic   *topic
	user    string
	entries deque[*entry]
	floor   Position // highest position evicted from this stream
	loss    *loss    // its place among those that have lost something; else nil
}

// The log is the one list of retained events. Entries evicted from its middle
// stay as husks until they reach the front or are swept.
type log struct {
	entries deque[*entry]
	husks   int
	sweeping
	bytes   int      // accounted size of what is retained
	head    Position // position of the newest event
	evicted Position // highest position evicted
	losses  uint64   // evictions so far
	lossy   map[lossTree]*loss
	// floor is the highest position evicted from a stream that is forgotten.
	// A reader behind it may have missed something: the evidence is gone.
	floor  Position
	blocks blocks // of topics with news
}

// stream returns the stream of a topic and user, or nil.
func (t *topic) stream(user string) *stream {
	if user == "" {
		return t.all
	}
	return t.users[user]
}

// append adds an event to the log. The caller enforces retention when it is
// done with the entry.
func (s *State) append(ev Event) *entry {
	t := s.topic(ev.Topic)
	st := t.stream(ev.User)
	if st == nil {
		// An earlier stream of that name may have been forgotten.
		st = &stream{topic: t, user: ev.User, floor: s.log.floor}
		if t.empty() {
			s.held -= t.size()
			s.log.bytes += t.size()
		}
		if ev.User == "" {
			t.all = st
		} else {
			if t.users == nil {
				t.users = make(map[string]*stream)
			}
			t.users[ev.User] = st
		}
		s.log.bytes += st.size()
	}
	ev.Topic, ev.User = t.name, st.user // the request's copies need not be kept
	t.published++
	l := &s.log
	l.head++
	t.newest = l.head
	l.blocks.note(t.row, l.head)
	e := &entry{Event: ev, position: l.head, stream: st, born: s.age, size: ev.size()}
	l.bytes += e.size
	l.entries.push(e)
	st.entries.push(e)
	t.retained++
	t.last = e
	return e
}

// retain evicts what a stream holds beyond its bound, and then trims the log.
func (s *State) retain(st *stream) {
	for st.entries.len() > s.opts.HistoryEvents {
		s.evictOldest(st)
	}
	s.trim()
}

// trim evicts from the front until the log is within its bounds of age and
// bytes, as far as a step may, and sweeps husks when they are the greater part.
func (s *State) trim() {
	if !s.trimTo(s.allowance()) {
		s.overdue = true
	}
}

// trimTo does so until that much work is done, and reports whether that is all.
func (s *State) trimTo(end uint64) bool {
	l := &s.log
	oldest := s.age - s.opts.HistoryAge
	for l.entries.len() > 0 {
		e := l.entries.at(0)
		switch {
		case s.work >= end:
			return false
		case e.evicted():
			s.spend(1)
			l.popHusk()
		case l.bytes > s.opts.HistoryBytes || e.born < oldest:
			s.evictOldest(e.stream)
		default:
			s.spend(l.sweep())
			return true
		}
	}
	return true
}

// evictOldest removes the oldest entry of a stream and, with the last one, the
// stream. Who would have needed it can tell by the floors.
func (s *State) evictOldest(st *stream) {
	l := &s.log
	e := st.entries.pop()
	st.floor = e.position
	l.evicted = max(l.evicted, e.position)
	l.losses++
	l.bytes -= e.size
	l.husks++
	*e = entry{position: e.position}
	s.stats.Evicted++
	st.topic.retained--
	s.spend(2)
	if st.entries.len() > 0 {
		s.spend(l.lose(st))
		return
	}
	l.bytes -= st.size()
	l.floor = max(l.floor, st.floor)
	s.spend(l.forget(st))
	if st.user == "" {
		st.topic.all = nil
	} else {
		delete(st.topic.users, st.user)
	}
	if t := st.topic; t.empty() {
		l.bytes -= t.size()
		s.held += t.size()
		s.freeTopic(t)
	}
}

// after returns the index of the first entry behind a position.
func (l *log) after(p Position) int { return firstAfter(&l.entries, p) }

func firstAfter(entries *deque[*entry], p Position) int {
	return entries.search(func(e *entry) bool { return e.position > p })
}

// frame returns an entry in an encoding. It is encoded when that is asked for first.
func (s *State) frame(e *entry, enc Encoding) *Frame {
	for f := e.frames; f != nil; f = f.next {
		if f.encoding == enc {
			return f
		}
	}
	f := &Frame{Bytes: s.encode(enc, e, e.position), Position: e.position, Topic: e.Topic, Expires: e.Expires, encoding: enc, next: e.frames}
	e.frames = f
	e.size += f.size()
	s.log.bytes += f.size()
	return f
}

// encode has an entry encoded as one that stands at a position.
func (s *State) encode(enc Encoding, e *entry, at Position) []byte {
	s.spend(encodeWork)
	return s.opts.Encoders[enc](&e.Event, s.cursor(at))
}

// cursor names a position of this log.
func (s *State) cursor(p Position) Cursor { return Cursor{s.opts.Epoch, p} }
