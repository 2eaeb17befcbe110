package api

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"belfry/api/auth"
	"belfry/hub"
)

// connect serves the routes that open a connection. The path has a registered client's id,
// which needs no further right, or no id, which needs the right to subscribe.
func (s *Server) connect(to connector) handler {
	return func(x *exchange) (any, error) {
		defer func() {
			if x.leave != nil {
				x.leave()
			}
		}()
		if x.r.ContentLength != 0 {
			return nil, errConnectBody
		}
		want, invalid := s.want(x)
		s.busy.Add(-1)
		defer s.busy.Add(1)
		err := to(x, x.r, want, invalid)
		if err == nil {
			s.toldInBand(x, invalid)
		}
		return nil, err
	}
}

// want reads what a new connection asks for.
func (s *Server) want(x *exchange) (want hub.Want, err error) {
	if given := x.param("client_id"); given != "" {
		if want.ID, want.Registered = hub.ParseID(given); !want.Registered {
			return want, hub.ErrUnknownClient
		}
	} else {
		random, err := uuid.NewRandom()
		if err != nil {
			return want, fmt.Errorf("make a client id: %w", err)
		}
		want.ID = hub.ID(random)
	}
	if err := s.enter(x); err != nil {
		return want, err
	}
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return want, errQuery
	}
	if want.Registered {
		if who := x.guard.Everybody(); who != nil {
			want.Publish, want.Admin = s.Publisher(who), true
		}
	} else if err := s.wantNew(x, query, &want); err != nil {
		return want, err
	}
	if c := s.opts.Gate.Client(x.r); c.Forwarded || isShared(x.r) {
		want.Address = s.remote(x.r)
	}
	if want.Slow, err = slowOf(query); err != nil {
		return want, err
	}
	want.From, err = fromOf(x.r.Header, query)
	return want, err
}

// wantNew reads what a connection without a registration asks for.
func (s *Server) wantNew(x *exchange, query url.Values, want *hub.Want) error {
	who, denied := x.guard.Identify(x.r)
	x.who = who
	if want.Topics = query["topic"]; len(want.Topics) == 0 && x.route.stream {
		return invalidTopic.because("the URL names no topic; add ?topic=...")
	}
	if err := x.checkTopics(want.Topics, x.seesAll()); err != nil {
		return err
	}
	if denied != nil {
		return denied
	}
	if err := who.MaySubscribe(want.Topics...); err != nil {
		return err
	}
	want.User, want.Grant, want.Publish, want.Admin = who.User, who.Grant(), s.Publisher(who), x.seesAll()
	return nil
}

// seesAll reports whether the caller may subscribe to the broker's own topics.
func (x *exchange) seesAll() bool { return x.who != nil && x.who.Has(auth.Admin) == nil }

// slowOf reads the policy for a slow connection, nil if none is given.
func slowOf(query url.Values) (*hub.SlowPolicy, error) {
	text := query.Get("slow")
	if text == "" {
		return nil, nil
	}
	p, ok := hub.ParseSlowPolicy(text)
	if !ok {
		return nil, invalidSlow.because("slow must be one of " + strings.Join(hub.SlowPolicies, ", "))
	}
	return &p, nil
}

// errConnectBody refuses a body, which would be taken for the connection's first messages.
var errConnectBody = malformedRequest.because("the request that opens a connection has no body; send none")

var errQuery = malformedRequest.because("the query is not well-formed; percent-encode the values of its parameters")

// fromOf reads where a connection starts. Text that is not a cursor counts as a cursor of
// a lost log: an EventSource repeats the id that an earlier server sent.
func fromOf(header http.Header, query url.Values) (from hub.From, err error) {
	text, given := cursorText(header, query)
	if given {
		cursor, _ := hub.ParseCursor(text)
		return hub.From{After: &cursor}, nil
	}
	from.Last, err = lastOf(query)
	return from, err
}

func cursorText(header http.Header, query url.Values) (text string, given bool) {
	if text := header.Get("Last-Event-ID"); text != "" {
		return text, true
	}
	for _, name := range [...]string{"last_event_id", "after"} {
		if text := query.Get(name); text != "" {
			return text, true
		}
	}
	return "", false
}

// lastOf reads how many of the newest events are wanted, 0 if the query does not say.
func lastOf(query url.Values) (int, error) {
	text := query.Get("last")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > hub.MaxLast {
		return 0, invalidLast.because(fmt.Sprintf("last must be a whole number from 1 to %d", hub.MaxLast))
	}
	return n, nil
}
