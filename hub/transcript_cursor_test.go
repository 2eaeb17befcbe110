package hub

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What transcripts say about cursors, replays, gaps and history.

// doMore does the commands that [player.do] leaves, and reports whether it
// knows the verb.
func (p *player) doMore(verb string, l *line) bool {
	s := p.state
	switch verb {
	case "connect":
		s.Connect(Registration{ID: testID(l.arg(0)), User: l.opts["user"], Topics: words(l.opts["topics"])}, p.newConn(l), l.from(s))
	case "admitnew":
		if p.fine(s.AdmitNew("", l.number("topics", 0))) {
			p.out.WriteString("may connect\n")
		}
	case "subscribe":
		p.ask(l, func() { p.fine(s.Subscribe(p.conn(l), Subscribe{words(l.opts["topics"]), l.from(s), l.ref()})) })
	case "unsubscribe":
		p.ask(l, func() { p.fine(s.Unsubscribe(p.conn(l), words(l.opts["topics"]), l.ref())) })
	case "say":
		p.ask(l, func() { s.Say(p.conn(l), &Frame{Bytes: []byte(l.arg(1))}) })
	case "history":
		p.history(l)
	case "await":
		if poll, err := s.Await(l.arg(0), l.arg(1)); p.fine(err) {
			p.polls[l.arg(1)] = poll
		}
	case "endpoll":
		s.EndPoll(p.polls[l.arg(0)])
	case "woken":
		woken, _ := s.Woken()
		for _, poll := range woken {
			fmt.Fprintln(&p.out, poll.Owner, "woken")
		}
	default:
		return false
	}
	return true
}

// ask does what a connection asks for, at once or when it has begun.
func (p *player) ask(l *line, do func()) {
	if !p.state.Defer(p.conn(l), do) {
		do()
	}
}

// newConn makes the connection that is a line's second argument.
func (p *player) newConn(l *line) *Conn {
	name := l.arg(1)
	p.conns[name] = &Conn{
		Owner: name, Courier: int32(l.number("courier", 0)), Notes: l.opts["notes"] == "yes",
		Encoding: Encoding(l.number("enc", 0)), Replay: Encoding(l.number("replay", 0)),
	}
	return p.conns[name]
}

// from reads after=7 (a position), after=9:7 (one of another log), after=bad
// and last=3.
func (l *line) from(s *State) From {
	from := From{Last: l.number("last", 0)}
	switch text := l.opts["after"]; {
	case text == "bad":
		from.After = &Cursor{}
	case text != "":
		log, position, other := strings.Cut(text, ":")
		if !other {
			log, position = strconv.FormatUint(s.opts.Epoch, 10), text
		}
		e, err1 := strconv.ParseUint(log, 10, 48)
		n, err2 := strconv.ParseUint(position, 10, 48)
		if err1 != nil || err2 != nil {
			l.t.Fatalf("%q: after what?", l.text)
		}
		from.After = &Cursor{e, Position(n)}
	}
	return from
}

func (l *line) ref() []byte {
	if ref, ok := l.opts["ref"]; ok {
		return []byte(ref)
	}
	return nil
}

func (p *player) history(l *line) {
	page, err := history(p.state, l.arg(0), l.from(p.state))
	var gap *GapError
	switch {
	case errors.As(err, &gap):
		fmt.Fprintln(&p.out, describeNote(gap.Gap))
		return
	case !p.fine(err):
		return
	}
	for i, e := range page.Events {
		if n := len(page.Events); i == 2 && n > 5 {
			fmt.Fprintf(&p.out, "... %d more\n", n-3)
		} else if i < 2 || n <= 5 || i == n-1 {
			fmt.Fprintf(&p.out, "%s %.20s\n", describeCursor(e.Cursor), e.Message)
		}
	}
	fmt.Fprintf(&p.out, "up to %s, more: %v\n", describeCursor(page.Cursor), page.More)
}

// describeCursor names a position of the log, and the log if it is another
// than that of [testOptions].
func describeCursor(c Cursor) string {
	if c.Epoch == testOptions().Epoch {
		return fmt.Sprint(c.Position)
	}
	return fmt.Sprintf("%d:%d", c.Epoch, c.Position)
}

// describeNote puts a note into words.
func describeNote(n Note) string {
	switch n := n.(type) {
	case Welcome:
		return fmt.Sprintf("welcome %s to %s at %s", n.User, strings.Join(n.Topics, ","), describeCursor(n.Cursor))
	case Ack:
		return fmt.Sprintf("ack %s at %s", n.Ref, describeCursor(n.Cursor))
	case ReplayEnd:
		return fmt.Sprintf("replayed %s at %s", n.Ref, describeCursor(n.Cursor))
	case Gap:
		return fmt.Sprintf("gap %s from %s to %s: %v", strings.Join(n.Topics, ","), describeCursor(n.From), describeCursor(n.To), n.Reason)
	}
	return fmt.Sprintf("unknown note %T", n)
}
