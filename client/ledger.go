package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// A ledger knows where the client stands and what it has asked for. It is a
// value that is told what is received and says what that means: no goroutines,
// no clock, no network. What it rests on is said at the package.
type ledger struct {
	memory     int // events that a request remembers; static
	maxMessage int // the longest message that the broker takes; 0: not said

	cursor    string // the connection's resume point, carried on from one to the next; "" before the first
	moved     bool   // the connection has moved it
	anonymous bool   // without a registration: the topics are those of the URL

	origin  []string // topics that the URL or the registration has brought
	added   []string // topics that were asked for and are there
	removed []string // of those that the URL or a registration would bring: they are not wanted

	requests []*Request // that are not done, in the order of the application
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

// welcome begins a connection. Nothing of the one before counts any more:
// everything that is not done is asked for again.
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

// again prepares the requests of an earlier connection for a new one.
func (l *ledger) again() (messages []Message) {
	keep := l.requests[:0]
	for _, r := range l.requests {
		switch {
		case r.repair && r.unsubscribe:
			continue // decided anew
		case len(r.topics) == 0:
			// All its topics were unsubscribed from while it was replayed.
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

// repair asks again for topics that a new connection does not have, from where
// the last one came to, in messages of a size that the broker takes.
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

// operationSize is more than a subscribe has beside its topics, in bytes.
const operationSize = 128

// ask adds a request.
func (l *ledger) ask(r *Request) { l.requests = append(l.requests, r) }

// next returns the next message to send, nil if there is none. A request that
// can't be sent is refused.
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
			return nil, l.refuse(r, RequestTooLong, fmt.Sprintf("it has %d bytes, and the broker takes %d; ask for fewer topics at once", len(text), l.maxMessage))
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

// take takes a message of the broker. The result is nil if there is nothing to
// tell the application.
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

// adopt moves the resume point on. It never goes back, except with the first
// word of a connection, behind which all is of one log: that of before may be
// another one, and the cursors of two logs have no order.
//
// The cursor of closing does not count. It names nothing that was received, and
// the broker drops what still waits before it: a gap might be among that.
func (l *ledger) adopt(f *frame) {
	if f.Cursor != "" && f.Type != "closing" && (!l.moved || f.Cursor > l.cursor) {
		l.cursor, l.moved = f.Cursor, true
	}
}

// at is the resume point of the application: with it, nothing is lost even if
// topics are yet to be repaired.
func (l *ledger) at() string {
	for _, r := range l.requests {
		if r.repair && r.replays() {
			return r.subscription.After
		}
	}
	return l.cursor
}

// event takes an event that comes as it is published, or because the
// connection has begun behind a cursor.
func (l *ledger) event(f *frame) Message {
	if l.held(f) {
		return nil
	}
	l.note(f, nil)
	return l.message(f, nil)
}

// held reports whether an event is to be passed on as a part of a replay that
// is asked for again, not by itself: it comes because of a topic that the
// broker thinks we have had a replay of. It would come before that replay, and
// then again with it.
func (l *ledger) held(f *frame) bool {
	holds := func(r *Request) bool {
		return r.holds() && r.stage != acked && comesAfter(f.Cursor, r.subscription.After) && matchAny(r.fresh, f.Topic)
	}
	return slices.ContainsFunc(l.requests, holds) && !matchAny(l.origin, f.Topic) && !matchAny(l.added, f.Topic)
}

// comesAfter reports whether a replay from a cursor has what is at another one. Of a log
// that is not the cursor's it has everything: the order of the texts says nothing there.
func comesAfter(cursor, from string) bool { return logOf(cursor) != logOf(from) || cursor > from }

// logOf returns the name of the log that a cursor is of.
func logOf(cursor string) string { return cursor[:min(len(cursor), logLen)] }

// logLen is the length of that name, the first half of a cursor.
const logLen = 12

// note remembers an event for all repairs that may come to it. It is of the replay of
// one of them, or of none.
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

// replayed takes an event of a replay. Replays come one after another, in the
// order in which they were asked for.
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

// answered takes what the broker says of a request.
func (l *ledger) answered(r *Request, f *frame) Message {
	switch {
	case f.Type == "error":
		if no := l.refuse(r, Code(f.Code), f.Detail); !r.repair || !r.unsubscribe {
			return no
		}
		return nil
	case f.Type == "live":
		l.subscribed(r)
		r.answer(nil) // if the ack was left out
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

// end answers all that is not done.
func (l *ledger) end(err error) {
	for _, r := range l.requests {
		r.answer(err)
	}
	l.requests = nil
}

// check reports what is wrong with a subscription without asking the broker.
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
