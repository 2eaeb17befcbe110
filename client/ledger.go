package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A ledger holds the resume point and the requests of a client. It is a pure value: it is
// given received messages and says what they mean. It has no goroutines, clock or network.
// The package comment explains the reasons.
type ledger struct {
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
func (l *ledger) address(raw string, last int) (string, error) {
	a, err := parseAddress(raw)
	if err != nil {
		return "", err
	}
	a.begin(l.cursor, last)
	if l.anonymous {
		a.subscribe(l.added, l.removed)
	}
	return a.String(), nil
}

// welcome begins a connection. It discards the state of the last one, and asks again for
// everything that is not done.
func (l *ledger) welcome(f *frame) (messages []Message) {
	l.anonymous, l.maxMessage = f.UserID == "", f.Limits.MaxMessage
	cameTo := l.cursor
	l.cursor, l.moved = f.Cursor, false
	messages = append(messages, &Connected{Handle: f.Handle, UserID: string(f.UserID), Topics: f.Topics})
	messages = append(messages, l.again()...)

	var fresh []string
	for _, r := range l.requests {
		if r.holds() {
			fresh = append(fresh, r.fresh...)
		}
	}
	l.origin = slices.DeleteFunc(without(f.Topics, fresh), func(t string) bool {
		return slices.Contains(l.added, t) && !slices.Contains(l.origin, t)
	})
	lost := without(without(l.added, f.Topics), fresh)
	l.added = without(l.added, lost)
	l.repair(lost, cameTo)
	if back := without(f.Topics, without(f.Topics, l.removed)); len(back) > 0 {
		r := newRequest(Subscription{Topics: back}, true)
		r.repair = true
		l.requests = slices.Insert(l.requests, 0, r)
	}
	return messages
}

// again prepares the requests of the last connection for a new one.
func (l *ledger) again() (messages []Message) {
	keep := l.requests[:0]
	for _, r := range l.requests {
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
	clear(l.requests[len(keep):])
	l.requests = keep
	return messages
}

// repair asks again for topics that a new connection lacks, from the last one's position.
// The messages are small enough for the broker.
func (l *ledger) repair(topics []string, from string) {
	at := slices.IndexFunc(l.requests, func(r *Request) bool { return !r.repair })
	if at < 0 {
		at = len(l.requests)
	}
	for len(topics) > 0 {
		n, size := 0, operationSize
		for n < len(topics) {
			quoted, _ := jsontext.AppendQuote(nil, topics[n])
			if size += len(quoted) + 1; n > 0 && l.maxMessage > 0 && size > l.maxMessage {
				break
			}
			n++
		}
		r := newRequest(Subscription{Topics: topics[:n], After: from}, false)
		r.repair, r.fresh = true, r.topics
		l.requests = slices.Insert(l.requests, at, r)
		at++
		topics = topics[n:]
	}
}

// operationSize is more than the other members of a subscribe need, in bytes.
const operationSize = 128

// ask adds a request.
func (l *ledger) ask(r *Request) { l.requests = append(l.requests, r) }

// next returns the next message to send, nil if there is none. It refuses a request that
// cannot be sent.
func (l *ledger) next() (text []byte, refused *Refused) {
	for _, r := range l.requests {
		if r.stage != waiting {
			continue
		}
		l.refs++
		r.ref = l.refs
		text, err := r.operation().text()
		switch {
		case err != nil:
			return nil, l.refuse(r, InvalidTopic, err.Error())
		case l.maxMessage > 0 && len(text) > l.maxMessage:
			return nil, l.refuse(r, RequestTooLong, fmt.Sprintf("it has %d bytes, and the broker accepts %d; subscribe to fewer topics at once", len(text), l.maxMessage))
		}
		if !r.tried {
			r.tried = true
			r.fresh = without(without(r.topics, l.origin), l.added)
		}
		r.stage = sent
		return text, nil
	}
	return nil, nil
}

// take handles a message of the broker. The result is nil if there is nothing for the
// application.
func (l *ledger) take(f *frame) Message {
	l.adopt(f)
	switch f.Type {
	case "event":
		if f.Replay {
			return l.replayed(f)
		}
		return l.event(f)
	case "gap":
		return &Gap{Topics: f.Topics, From: f.From, To: f.To, Reason: f.Reason}
	case "ack", "live", "error":
		if r := l.asked(f.Ref); r != nil {
			return l.answered(r, f)
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
func (l *ledger) adopt(f *frame) {
	if f.Cursor != "" && f.Type != "closing" && (!l.moved || f.Cursor > l.cursor) {
		l.cursor, l.moved = f.Cursor, true
	}
}

// at returns the application's resume point. From there nothing is lost, even if topics
// still need repair.
func (l *ledger) at() string {
	for _, r := range l.requests {
		if r.repair && r.replays() {
			return r.subscription.After
		}
	}
	return l.cursor
}

// event handles a live event, or one that is read after the cursor that the connection
// began with.
func (l *ledger) event(f *frame) Message {
	if l.held(f) {
		return nil
	}
	l.note(f, nil)
	return l.message(f, nil)
}

// held reports whether an event is left out because a repeated replay will contain it. The
// broker believes that we have had the replay, and so sends events of its topics. The
// event would come before the replay, and then once more in it.
func (l *ledger) held(f *frame) bool {
	holds := func(r *Request) bool {
		return r.holds() && r.stage != acked && comesAfter(f.Cursor, r.subscription.After) && matchAny(r.fresh, f.Topic)
	}
	return slices.ContainsFunc(l.requests, holds) && !matchAny(l.origin, f.Topic) && !matchAny(l.added, f.Topic)
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
func (l *ledger) note(f *frame, of *Request) {
	for _, r := range l.requests {
		switch {
		case !r.repair || !r.replays() || !matchAny(r.topics, f.Topic):
		case r == of:
			r.seen.pass(likenessOf(f), l.memory)
		default:
			r.seen.note(likenessOf(f), l.memory)
		}
	}
}

// replayed handles an event of a replay. Replays come one after another, in the order of
// the requests.
func (l *ledger) replayed(f *frame) Message {
	i := slices.IndexFunc(l.requests, func(r *Request) bool { return r.stage == acked })
	if i < 0 {
		return l.message(f, nil)
	}
	r := l.requests[i]
	switch {
	case r.subscription.After == "":
	case r.seen.repeats(likenessOf(f)):
		return nil
	case r.repair:
		l.note(f, r)
		return l.message(f, nil)
	default:
		r.seen.pass(likenessOf(f), l.memory)
	}
	return l.message(f, r)
}

func (l *ledger) message(f *frame, of *Request) Message {
	return &Event{
		Topic: f.Topic, ID: f.ID, Time: f.Time, Data: json.RawMessage(f.Data), UserID: string(f.UserID),
		Replay: of, Cursor: l.at(),
	}
}

func (l *ledger) asked(ref uint64) *Request {
	for _, r := range l.requests {
		if r.ref == ref && r.stage != waiting {
			return r
		}
	}
	return nil
}

// answered handles the broker's answer to a request.
func (l *ledger) answered(r *Request, f *frame) Message {
	switch {
	case f.Type == "error":
		if no := l.refuse(r, Code(f.Code), f.Detail); !r.repair || !r.unsubscribe {
			return no
		}
		return nil
	case f.Type == "live":
		l.subscribed(r)
		r.answer(nil) // if the ack was lost
		if r.repair {
			return nil
		}
		return &Live{r}
	case r.unsubscribe:
		l.unsubscribed(r)
	case r.replays():
		r.stage = acked
		l.removed = without(l.removed, r.topics)
	default:
		l.subscribed(r)
	}
	r.answer(nil)
	if r.repair || r.told {
		return nil
	}
	r.told = true
	return &Ack{r}
}

func (l *ledger) subscribed(r *Request) {
	l.finish(r)
	l.added = with(l.added, r.topics)
	l.removed = without(l.removed, r.topics)
}

func (l *ledger) unsubscribed(r *Request) {
	l.finish(r)
	l.removed = with(l.removed, without(r.topics, without(r.topics, l.origin)))
	l.origin = without(l.origin, r.topics)
	l.added = without(l.added, r.topics)
	for _, replaying := range l.requests {
		if replaying.stage == acked {
			replaying.topics = without(replaying.topics, r.topics)
			replaying.fresh = without(replaying.fresh, r.topics)
		}
	}
}

func (l *ledger) refuse(r *Request, code Code, detail string) *Refused {
	l.finish(r)
	no := &Refused{Request: r, Code: code, Detail: detail}
	r.answer(no)
	return no
}

func (l *ledger) finish(r *Request) {
	l.requests = slices.DeleteFunc(l.requests, func(other *Request) bool { return other == r })
}

// end answers all requests that are not done.
func (l *ledger) end(err error) {
	for _, r := range l.requests {
		r.answer(err)
	}
	l.requests = nil
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
