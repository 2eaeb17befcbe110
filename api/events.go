package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"belfry/api/auth"
	"belfry/api/limit"
	"belfry/hub"
)

// A page answers GET /topics/{topic}/events.
type page struct {
	topic  string
	append func([]byte, *hub.Event) []byte
	hub.Page
}

// appendJSON implements [appender].
func (p page) appendJSON(dst []byte) []byte {
	dst = append(dst, `{"topic":`...)
	dst, _ = jsontext.AppendQuote(dst, p.topic) // cannot fail: a topic is UTF-8
	dst = append(dst, `,"events":[`...)
	for i := range p.Events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = p.append(append(dst, '{'), &p.Events[i].Event)
		dst = append(p.Events[i].Cursor.AppendTo(append(dst, `,"cursor":"`...)), `"}`...)
	}
	dst = p.Cursor.AppendTo(append(dst, `],"cursor":"`...))
	dst = strconv.AppendBool(append(dst, `","more":`...), p.More)
	return append(dst, '}')
}

func (s *Server) getEvents(x *exchange) (any, error) {
	if err := s.checkMemory(limit.ToBegin); err != nil {
		return nil, err
	}
	topic := x.param("topic")
	if err := hub.CheckTopic(topic); err != nil {
		return nil, err
	}
	may := func(who *auth.Identity) error { return who.MaySubscribe(topic) }
	if err := may(x.who); err != nil {
		return nil, err
	}
	query, err := url.ParseQuery(x.r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	from, err := historyFrom(x.r.Header, query)
	if err != nil {
		return nil, err
	}
	wait, err := s.waitOf(query)
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		leave, err := s.opts.Gate.Stay(s.opts.Gate.Client(x.r), isShared(x.r))
		if err != nil {
			return nil, err
		}
		if leave != nil {
			defer leave()
		}
	}
	ctx, cancel := s.waitContext(x, wait, may)
	defer cancel()
	x.Header()["Cache-Control"] = noStore
	found, err := s.opts.Hub.History(ctx, topic, from)
	if wait > 0 {
		if lost := s.lost(ctx, x, may); lost != nil {
			return nil, lost
		}
	}
	if err != nil {
		return nil, err
	}
	return page{topic, s.opts.Transport.AppendEvent, found}, nil
}

// lost reports why a request that has waited gets no answer: it has lost its right, or what
// looked after it has panicked.
func (s *Server) lost(ctx context.Context, x *exchange, may may) error {
	if context.Cause(ctx) == errPanicked {
		return errPanicked
	}
	return s.refresh(&x.caller, may)
}

// historyFrom reads which events of a topic are wanted.
func historyFrom(header http.Header, query url.Values) (from hub.From, err error) {
	if from.Last, err = lastOf(query); err != nil {
		return from, err
	}
	text, given := cursorText(header, query)
	if !given {
		return from, nil
	}
	cursor, ok := hub.ParseCursor(text)
	switch {
	case !ok:
		return from, invalidCursor.because(fmt.Sprintf("after is not a cursor; send one as it was received, of %d bytes", hub.CursorLen))
	case from.Last > 0:
		return from, conflictingInput.because("after and last are both given; send one of them")
	}
	return hub.From{After: &cursor}, nil
}

func (s *Server) waitOf(query url.Values) (time.Duration, error) {
	text := query.Get("wait")
	if text == "" {
		return 0, nil
	}
	wait, err := time.ParseDuration(text)
	if err != nil || wait < 0 || wait > s.opts.MaxWait {
		return 0, invalidWait.because(fmt.Sprintf("wait must be a duration of 0s to %v, such as 30s", s.opts.MaxWait))
	}
	return wait, nil
}

// waitContext returns a context that ends when a request has waited long enough or has lost
// its rights. It extends the write deadline of the response to match.
func (s *Server) waitContext(x *exchange, wait time.Duration, may may) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(x.r.Context(), wait)
	if wait == 0 {
		return ctx, cancel
	}
	// a server that cannot move deadlines has none
	control, end := http.NewResponseController(x.ResponseWriter), time.Now().Add(wait+s.opts.WriteTimeout)
	_ = control.SetReadDeadline(end)
	_ = control.SetWriteDeadline(end)
	ctx, _ = s.tenure(ctx, x, may) // it ends with the time-out
	return ctx, cancel
}
