package checker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"belfry/hub"
	"belfry/tests/harness"
)

// How the checker's subscribers come back.

// register registers, for what it has subscribed to.
func (s *checked) register() error {
	s.floor, s.fresh = s.w.now(), true
	topics, err := json.Marshal(s.have)
	if err != nil {
		return err
	}
	got, err := s.w.b.Do("POST", "/register", fmt.Sprintf(`{"user_id":%q,"topics":%s}`, userName(s.user), topics))
	if err != nil {
		return err
	}
	var r harness.Registration
	if err := json.Unmarshal([]byte(got.Body), &r); err != nil || got.Status != http.StatusOK {
		return fmt.Errorf("registering: %d %s", got.Status, got.Body)
	}
	s.path = "/" + r.ClientID
	return nil
}

// connect opens a connection, and keeps what comes first: the welcome, or what
// comes before the broker is known to have the connection.
func (s *checked) connect() (line, error) {
	for {
		if s.kind.registered && s.path == "" {
			if err := s.register(); err != nil {
				return nil, err
			}
		}
		to, next := s.target()
		l, err := s.kind.open(s.w, to)
		if err == nil {
			if next.heard, err = s.first(l); err != nil {
				l.end(true)
			}
		}
		if bye, ok := errors.AsType[*goodbye](err); ok && s.kind.registered {
			if err = s.farewellOf(bye); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		next.opened = s.w.now()
		s.session = next
		s.all = append(s.all, next)
		s.fresh = false
		s.tally[s.kind.name]++
		return l, nil
	}
}

// first takes what comes first over a connection.
func (s *checked) first(l line) (told []heard, err error) {
	if s.kind.welcomed {
		h, err := l.Next()
		h.high = s.w.now()
		return []heard{h}, err
	}
	l.say(harness.Masked(harness.Final|harness.Ping, ""))
	for {
		h, err := l.Next()
		if err != nil || h.kind == hPong {
			return told, err
		}
		h.high = s.w.now()
		told = append(told, h)
	}
}

// target says what the next connection asks for.
func (s *checked) target() (target, *session) {
	next := &session{fresh: s.fresh, names: s.have, before: s.w.now(), asks: make(map[int]*asking)}
	query := make(url.Values)
	if !s.kind.registered {
		query["topic"] = s.have
		if !s.kind.resumes {
			next.fresh, s.floor = true, next.before
		}
	}
	next.floor = s.floor
	next.small = s.random.IntN(3) == 0
	to := target{small: next.small}
	switch epoch := s.w.epoch.Load(); {
	case !s.kind.resumes || s.cursor == hub.Cursor{}:
		if next.fresh && s.random.IntN(3) == 0 && s.kind.welcomed {
			next.last = 1 + s.random.IntN(12)
			query.Set("last", strconv.Itoa(next.last))
			s.tally["beginnings with the newest"]++
		}
	case s.random.IntN(20) == 0 && epoch != 0:
		s.tally["restarts"]++
		next.after = &hub.Cursor{Epoch: epoch - 1, Position: hub.Position(s.random.IntN(1000))}
	default:
		after := s.cursor
		next.after = &after
	}
	if next.after != nil {
		text := next.after.String()
		switch s.random.IntN(3) {
		case 0:
			to.header = "Last-Event-ID: " + text + "\r\n"
			query.Set("after", hub.Cursor{}.String()) // does not count then
		case 1:
			query.Set("last_event_id", text)
		default:
			query.Set("after", text)
		}
	}
	to.path = map[bool]string{true: "/ws", false: "/sse"}[s.kind.webSocket] + s.path
	to.early = s.early(next)
	if len(query) > 0 {
		to.path += "?" + query.Encode()
	}
	return to, next
}
