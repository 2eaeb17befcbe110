package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A sessionState holds the resume point and the requests of a client. It is a pure value: it is
// given received messages and says what they mean. It has no goroutines, clock or network.
// The package comment explains the reasons.
type sessionState struct {
	memory     int // bound of the events that a request remembers; static
	maxMessage int // the longest message that the broker accepts; 0: unknown

	cursor    string // the connection's resume point, kept across connections; "" before the first
	moved     bool   // the present connection has moved it
	anonymous bool   // without a registration: the topics come from the URL

	origin  []string // topics of the URL or the registration
	added   []string // topics that were subscribed later
	removed []string // unwanted topics of the URL or the registration

	requests []*Request // that are not done, in the application's order
	refs     uint64
}

// address returns the URL to connect with.
func (s *sessionState) address(raw string, last int) (string, error) {
	a, err := parseAddress(raw)
	if err != nil {
		return "", err
	}
	a.begin(s.cursor, last)
	if s.anonymous {
		a.subscribe(s.added, s.removed)
	}
	return a.String(), nil
}

// welcome begins a connection. It discards the state of the last one, and asks again for
// everything that is not done.
func (s *sessionState) welcome(f *frame) (messages []Message) {
	s.anonymous, s.maxMessage = f.UserID == "", f.Limits.MaxMessage
	cameTo := s.cursor
	s.cursor, s.moved = f.Cursor, false
	messages = append(messages, &Connected{Handle: f.Handle, UserID: string(f.UserID), Topics: f.Topics})
	messages = append(messages, s.again()...)

	var fresh []string
	for _, r := range s.requests {
		if r.holds() {
			fresh = append(fresh, r.fresh...)
		}
	}
	s.origin = slices.DeleteFunc(without(f.Topics, fresh), func(t string) bool {
		return slices.Contains(s.added, t) && !slices.Contains(s.origin, t)
	})
	lost := without(without(s.added, f.Topics), fresh)
	s.added = without(s.added, lost)
	s.repair(lost, cameTo)
	if back := without(f.Topics, without(f.Topics, s.removed)); len(back) > 0 {
		r := newRequest(Subscription{Topics: back}, true)
		r.repair = true
		s.requests = slices.Insert(s.requests, 0, r)
	}
	return messages
}

// again prepares the requests of the last connection for a new one.
func (s *sessionState) again() (messages []Message) {
	keep := s.requests[:0]
	for _, r := range s.requests {
		switch {
		case r.repair && r.unsubscribe:
			continue // repair below decides again
		case len(r.topics) == 0:
			// All its topics were unsubscribed during the replay.
			if !r.repair {
				messages = append(messages, &Live{r})
			}
			continue
		case r.stage == acked && (r.subscription.Last != 0 || r.seen.overflow):
			r.seen = seen{}
			messages = append(messages, &Restart{r})
		}
		r.seen.again()
		r.stage, r.repeated = waiting, r.tried
		keep = append(keep, r)
	}
	clear(s.requests[len(keep):])
	s.requests = keep
	return messages
}

// repair asks again for topics that a new connection lacks, from the last one's position.
// The messages are small enough for the broker.
func (s *sessionState) repair(topics []string, from string) {
	at := slices.IndexFunc(s.requests, func(r *Request) bool { return !r.repair })
	if at < 0 {
		at = len(s.requests)
	}
	for len(topics) > 0 {
		n, size := 0, operationSize
		for n < len(topics) {
			quoted, _ := jsontext.AppendQuote(nil, topics[n])
			if size += len(quoted) + 1; n > 0 && s.maxMessage > 0 && size > s.maxMessage {
				break
			}
			n++
		}
		r := newRequest(Subscription{Topics: topics[:n], After: from}, false)
		r.repair, r.fresh = true, r.topics
		s.requests = slices.Insert(s.requests, at, r)
		at++
		topics = topics[n:]
	}
}

// operationSize is more than the other members of a subscribe need, in bytes.
const operationSize = 128

// ask adds a request.
func (s *sessionState) ask(r *Request) { s.requests = append(s.requests, r) }

// next returns the next message to send, nil if there is none. It refuses a request that
// cannot be sent.
func (s *sessionState) next() (text []byte, refused *Refused) {
	for _, r := range s.requests {
		if r.stage != waiting {
			continue
		}
		s.refs++
		r.ref = s.refs
		text, err := r.operation().text()
		switch {
		case err != nil:
			return nil, s.refuse(r, InvalidTopic, err.Error())
		case s.maxMessage > 0 && len(text) > s.maxMessage:
			return nil, s.refuse(r, RequestTooLong, fmt.Sprintf("it has %d bytes, and the broker accepts %d; subscribe to fewer topics at once", len(text), s.maxMessage))
		}
		if !r.tried {
			r.tried = true
			r.fresh = without(without(r.topics, s.origin), s.added)
		}
		r.stage = sent
		return text, nil
	}
	return nil, nil
}

// take handles a message of the broker. The result is nil if there is nothing for the
// application.
func (s *sessionState) take(f *frame) Message {
	s.adopt(f)
	switch f.Type {
	case "event":
		if f.Replay {
			return s.replayed(f)
		}
		return s.event(f)
	case "gap":
		return &Gap{Topics: f.Topics, From: f.From, To: f.To, Reason: f.Reason}
	case "ack", "live", "error":
		if r := s.asked(f.Ref); r != nil {
			return s.answered(r, f)
		}
	}
	return nil
}

// adopt moves the resume point forward. It goes back only with the first message of a
// connection, after which all cursors are of one log. The earlier log may be another one,
// and the cursors of two logs have no order.
//
// The cursor of closing is ignored. It does not stand for anything received, and the
// broker drops what still waits before it, perhaps a gap.
func (s *sessionState) adopt(f *frame) {
	if f.Cursor != "" && f.Type != "closing" && (!s.moved || f.Cursor > s.cursor) {
		s.cursor, s.moved = f.Cursor, true
	}
}

// at returns the application's resume point. From there nothing is lost, even if topics
// still need repair.
func (s *sessionState) at() string {
	for _, r := range s.requests {
		if r.repair && r.replays() {
			return r.subscription.After
		}
	}
	return s.cursor
}

// event handles a live event, or one that is read after the cursor that the connection
// began with.
func (s *sessionState) event(f *frame) Message {
	if s.held(f) {
		return nil
	}
	s.note(f, nil)
	return s.message(f, nil)
}

// held reports whether an event is left out because a repeated replay will contain it. The
// broker believes that we have had the replay, and so sends events of its topics. The
// event would come before the replay, and then once more in it.
func (s *sessionState) held(f *frame) bool {
	holds := func(r *Request) bool {
		return r.holds() && r.stage != acked && comesAfter(f.Cursor, r.subscription.After) && matchAny(r.fresh, f.Topic)
	}
	return slices.ContainsFunc(s.requests, holds) && !matchAny(s.origin, f.Topic) && !matchAny(s.added, f.Topic)
}

// comesAfter reports whether a replay from a cursor contains the event at another cursor.
// If they are of two logs it does: the order of the texts means nothing there.
func comesAfter(cursor, from string) bool { return logOf(cursor) != logOf(from) || cursor > from }

// logOf returns the epoch of a cursor, as text.
func logOf(cursor string) string { return cursor[:min(len(cursor), logLen)] }

// logLen is the length of the epoch, the first half of a cursor.
const logLen = 12

// note remembers an event for all repairs whose replay may repeat it. It is an event of
// the replay of one of them, or not of a replay.
func (s *sessionState) note(f *frame, of *Request) {
	for _, r := range s.requests {
		switch {
		case !r.repair || !r.replays() || !matchAny(r.topics, f.Topic):
		case r == of:
			r.seen.pass(likenessOf(f), s.memory)
		default:
			r.seen.note(likenessOf(f), s.memory)
		}
	}
}

// replayed handles an event of a replay. Replays come one after another, in the order of
// the requests.
func (s *sessionState) replayed(f *frame) Message {
	i := slices.IndexFunc(s.requests, func(r *Request) bool { return r.stage == acked })
	if i < 0 {
		return s.message(f, nil)
	}
	r := s.requests[i]
	switch {
	case r.subscription.After == "":
	case r.seen.repeats(likenessOf(f)):
		return nil
	case r.repair:
		s.note(f, r)
		return s.message(f, nil)
	default:
		r.seen.pass(likenessOf(f), s.memory)
	}
	return s.message(f, r)
}

func (s *sessionState) message(f *frame, of *Request) Message {
	return &Event{
		Topic: f.Topic, ID: f.ID, Time: f.Time, Data: json.RawMessage(f.Data), UserID: string(f.UserID),
		Replay: of, Cursor: s.at(),
	}
}

func (s *sessionState) asked(ref uint64) *Request {
	for _, r := range s.requests {
		if r.ref == ref && r.stage != waiting {
			return r
		}
	}
	return nil
}

// answered handles the broker's answer to a request.
func (s *sessionState) answered(r *Request, f *frame) Message {
	switch {
	case f.Type == "error":
		if no := s.refuse(r, Code(f.Code), f.Detail); !r.repair || !r.unsubscribe {
			return no
		}
		return nil
	case f.Type == "live":
		s.subscribed(r)
		r.answer(nil) // if the ack was lost
		if r.repair {
			return nil
		}
		return &Live{r}
	case r.unsubscribe:
		s.unsubscribed(r)
	case r.replays():
		r.stage = acked
		s.removed = without(s.removed, r.topics)
	default:
		s.subscribed(r)
	}
	r.answer(nil)
	if r.repair || r.told {
		return nil
	}
	r.told = true
	return &Ack{r}
}

func (s *sessionState) subscribed(r *Request) {
	s.finish(r)
	s.added = with(s.added, r.topics)
	s.removed = without(s.removed, r.topics)
}

func (s *sessionState) unsubscribed(r *Request) {
	s.finish(r)
	s.removed = with(s.removed, without(r.topics, without(r.topics, s.origin)))
	s.origin = without(s.origin, r.topics)
	s.added = without(s.added, r.topics)
	for _, replaying := range s.requests {
		if replaying.stage == acked {
			replaying.topics = without(replaying.topics, r.topics)
			replaying.fresh = without(replaying.fresh, r.topics)
		}
	}
}

func (s *sessionState) refuse(r *Request, code Code, detail string) *Refused {
	s.finish(r)
	no := &Refused{Request: r, Code: code, Detail: detail}
	r.answer(no)
	return no
}

func (s *sessionState) finish(r *Request) {
	s.requests = slices.DeleteFunc(s.requests, func(other *Request) bool { return other == r })
}

// end answers all requests that are not done.
func (s *sessionState) end(err error) {
	for _, r := range s.requests {
		r.answer(err)
	}
	s.requests = nil
}

// check checks a subscription without asking the broker.
func check(s Subscription) error {
	switch {
	case len(s.Topics) == 0:
		return fmt.Errorf("%w: no topics", InvalidTopic)
	case slices.ContainsFunc(s.Topics, func(t string) bool { return !utf8.ValidString(t) }):
		return fmt.Errorf("%w: %q is not UTF-8", InvalidTopic, strings.Join(s.Topics, ", "))
	case !utf8.ValidString(s.After):
		return fmt.Errorf("%w: it is not UTF-8", InvalidCursor)
	case s.After != "" && s.Last != 0:
		return fmt.Errorf("%w: After is given as well", InvalidLast)
	}
	return nil
}
