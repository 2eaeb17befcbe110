package checker_test

import (
	"errors"
	"fmt"
	"net/http"

	"belfry/tests/harness"
)

// How connections are lost.

type cutMode uint8

const (
	cutReset    cutMode = iota // a reset
	cutSilence                 // nothing is read for a while, and then it is over
	cutHalf                    // in the middle of a frame of the client's
	cutTakeover                // a second connection to the same URL
	cutFarewell                // a clean close
	cutBroken                  // what no client may send
	cutEnd                     // without a farewell
)

var cuts = []cutMode{cutReset, cutSilence, cutHalf, cutTakeover, cutFarewell, cutBroken, cutEnd}

func (c cutMode) String() string {
	return [...]string{"reset", "silence", "half a frame", "takeover", "farewell", "broken frame", "end"}[c]
}

// cutMode picks one that the subscriber can do.
func (s *checked) cutMode() cutMode {
	for {
		c := cuts[s.random.IntN(len(cuts))]
		switch {
		case c == cutTakeover && (!s.kind.registered || s.random.IntN(2) == 0):
			// Too many would be refused.
		case (c == cutFarewell || c == cutBroken) && !s.kind.webSocket:
		default:
			return c
		}
	}
}

// cut ends a connection. The next one is there already if it took over.
func (s *checked) cut(l line) (next line, err error) {
	mode, of := s.cutMode(), s.session
	s.tally["cut by "+mode.String()]++
	abort := mode == cutReset || s.random.IntN(2) == 0
	switch mode {
	case cutTakeover:
		return s.takeOver(l)
	case cutFarewell:
		l.say(harness.Farewell(1000, ""))
		err = s.drain(l, of, 1000)
		abort = false
	case cutBroken:
		l.say("\xff\xff")
		err = s.drain(l, of, 1002)
		abort = false
	case cutSilence:
		s.w.wait(s.random.IntN(s.w.count / 20))
	case cutHalf:
		frame := harness.Say(`{"op":"subscribe","topics":["t.>"]}`)
		l.say(frame[:1+s.random.IntN(len(frame)-1)])
		s.w.wait(s.random.IntN(20))
	case cutEnd:
		abort = false
	}
	l.end(abort)
	s.over(of, mode == cutFarewell || mode == cutBroken)
	return nil, err
}

// takeOver opens the next connection while this one goes on.
func (s *checked) takeOver(l line) (next line, err error) {
	of, path := s.session, s.path
	if next, err = s.connect(); err != nil {
		return nil, fmt.Errorf("taking over: %w", err)
	}
	to := s.session
	if path == s.path {
		err = s.drain(l, of, 4001)
	}
	// A takeover that was refused has left the first connection as it was.
	l.end(path != s.path)
	s.over(of, path == s.path)
	s.session = to
	if err == nil {
		err = s.begin()
	}
	if err != nil {
		next.end(true)
		return nil, err
	}
	return next, nil
}

// drain takes what comes up to the end, which is due with that code unless the
// subscriber was too slow before. A stream has the reason instead.
func (s *checked) drain(l line, of *session, code int) error {
	path := s.path
	for {
		h, err := l.Next()
		if err == nil {
			err = s.hear(of, h)
		}
		if err == nil {
			continue
		}
		bye, ok := errors.AsType[*goodbye](err)
		switch {
		case !ok:
			return fmt.Errorf("waiting for the end: %w", err)
		case bye.code == code, bye.code == 0 && bye.reason == "replaced" && code == 4001:
			return nil
		}
		if err := s.farewellOf(bye); err != nil {
			return fmt.Errorf("waiting for the end with %d: %w", code, err)
		}
		if s.path != path && code == 4001 {
			return fmt.Errorf("taken over: %w", bye)
		}
		return nil
	}
}

// sentAway takes an end that is the broker's wish.
func (s *checked) sentAway(bye *goodbye) error {
	err := s.farewellOf(bye)
	s.over(s.session, true)
	return err
}

func (s *checked) farewellOf(bye *goodbye) error {
	switch {
	case bye.code == 4100, bye.code == 0 && bye.reason == "slow_consumer":
		s.tally["too slow"]++
		return nil
	case bye.code == 4002, bye.code == http.StatusNoContent:
		s.tally["takeovers refused"]++
		s.path = ""
		return nil
	case bye.code == 4003 && s.w.plan.tight && !s.kind.welcomed && s.kind.registered:
		s.tally["gaps"]++
		s.path = ""
		return nil
	}
	return bye
}
